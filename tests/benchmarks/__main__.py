"""Run every benchmark and write RESULTS.md: `python -m tests.benchmarks`; or some, by name."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
NAMES = ("hot_path", "serving", "capture", "descriptors", "tally", "check", "page")
HEAD = """# What it costs

Written by `python -m tests.benchmarks`: each figure beside what it is compared with, in one run.
The machine has two cores and is shared; ratios say more than microseconds.
"""
SECTION = "\n## `python -m tests.benchmarks.{}`\n\n```text\n{}```\n"


def known() -> dict[str, str]:
    """Read what was measured before, by name."""
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else ""
    return dict(re.findall(re.escape(SECTION).replace(r"\{\}", "(.*?)"), text, re.DOTALL))


def measure(name: str) -> str:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parents[1])
    print(done.stdout)
    return done.stdout


def main() -> None:
    wanted = sys.argv[1:] or NAMES
    unknown = set(wanted) - {*NAMES}
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}: they are {', '.join(NAMES)}.")
    found = known() | {name: measure(name) for name in wanted}
    sections = (SECTION.format(name, found[name]) for name in NAMES if name in found)
    RESULTS.write_text(HEAD + "".join(sections), "utf-8")


if __name__ == "__main__":
    main()
