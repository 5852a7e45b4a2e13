"""`report`: what the server says, out of its database alone."""

import hashlib
import json

import msgspec
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Report
from tests.cli.conftest import NAMES, RED, record, refused, rows, run, told
from tests.markup import Reader

OF_A_PROCESS = {"lag_seconds", "queued", "added_microseconds", "endpoints"}


def says(monitor, **asked):
    """Give what a server says, less what its process alone knows."""
    plain = msgspec.to_builtins(monitor.report(**asked))
    capture = {name: value for name, value in plain["capture"].items() if name not in OF_A_PROCESS}
    del plain["alerts"], capture["database_bytes"]
    return {**plain, "capture": capture}


def reported(path, *arguments):
    found = json.loads(told("report", "--buffer", path, "--json", *arguments))
    assert found["capture"].pop("database_bytes") > 0
    return found


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([], {}),
        (["--window", "2h"], {"window": "2h"}),
        (
            ["--since", "2020-01-01", "--until", "2100-01-01"],
            {"since": "2020-01-01", "until": "2100-01-01"},
        ),
        (["--segment", "Oslo"], {"segment": "Oslo"}),
    ],
)
def test_it_says_what_the_server_says_while_that_runs(tmp_path, given, asked):
    path = tmp_path / "drift.db"
    options = {"segment_by": "city", "policy": "psi", "checks_per_false_alarm": 500}
    baseline = Baseline.fit(rows(2000), segment_by="city")
    with Monitor(baseline=baseline, buffer=path, check_every=100, **options) as monitor:
        record(monitor, rows(250, seed=1, shift=1.0))
        told_by_server = json.loads(msgspec.json.encode(says(monitor, **asked)))
        assert told_by_server["check"]["number"] == 2
        assert reported(path, *given) == told_by_server


def test_the_file_of_the_baseline_may_be_gone(tmp_path):
    path, table = tmp_path / "drift.db", tmp_path / "baseline.json"
    Baseline.fit(rows(2000)).save(table)
    with Monitor(baseline=table, buffer=path, check_every=100) as monitor:
        record(monitor, rows(100, seed=1, shift=1.0))
        expected = json.loads(msgspec.json.encode(says(monitor)))
    table.unlink()
    assert reported(path) == expected


def test_outputs_that_were_learned_are_signals(tmp_path):
    path, features = tmp_path / "drift.db", rows(1000)
    del features["predicted"]
    options = {"check_every": 50, "learn_rows": 100}
    with Monitor(baseline=Baseline.fit(features), buffer=path, **options) as monitor:
        record(monitor, rows(60, seed=1))
        assert reported(path)["learning"]["rows"] == 60
        record(monitor, rows(190, seed=2))
        expected = json.loads(msgspec.json.encode(says(monitor)))
    assert "prediction" in {signal["role"] for signal in expected["signals"]}
    assert reported(path) == expected


def test_a_column_that_traffic_showed_to_be_an_output_is_one(tmp_path):
    path, table = tmp_path / "drift.db", rows(500)
    table["y"] = table.pop("predicted")
    with Monitor(baseline=Baseline.fit(table), buffer=path, check_every=50) as monitor:
        for age, y in zip(table["age"][:50], table["y"], strict=False):
            monitor.record({"age": age}, {"y": y})
        monitor.drain()
        expected = json.loads(msgspec.json.encode(says(monitor)))
    assert {one["name"]: one["role"] for one in expected["signals"]}["y"] == "prediction"
    assert reported(path) == expected


def test_where_there_is_no_check_yet_it_says_so(tmp_path):
    path = tmp_path / "drift.db"
    with Monitor(buffer=path, learn_rows=200) as monitor:
        record(monitor, rows(30, seed=1))
        assert reported(path) == json.loads(msgspec.json.encode(says(monitor))) | {
            "learning": {"rows": 30, "needed": 2000}
        }
    assert "unknown, 30 rows learned from so far" in told("report", "--buffer", path)
    other = tmp_path / "other.db"
    Monitor(baseline=Baseline.fit(rows(500)), buffer=other).close()
    assert "unknown, no check was made yet" in told("report", "--buffer", other)
    assert "### Drift: unknown" in told("report", "--buffer", other, "--markdown")


def test_the_database_is_left_as_it_is(buffer, tmp_path):
    before = hashlib.sha256(buffer.read_bytes()).digest()
    told("report", "--buffer", buffer, "--window", "24h", "--html", tmp_path / "page.html")
    told("tail", "--buffer", buffer)
    told("export", "-", "--buffer", buffer)
    assert hashlib.sha256(buffer.read_bytes()).digest() == before


def test_a_copy_in_a_folder_that_is_read_only_can_be_read(buffer, tmp_path, monkeypatch):
    copy = tmp_path / "copy.db"
    copy.write_bytes(buffer.read_bytes())
    monkeypatch.setattr("os.access", lambda *asked: False)  # root may write everywhere
    assert told("tail", "--buffer", copy) == told("tail", "--buffer", buffer)
    assert reported(copy)["check"]["number"] == 5
    assert [*tmp_path.iterdir()] == [copy]


@pytest.mark.parametrize("columns", [80, 120])
def test_the_text_names_what_moved_and_why_and_fits(buffer, columns):
    text = told("report", "--buffer", buffer, columns=columns)
    report = msgspec.json.decode(told("report", "--buffer", buffer, "--json"), type=Report)
    first = text.partition("\n")[0]
    assert first.startswith(f"{buffer}: high (inputs high, outputs high); check 5 at 2023-11-14")
    assert first.endswith("23:13:20 UTC, after 500 rows")
    moved = [signal for signal in report.signals if signal.severity != "none"]
    assert f"{len(moved)} of {len(report.signals)} signals moved:" in text
    table = text.partition("moved:\n")[2].partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= columns
    told_of = " ".join(text.split())
    for signal in moved:
        assert f"{signal.name} {signal.severity} " in told_of
    assert "did not move: city, age\n" in text
    assert "baseline.csv, 2,000 rows; shifts below" in text


def test_long_names_leave_room_for_the_reason(tmp_path):
    path = tmp_path / "drift.db"
    table = {
        f"{kind} column of an extraordinarily long name": values
        for kind, values in rows(500).items()
    }
    with Monitor(baseline=Baseline.fit(table), buffer=path, check_every=100) as monitor:
        record(monitor, {name: [9.0] * 100 for name in table})
    text = told("report", "--buffer", path, columns=80).partition("moved:\n")[2]
    assert max(map(len, text.partition("\n\n")[0].splitlines())) <= 80


def test_a_window_shows_distances_beside_chance(buffer):
    since = "2023-11-14T22:13"
    text = told("report", "--buffer", buffer, "--since", since, "--until", "2023-11-14T23:00")
    assert "window: 300 rows of 3 checks, 2023-11-14 22:13:20 to 2023-11-14 22:13:20" in text
    (line,) = (line for line in text.splitlines() if line.startswith("age  "))
    distance, chance = line.split()[1:3]
    assert 0 < float(distance) < 2 * float(chance.strip("()"))
    text = told("report", "--buffer", buffer, "--since", "2030-01-01")
    assert "window: no check was made in this time." in text


def test_segments_are_listed(tmp_path):
    path = tmp_path / "drift.db"
    baseline = Baseline.fit(rows(2000), segment_by="city")
    with Monitor(baseline=baseline, buffer=path, check_every=200, segment_by="city") as monitor:
        record(monitor, rows(200, seed=1, shift=1.0))
    lines = told("report", "--buffer", path).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("segment "))
    names = {line.split()[0] for line in lines[start + 2 : start + 5]}
    assert names == {"Oslo", "Rome", "Bonn"}
    assert "of segment 'Rome'" in told("report", "--buffer", path, "--segment", "Rome")


def test_severities_are_coloured_on_a_terminal_alone(buffer, monkeypatch):
    assert "\x1b[" not in told("report", "--buffer", buffer)
    coloured = told("report", "--buffer", buffer, color=True)
    assert "\x1b[91mhigh\x1b[0m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in told("report", "--buffer", buffer, color=True)


def test_the_page_is_one_file_that_needs_no_other(hostile_buffer, tmp_path):
    path = tmp_path / "page.html"
    told("report", "--buffer", hostile_buffer, "--html", path)
    page = Reader(path.read_text("utf-8"))
    links = [at.get(name) for _, at in page.tags for name in ("src", "href") if at.get(name)]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "script" not in {tag for tag, _ in page.tags}
    assert NAMES["markup"] in page.text
    assert "The last 3 checks" in page.text
    assert "Lag" not in page.text  # a server's, which this does not know


def test_no_name_colours_a_terminal_or_forges_a_line(hostile_buffer):
    for command in (["report"], ["report", "--markdown"], ["tail"], ["backtest"]):
        text = told(*command, "--buffer", hostile_buffer, columns=200)
        assert "\x1b" not in text
        assert "\\x1b[31mred" in text.replace("\\\\x1b\\[", "\\x1b[")
        assert not any(line.startswith("alarm") for line in text.splitlines())


def test_markdown_shows_names_as_they_are(hostile_buffer):
    text = told("report", "--buffer", hostile_buffer, "--markdown")
    assert text.startswith("### Drift: high (inputs high, outputs unknown); check 3 at ")
    (line,) = (line for line in text.splitlines() if "alert(1)" in line)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\|\\*x\\*" in line
    assert line.replace("\\|", "").count("|") == 7
    assert RED not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--buffer", "gone.db"], "gone.db: there is no such file. Name the server's database"),
        (["--window", "1y"], "window='1y' is impossible"),
        (["--until", "2026-01-01"], "give window or since, too"),
        (["--segment", "Oslo"], "There is no segment 'Oslo'. Watched: none yet."),
        (["--json", "--markdown"], "--json and --markdown both say what is printed: give one."),
        (["--html", "no/such/folder.html"], "no/such/folder.html cannot be written: No such file"),
        (["--what"], "See drift-middleware report --help."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(buffer, arguments, message):
    own = [] if "--buffer" in arguments else ["--buffer", buffer]
    assert message in refused("report", *own, *arguments)


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "drift.db"
    path.write_text("not a database, but long enough to be looked at" * 100)
    assert f"{path} cannot be read: file is not a database." in refused("report", "--buffer", path)


def test_the_database_of_the_options_is_taken(buffer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drift.toml").write_text(f"buffer = {json.dumps(str(buffer))}\n")
    assert told("report").startswith(f"{buffer}: high")
    assert run("tail").stdout.count("\n") == 6
