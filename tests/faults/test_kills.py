"""A process that is killed loses what it had queued, and nothing else."""

import contextlib
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.faults.killing import kill_servers

WRITER = """
import itertools, sys
from drift_middleware import Monitor

baseline = {
    "amount": [float(i * 37 % 101) for i in range(100)],
    "score": [i * 53 % 97 / 97 for i in range(100)],
}
one = Monitor(baseline=baseline, buffer=sys.argv[1], check_every=50, keep_rows=10**9)
for number in itertools.count():
    one.record({"amount": float(number % 101)}, number % 97 / 97)
    if number % 200 == 0:
        one.drain()
        print(number + 1, flush=True)
"""


def numbers(path, *queries):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [connection.execute(query).fetchone()[0] for query in queries]


@pytest.mark.parametrize("milliseconds", [0, 7, 29])
def test_a_killed_process_leaves_rows_tallies_and_checks_that_agree(milliseconds, tmp_path):
    kill_after(milliseconds, tmp_path / "drift.db")


def test_killed_servers_lose_what_was_queued_and_nothing_else(tmp_path, record_property):
    killed = kill_servers(tmp_path / "app", 5, seed=1)
    lost, seconds = max(one.lost for one in killed), max(one.seconds for one in killed)
    record_property(
        "figures", f"5 times; at most {lost} rows lost, of the last {seconds:.2f} s; no other"
    )
    assert seconds < 5.0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_so_do_two_hundred_one_after_the_other_in_one_file(tmp_path):
    assert max(one.seconds for one in kill_servers(tmp_path / "app", 200)) < 5.0


def kill_after(milliseconds, path):
    """Kill a process that writes, that long after a moment at which all was written."""
    known = numbers(path, "SELECT count(*) FROM rows")[0] if path.exists() else 0
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        for _ in range(3):
            drained = int(writer.stdout.readline())
        time.sleep(milliseconds / 1000)  # to be killed at another point, not to wait for anything
        writer.kill()
    health, rows, counted, checked, pending, uneven = numbers(
        path,
        "PRAGMA integrity_check",
        "SELECT count(*) FROM rows",
        "SELECT value FROM counters WHERE name = 'rows'",
        "SELECT coalesce(sum(rows), 0) FROM checks",
        "SELECT coalesce(sum(rows), 0) FROM tallies",
        "SELECT count(*) FROM checks WHERE requests <> 50",
    )
    assert health == "ok"
    assert rows == counted == checked + pending
    assert rows >= known + drained
    assert uneven == 0
