"""`check`: files of live rows, through the detector that a server has."""

import csv
import io
import json
import os
import subprocess
import sys

import msgspec
import pandas as pd
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Report
from tests.cli.conftest import NAMES, hostile, record, refused, rows, run, told

QUIET, MOVED = rows(300, seed=1), rows(200, seed=2, shift=1.0)


def as_csv(table):
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(table)
    lines.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Give a folder with a baseline and live rows."""
    monkeypatch.chdir(tmp_path)
    for name, table in {"baseline": rows(2000), "quiet": QUIET, "moved": MOVED}.items():
        (tmp_path / f"{name}.csv").write_text(as_csv(table))
    return tmp_path


def checked(*arguments):
    return json.loads(told("check", "--baseline", "baseline.csv", "--json", *arguments))


def without_times(found):
    """Leave out what differs between two runs: when it was, and how long it took."""
    plain = json.loads(json.dumps(found), object_hook=lambda one: {**one, "at": 0, "since": 0})
    for check in [*plain.get("checks", []), plain["check"]]:
        check["milliseconds"] = 0
    return plain


def test_the_same_rows_are_judged_as_by_a_server(here):
    found = checked("quiet.csv", "moved.csv", "--check-every", "100")
    baseline = Baseline.fit("baseline.csv")
    with Monitor(baseline=baseline, buffer="served.db", check_every=100) as monitor:
        record(monitor, QUIET)
        record(monitor, MOVED)
        report, history = monitor.report(), monitor.history(10)[::-1]
    said = [(check["severity"], check["rows"]) for check in found["checks"]]
    assert said == [(check.severity, check.rows) for check in history]
    assert {"none", "high"} <= {severity for severity, _ in said}
    # No value equals an edge here, so that nothing was drawn.
    assert found["signals"] == json.loads(msgspec.json.encode(report.signals))
    assert found["worst"] == report.severity == found["severity"]


def test_a_saved_baseline_does_as_its_table(here):
    Baseline.fit("baseline.csv").save("saved.json")
    by_table = without_times(checked("moved.csv"))
    by_saved = json.loads(told("check", "moved.csv", "--baseline", "saved.json", "--json"))
    assert without_times(by_saved) == by_table


def test_the_same_rows_give_the_same_report(here):
    # Many values that are all edges: which side of one a value falls on is drawn.
    (here / "baseline.csv").write_text(as_csv({"n": [i * i % 31 for i in range(800)]}))
    (here / "live.csv").write_text(as_csv({"n": [i * i % 29 for i in range(400)]}))
    first, second = (without_times(checked("live.csv")) for _ in range(2))
    assert first == second


def test_the_last_check_has_what_is_left(here):
    found = checked("quiet.csv", "--check-every", "120")
    assert [check["rows"] for check in found["checks"]] == [120, 120, 60]
    assert found["capture"]["rows"] == 300


def test_files_are_one_stream(here):
    found = checked("quiet.csv", "moved.csv", "--check-every", "400")
    assert [check["rows"] for check in found["checks"]] == [400, 100]


def test_nothing_is_left_behind(here):
    before = sorted(here.iterdir())
    told("check", "moved.csv", "--baseline", "baseline.csv")
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("live", "level", "code"),
    [
        (["quiet.csv"], "low", 0),
        (["moved.csv"], "low", 1),
        (["moved.csv"], "high", 1),
        (["moved.csv", *["quiet.csv"] * 9], "high", 1),  # it was, though it is no more
        (["gone.csv"], "low", 2),
    ],
)
def test_exit_codes_say_how_it_ended(here, live, level, code):
    done = run(
        *("check", *live, "--baseline", "baseline.csv"),
        *("--check-every", "100", "--fail-on", level, "--json"),
    )
    assert done.exit_code == code
    if len(live) > 2:
        assert json.loads(done.stdout)["severity"] != "high"


def test_the_text_says_what_moved_first_and_why(here):
    files = ("quiet.csv", "moved.csv", "--check-every", "100")
    text = told("check", *files, "--baseline", "baseline.csv")
    assert text.startswith("quiet.csv, moved.csv: high (inputs high, outputs high); check 5 at ")
    assert "worst: high, first at check 5 of 5, by " in text or "check 4 of 5, by " in text
    assert "signals moved:" in text
    assert "% of rows are above" in text


def test_rows_come_from_the_standard_input(here):
    text = as_csv(MOVED)
    found = told("check", "-", "--baseline", "baseline.csv", "--markdown", stdin=text)
    assert "### Drift: high" in found
    assert "standard input" in found
    message = refused("check", "-", "--baseline", "baseline.csv", stdin="a,b\n1\n")
    assert "Error: the standard input: line 2 has 1 cells and the header has 2" in message


def test_parquet_is_read(here):
    pd.DataFrame(MOVED).to_parquet("moved.parquet")
    assert without_times(checked("moved.parquet")) == without_times(checked("moved.csv"))


def test_a_column_that_the_live_rows_lack_is_said_and_is_no_drift(here):
    (here / "live.csv").write_text(as_csv({"city": QUIET["city"], "other": QUIET["age"]}))
    found = checked("live.csv")
    assert found["severity"] == "none"
    assert found["not_captured"] == ["amount", "age", "predicted", "joint"]
    text = told("check", "live.csv", "--baseline", "baseline.csv")
    assert "not in the baseline: other" in text
    assert "in the baseline, but not in these rows: amount, age, predicted, joint" in text


def test_a_column_that_vanishes_between_files_is_drift(here):
    (here / "live.csv").write_text(as_csv({"city": QUIET["city"], "amount": QUIET["amount"]}))
    found = checked("quiet.csv", "live.csv", "--check-every", "100")
    signals = {signal["name"]: signal for signal in found["signals"]}
    assert signals["age"]["severity"] == "high"
    assert "have no value" in signals["age"]["why"]
    # Rows without any prediction say nothing of it, as with a server.
    assert signals["predicted"]["severity"] == "none"


def test_rows_are_as_old_as_their_timestamp_says(here):
    days = [f"2026-01-{1 + i % 28:02}T{i % 24:02}:00:00Z" for i in range(560)]
    table = {"sent": days, "at": [day.replace("T", "T0")[:11] + "23:59:00Z" for day in days]}
    (here / "baseline.csv").write_text(as_csv(table))
    (here / "live.csv").write_text(as_csv({name: days[:200] for name, days in table.items()}))
    signals = [one["name"] for one in checked("live.csv", "--timestamp", "at")["signals"]]
    assert "sent.age" in signals
    assert checked("live.csv", "--timestamp", "at")["severity"] == "none"
    assert checked("live.csv", "--timestamp", "at")["check"]["at"].startswith("2026-01-")
    Baseline.fit("baseline.csv", timestamp="at").save("baseline.json")
    found = json.loads(told("check", "live.csv", "--baseline", "baseline.json", "--json"))
    ages = {signal["name"]: signal["severity"] for signal in found["signals"]}
    assert ages["sent.age"] == "high"  # as if all had come now


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--threshold", "high=.99", "--threshold", "medium=.98", "--threshold", "low=.97"],
            "none",
        ),
        (["--thresholds", "low=.01,medium=.02,high=.03"], "high"),
        (["--ignore", "amount", "--ignore", "city", "--ignore", "predicted"], "none"),
    ],
)
def test_options_are_those_of_a_server(here, arguments, expected):
    assert checked("moved.csv", *arguments)["severity"] == expected


def test_the_options_of_the_server_hold_here_too(here, monkeypatch):
    (here / "drift.toml").write_text("baseline = 'baseline.csv'\ncheck_every = 70\n")
    monkeypatch.setenv("DRIFT_POLICY", "psi")
    found = json.loads(told("check", "quiet.csv", "--json"))
    assert found["checks"][0]["rows"] == 70


def test_the_page_and_the_json_may_come_together(here):
    found = checked("moved.csv", "--html", "page.html")
    page = msgspec.convert(found, Report, strict=False)
    assert page.severity == "high"
    html = (here / "page.html").read_text("utf-8")
    assert html.startswith("\n<!doctype html>") or html.lstrip().startswith("<!doctype html>")
    assert all(check["severity"] in html for check in found["checks"])


def test_a_table_without_rows_is_refused(here):
    pd.DataFrame({"age": [1.0]})[:0].to_parquet("none.parquet")
    message = refused("check", "none.parquet", "--baseline", "baseline.csv")
    assert "none.parquet: has no rows." in message


def test_hostile_names_stay_names(here):
    (here / "baseline.csv").write_text(as_csv(hostile(500)))
    (here / "live.csv").write_text(as_csv(hostile(200, seed=1, shift=2.0) | {"\x1b[2J": [1] * 200}))
    text = told("check", "live.csv", "--baseline", "baseline.csv", "--html", "page.html")
    assert "\x1b" not in text
    assert "<script>" not in (here / "page.html").read_text("utf-8")
    assert NAMES["sql"] in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'LIVE...'. See drift-middleware check --help."),
        (["quiet.csv"], "There is nothing to compare with: give --baseline."),
        (["quiet.csv", "--baseline", "gone.csv"], "gone.csv: there is no such file"),
        (["quite.csv", "--baseline", "baseline.csv"], "Did you mean quiet.csv?"),
        (["other.csv", "--baseline", "baseline.csv"], "other.csv: none of its columns is watched."),
        (["quiet.csv", "--baseline", "baseline.csv", "--check-every", "x"], "check_every='x' is"),
        (["quiet.csv", "--baseline", "baseline.csv", "--kind", "city"], "give COLUMN=KIND, such"),
        (["quiet.csv", "--baseline", "baseline.csv", "--kind", "city=x"], "'category', 'text'"),
        (["quiet.csv", "--baseline", "baseline.csv", "--ignore", "town"], "has no column 'town'"),
        (["quiet.csv", "--baseline", "baseline.csv", "--fail-on", "none"], "'none' is not one of"),
        (["quiet.csv", "--baseline", "baseline.csv", "--policy", "x"], "policy='x' is impossible"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(here, arguments, message):
    (here / "other.csv").write_text("a,b\n1,2\n")
    assert message in refused("check", *arguments)


def test_the_bar_is_on_the_terminal_of_the_errors_alone(here):
    import pty

    command = [sys.executable, "-m", "drift_middleware", "check", "quiet.csv", "moved.csv"]
    command += ["--baseline", "baseline.csv", "--check-every", "50", "--json"]
    terminal, end = pty.openpty()
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env=environ) as process:
        os.close(end)
        shown = b""
        try:
            while part := os.read(terminal, 1000):
                shown += part
        except OSError:  # how Linux says that a terminal has no writer any more
            pass
        assert json.loads(process.stdout.read())["worst"] == "high"
    os.close(terminal)
    assert process.returncode == 0
    assert b"moved.csv  [" in shown
    assert b"100%" in shown
