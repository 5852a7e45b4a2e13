"""The lowest versions that are declared are those that CI tests with."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NOT_OURS = {"flights", "lint", "servers", "servers-large", "test"}
"extras that the package does not use itself"


def declared():
    """Give the lowest version of each package that ours needs, or can use."""
    extras = PROJECT["optional-dependencies"]
    needed = [*PROJECT["dependencies"]]
    needed += [one for extra, several in extras.items() if extra not in NOT_OURS for one in several]
    found = [re.fullmatch(r"([\w-]+)>=([\d.]+)", one) for one in needed]
    assert all(found), "each is declared as `name>=lowest`"
    return {one[1]: one[2] for one in found}


def test_the_versions_that_are_tested_are_the_lowest_that_are_declared():
    lines = (ROOT / "tests/lowest.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned == declared()
    assert [*pinned] == sorted(pinned, key=str.casefold)


def test_the_lowest_python_is_one_that_is_classified():
    lowest = PROJECT["requires-python"].removeprefix(">=")
    versions = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if "Python :: 3." in one]
    assert versions[0] == lowest
