"""What all commands have in common, and the report in a notebook."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from drift_middleware.cli import main
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Report
from tests.cli.conftest import NAMES, hostile, record, told
from tests.markup import Reader

ROOT = Path(__file__).parents[2]
COMMANDS = ["backtest", "baseline", "check", "demo", "export", "inspect", "report", "tail"]
SLOW = {"numpy", "msgspec", "pandas", "jinja2", "uvicorn", "starlette", "pyarrow", "tabulate"}


def test_the_help_names_every_command_with_what_it_does():
    text = told("--help")
    listed = [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines()]
    assert listed == sorted(main.commands) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_and_gives_json(command):
    text = told(command, "--help")
    assert "--json" in text
    assert max(map(len, text.splitlines())) <= 80
    options = [one for one in main.commands[command].params if one.param_type_name == "option"]
    assert all(option.help and option.help.endswith((".", "]")) for option in options)


def test_the_exit_codes_are_lines_of_their_own():
    assert "  1  --fail-on was reached\n" in told("check", "--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_slow(command):
    arguments = ["-X", "importtime", "-m", "drift_middleware", command, "--help"]
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert f"drift_middleware.cli.{command}" in loaded
    assert loaded & SLOW == set()


def test_a_report_is_a_page_in_a_notebook(tmp_path):
    path = tmp_path / "drift.db"
    with Monitor(baseline=hostile(500), buffer=path, check_every=100) as monitor:
        record(monitor, hostile(100, seed=1, shift=2.0))
        shown = monitor.report()._repr_html_()
    found = Reader(shown)
    assert [tag for tag, _ in found.tags] == ["iframe"]  # all else is within
    inner = Reader(found.tags[0][1]["srcdoc"])
    assert "script" not in {tag for tag, _ in inner.tags}
    assert NAMES["markup"] in inner.text
    assert "High" in inner.text


def test_a_report_that_was_read_from_json_is_one_too():
    report = msgspec.json.decode(msgspec.json.encode(Report(severity="low")), type=Report)
    assert "iframe" in report._repr_html_()


def test_a_page_is_loaded_when_one_is_asked_for():
    code = (
        "import sys; from drift_middleware.schemas import Report; one = Report();"
        "print('jinja2' in sys.modules); one._repr_html_(); print('jinja2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "True"]
