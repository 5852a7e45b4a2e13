"""`tail`: the last checks, and those to come."""

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager

import msgspec
import pytest

from drift_middleware.buffer import SqliteReader
from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Check
from tests.cli.conftest import record, refused, rows, told

ENVIRON = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}


def test_each_check_is_a_line_the_newest_last(buffer):
    header, *lines = told("tail", "--buffer", buffer).splitlines()
    assert header.split() == [
        "check",
        "at",
        "(UTC)",
        "rows",
        "severity",
        "signals",
        "that",
        "moved",
    ]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert lines[0].split() == ["1", "2023-11-14", "22:13:20", "100", "none"]
    assert lines[-1].startswith("     5  2023-11-14 23:13:20      100  high      ")
    assert "predicted high" in lines[-1]
    assert told("tail", "--buffer", buffer, "-n", 2).splitlines() == [header, *lines[-2:]]
    assert told("tail", "--buffer", buffer, "-n", 0).splitlines() == [header]


def test_json_is_a_line_for_each(buffer):
    lines = told("tail", "--buffer", buffer, "--json").splitlines()
    checks = [msgspec.json.decode(line, type=Check) for line in lines]
    assert checks == SqliteReader(buffer).history(10)[::-1]


def test_what_is_wrong_is_said_in_one_line(buffer):
    assert "there is no such file" in refused("tail", "--buffer", "gone.db")
    assert "-1 is not in the range" in refused("tail", "--buffer", buffer, "-n", -1)


@contextmanager
def following(path, *arguments):
    command = [sys.executable, "-m", "drift_middleware", "tail", "-f", "--buffer", str(path)]
    process = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRON,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_new_checks_come_as_they_are_made_until_it_is_told_to_stop(tmp_path):
    path = tmp_path / "drift.db"
    with Monitor(baseline=Baseline.fit(rows(500)), buffer=path, check_every=100) as monitor:
        record(monitor, rows(200, seed=1))
        with following(path, "-n", "1", "--json") as process:
            numbers = [json.loads(process.stdout.readline())["number"]]
            for seed in (2, 3):
                record(monitor, rows(200, seed=seed))
                numbers += [json.loads(process.stdout.readline())["number"] for _ in range(2)]
            assert numbers == [2, 3, 4, 5, 6]
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("", "")
            assert process.returncode == 0


def test_it_goes_on_in_a_database_that_takes_the_place_of_another(tmp_path):
    path = tmp_path / "drift.db"
    baseline = Baseline.fit(rows(500))
    with Monitor(baseline=baseline, buffer=path, check_every=100) as monitor:
        record(monitor, rows(300, seed=1))
    with following(path, "-n", "1", "--json") as process:
        assert json.loads(process.stdout.readline())["number"] == 3
        for file in tmp_path.iterdir():
            file.unlink()
        assert "Waiting for it." in process.stderr.readline()
        with Monitor(baseline=baseline, buffer=path, check_every=100) as monitor:
            record(monitor, rows(100, seed=2))
        assert json.loads(process.stdout.readline())["number"] == 1


@pytest.mark.parametrize("columns", [50, 70])
def test_a_line_is_cut_at_the_end_of_the_terminal(hostile_buffer, columns):
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "drift_middleware", "tail", "--buffer", str(hostile_buffer)]
    environ = ENVIRON | {"COLUMNS": str(columns), "NO_COLOR": "1"}
    done = subprocess.run(command, stdout=end, stderr=subprocess.PIPE, check=True, env=environ)
    os.close(end)
    lines = os.read(terminal, 10_000).decode().splitlines()[1:]
    os.close(terminal)
    assert done.stderr == b""
    assert max(map(len, lines)) == columns
    assert all(line.endswith("..."[: columns - 48]) for line in lines)
    assert "\x1b" not in "".join(lines)
