import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from drift_middleware import __version__
from drift_middleware.backtest import Backtest, backtest
from drift_middleware.cli import layout, main
from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
COLUMNS = {"amount": RNG.lognormal(size=1000), "city": RNG.choice(["Oslo", "Rome"], 1000)}


class Clock:
    now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "drift.db"
    clock, rng = Clock(), np.random.default_rng(1)
    one = Monitor(
        baseline=Baseline.fit(COLUMNS, source="test"), buffer=path, check_every=50, clock=clock
    )
    for shift in (0, 0, 1, 1, 0.5):
        for _ in range(100):
            city = str(rng.choice(["Oslo", "Rome"]))
            one.record({"amount": float(rng.lognormal(shift)), "city": city}, 0.5)
        one.drain()
        clock.now += 3600
    one.close()
    return path


def run(*arguments, columns=80):
    return CliRunner().invoke(main, [*map(str, arguments)], env={"COLUMNS": str(columns)})


def replay(path, *arguments):
    done = run("backtest", "--buffer", path, "--json", *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_json_is_what_the_function_gives(path):
    found = replay(path)
    told = backtest(path)
    assert list(found) == list(Backtest.__struct_fields__)
    assert found["recorded"]["changes"][0].keys() == {"check", "at", "from", "to", "moved"}
    assert found["replayed"] == found["recorded"]
    assert found["replayed"]["severities"] == told.replayed.severities
    assert len(found["replayed"]["severities"]) > 1


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--policy", "psi"], {"policy": "psi"}),
        (["--no-guard"], {"guard": False}),
        (["--checks-per-false-alarm", "50"], {"checks_per_false_alarm": 50.0}),
        (["--weights", "amount=2,city=.5"], {"weights": {"amount": 2.0, "city": 0.5}}),
        (
            ["--thresholds", "low=.1,medium=.2,high=.3"],
            {"thresholds": {"low": 0.1, "medium": 0.2, "high": 0.3}},
        ),
        (
            ["--threshold", "low=.09"],
            {"thresholds": {"low": 0.09, "medium": 0.1, "high": 0.2}},
        ),
        (
            ["--policy", "psi", "--threshold", "high=.9", "--threshold", "amount.high=.4"],
            {
                "policy": "psi",
                "thresholds": {"low": 0.02, "medium": 0.1, "high": 0.9, "amount": {"high": 0.4}},
            },
        ),
    ],
)
def test_options_reach_the_replay(path, arguments, options):
    usual = backtest(path).options
    assert replay(path, *arguments)["options"] == usual | options


def test_options_that_are_not_given_are_the_servers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drift.toml").write_text(
        "check_every = 50\nthresholds = {low = 0.06, medium = 0.2, high = 0.3}\n"
    )
    with Monitor(baseline={"x": [1.0, 2.0, 3.0] * 20}, buffer="here.db", guard=False) as one:
        for number in range(50):
            one.record({"x": number % 3 + 1})
    (tmp_path / "drift.toml").write_text("buffer = 'here.db'\n")
    done = run("backtest", "--json", "--threshold", "low=.07")
    options = json.loads(done.stdout)["options"]
    assert options["thresholds"] == {"low": 0.07, "medium": 0.2, "high": 0.3}
    assert options["guard"] is False


def test_a_table_says_when_what_was_said_and_what_would_have_been(path):
    thresholds = "low=.9,medium=.95,high=.99,city.low=.8"
    done = run("backtest", "--buffer", path, "--thresholds", thresholds, "--no-guard")
    assert (done.exit_code, done.stderr) == (0, "")
    text = done.stdout
    told = backtest(path)
    assert "10 checks of 500 rows, 2023-11-14 22:13:20 to 2023-11-15 02:13:20 UTC" in text
    assert (
        "replayed with policy moved, thresholds low=0.9 medium=0.95 high=0.99 city.low=0.8,"
        " guard off, checks per false alarm 10,000\n"
    ) in text
    first = told.recorded.changes[-1]
    (line,) = (line for line in text.splitlines() if line.startswith(f"{first.check} "))
    assert line.split()[3:5] == ["none", first.after]
    (line,) = (line for line in text.splitlines() if line.startswith("never"))
    seen = told.recorded.first["amount"]
    assert line.split() == ["never", str(seen.check), seen.severity, "amount"]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_a_table_fits_the_terminal(tmp_path, columns):
    path = tmp_path / "drift.db"
    names = [f"a long name of a column {number}" for number in range(9)]
    table = {name: RNG.normal(size=200) for name in names}
    one = Monitor(baseline=Baseline.fit(table), buffer=path, check_every=50)
    for _ in range(100):
        one.record(dict.fromkeys(names, 9.0))
    one.close()
    text = run("backtest", "--buffer", path, columns=columns).stdout
    table = text.partition("checks with severity")[2]
    assert max(map(len, table.splitlines())) <= columns
    assert " ".join(text.split()).count("column 8 high") == 1


def test_a_long_table_is_cut_and_says_so(path, monkeypatch):
    monkeypatch.setattr(layout, "MOST_LINES", 1)
    text = run("backtest", "--buffer", path).stdout
    assert "more; --json gives them all" in text


def test_where_there_are_no_checks_it_says_so(path, tmp_path):
    empty = tmp_path / "drift.db"
    Monitor(baseline=Baseline.fit(COLUMNS), buffer=empty).close()
    for arguments, message in (
        (["--buffer", empty], "There is no check of the present baseline yet."),
        (["--buffer", path, "--since", "2100-01-01"], "Try an earlier --since."),
    ):
        done = run("backtest", *arguments)
        assert (done.exit_code, done.stdout.count("\n")) == (0, 1)
        assert message in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backtest", "--buffer", "gone.db"], "gone.db cannot be read"),
        (["backtest", "--buffer", ROOT / "README.md"], "README.md cannot be read"),
        (["backtest", "--policy", "nothing"], "policy='nothing' is impossible"),
        (["backtest", "--threshold", "low"], "thresholds='low"),
        (["backtest", "--threshold", "low=.5"], "give low < medium < high"),
        (["backtest", "--thresholds", "lo=.5"], "is impossible: give low < medium < high"),
        (["backtest", "--weights", "amount"], "weights='amount' is impossible"),
        (["backtest", "--checks-per-false-alarm", "x"], "checks_per_false_alarm='x'"),
        (["backtest", "--since", "today"], "since='today' is impossible"),
        (["backtest", "--unknown"], "See drift-middleware backtest --help."),
        (["backtest", "--policy"], "See drift-middleware backtest --help."),
        (["backtest", "more"], "See drift-middleware backtest --help."),
        (["nothing"], "No such command 'nothing'. See drift-middleware --help."),
        (["--nothing"], "See drift-middleware --help."),
    ],
)
def test_bad_input_is_told_in_one_line_with_what_to_do(path, arguments, message):
    buffer = [] if "--buffer" in arguments or "backtest" not in arguments else ["--buffer", path]
    done = CliRunner().invoke(
        main, [*map(str, arguments), *map(str, buffer)], prog_name="drift-middleware"
    )
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_without_a_command_the_help_names_them(path):
    done = run()
    assert done.exit_code == 0
    assert "backtest " in done.stdout
    assert "--no-guard" in run("backtest", "--help").stdout


@contextmanager
def started(*arguments):
    command = [sys.executable, "-X", "importtime", "-m", "drift_middleware", *map(str, arguments)]
    yield subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_as_a_program_it_says_its_version_and_loads_nothing_for_it():
    with started("--version") as done:
        assert (done.returncode, done.stdout) == (0, f"drift-middleware {__version__}\n")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "drift_middleware.cli" in loaded
    assert loaded & {"numpy", "msgspec", "sqlite3", "tabulate", "drift_middleware.config"} == set()


def test_as_a_program_it_replays(path):
    with started("backtest", "--buffer", path, "--json") as done:
        assert done.returncode == 0
        assert json.loads(done.stdout)["checks"] == 10
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert loaded & {"pandas", "scipy.stats", "starlette", "tabulate"} == set()
