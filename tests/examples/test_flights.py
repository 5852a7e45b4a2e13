"""The demo keeps its promise: silence while nothing changes, and October is noticed."""

import csv
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "flights" / "data"
FAMILIAR = 10  # checks of 200 flights each, before October


def run(*arguments, command=("-m", "examples.flights"), cwd=ROOT, **environ):
    return subprocess.run(
        [sys.executable, *command, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def read(buffer, query):
    connection = sqlite3.connect(buffer)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


class Replay(NamedTuple):
    code: int
    output: str
    errors: str
    buffer: Path
    report: dict
    "what the server, which stays up, answers afterwards"


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """Run the demo with `--serve`, look at its report, and interrupt it."""
    folder = tmp_path_factory.mktemp("flights")
    command = [sys.executable, "-m", "examples.flights", "--serve"]
    command += ["--buffer", str(folder / "drift.db")]
    with (
        (folder / "errors").open("w+") as errors,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        output, report = "", {}
        for line in process.stdout:
            output += line
            if line.endswith("until Ctrl-C\n"):
                url = re.search(r"http://\S+/_drift", line)[0]
                report = httpx.get(url).raise_for_status().json()
                process.send_signal(signal.SIGINT)
        code = process.wait(timeout=30)
        errors.seek(0)
        return Replay(code, output, errors.read(), folder / "drift.db", report)


@pytest.fixture(scope="module")
def checks(replay):
    """Return the severity of each check, and the signals that moved."""
    assert replay.code == 0, replay.output + replay.errors
    found = read(
        replay.buffer, "select number, requests, severity, moved from checks order by number"
    )
    assert [row[:2] for row in found] == [(number, 200) for number in range(1, 21)]
    return [(severity, json.loads(moved)) for *_, severity, moved in found]


def test_nothing_is_said_of_other_flights_of_the_same_months(checks):
    assert checks[:FAMILIAR] == [("none", {})] * FAMILIAR


def test_october_is_warmer_and_temp_says_so_within_a_thousand_flights(checks):
    october = [moved.get("temp") for _, moved in checks[FAMILIAR:]]
    assert "high" in october[:5]
    assert october[-1] == "high"


def test_the_model_answers_otherwise_in_october(checks):
    assert checks[-1][0] == "high"
    assert "probability" in checks[-1][1]


def test_every_flight_is_in_the_buffer_as_the_file_has_it(replay):
    with (DATA / "live_ok.csv").open() as file:
        flights = list(csv.DictReader(file))
    names = ("carrier", "temp", "pressure")
    query = "select carrier, temp, pressure from rows order by id limit 2000"
    stored = read(replay.buffer, query)
    expected = [
        (flight["carrier"], *(float(flight[name]) if flight[name] else None for name in names[1:]))
        for flight in flights
    ]
    # Four requests are under way at a time, so that neighbours may have changed places.
    assert sorted(stored, key=repr) == sorted(expected, key=repr)


def test_it_prints_a_line_per_check_and_no_progress_bar_where_there_is_no_terminal(replay):
    lines = re.findall(r"^ +(\d+) +([\d,]+) +(\w+)", replay.output, re.MULTILINE)
    expected = [(str(number), f"{200 * number:,}") for number in range(1, 21)]
    assert [line[:2] for line in lines] == expected
    assert {severity for *_, severity in lines[:FAMILIAR]} == {"none"}
    assert "\r" not in replay.output
    assert "\x1b" not in replay.output
    assert replay.errors == ""


def test_the_log_is_json_and_tells_of_the_change(replay):
    log = [json.loads(line) for line in replay.buffer.with_suffix(".log").read_text().splitlines()]
    assert {record["logger"] for record in log} == {"drift_middleware"}
    changes = [record for record in log if record["event"] == "severity changed"]
    assert [change["previous"] for change in changes[:2]] == ["unknown", "none"]
    assert changes[1]["level"] == "WARNING"
    assert changes[1]["check"] > FAMILIAR
    assert changes[1]["moved"]


def test_a_server_that_cannot_start_is_told_with_its_log(tmp_path):
    done = run("--buffer", tmp_path / "drift.db", DRIFT_POLICY="guess")
    assert done.returncode == 1
    assert "The server failed: it ended" in done.stderr
    assert "policy='guess' is impossible" in done.stderr


def test_a_port_that_is_taken_is_refused_before_anything_is_sent_to_who_listens_there(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--buffer", tmp_path / "drift.db", "--port", port)
    assert done.returncode == 1
    assert f"Port {port}: Address already in use" in done.stderr


def test_it_runs_as_a_folder_and_from_any_other(tmp_path):
    buffer = tmp_path / "drift.db"
    buffer.touch()
    done = run("--buffer", buffer, command=[ROOT / "examples" / "flights"], cwd=tmp_path)
    assert done.returncode == 2
    assert f"{buffer} exists" in done.stderr.replace("\n", " ")


def test_the_server_stays_up_to_be_looked_at(replay, checks):
    moved = {each["name"]: each["severity"] for each in replay.report["signals"]}
    assert {name: level for name, level in moved.items() if level != "none"} == checks[-1][1]
    assert replay.report["capture"]["requests"] == replay.report["capture"]["rows"] == 4000
