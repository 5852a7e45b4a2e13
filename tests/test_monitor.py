import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from drift_middleware import __version__
from drift_middleware.drift.baseline import Baseline
from drift_middleware.errors import BaselineError, ConfigError, StoreError
from drift_middleware.monitor import Monitor

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
BASELINE = Baseline.fit(
    {
        "amount": RNG.lognormal(size=400),
        "city": RNG.choice(["Oslo", "Rome"], 400),
        "score": RNG.random(400),
    },
    source="test",
)
CITIES = ("Oslo", "Rome")


@contextmanager
def watching(path, **options):
    one = Monitor(**{"baseline": BASELINE, "buffer": path, "check_every": 50} | options)
    try:
        yield one
    finally:
        one.close()


def record(one, rows, shift=0.0, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(rows):
        amount, city = float(rng.lognormal(shift)), CITIES[rng.integers(2)]
        one.record({"amount": amount, "city": city}, {"score": float(rng.random())})


def query(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def run(code, path, *flags):
    return subprocess.run(
        [sys.executable, *flags, "-c", code, path],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_a_check_that_time_brings_needs_no_further_request(path):
    with watching(path, check_seconds=0.3) as one:
        record(one, 7)
        assert one.drain()
        ends = time.monotonic() + 20
        while one.report().check is None and time.monotonic() < ends:
            time.sleep(0.05)
        assert one.report().check.requests == 7


def test_rows_are_recorded_without_a_server(path):
    with watching(path) as one:
        assert (one.severity, one.report().status) == ("unknown", "warming up")
        record(one, 200, shift=3)
        assert one.drain()
        assert one.severity == "high"
        assert dict(one.headers) == {
            b"x-drift-severity": b"high",
            b"x-drift-data": b"high",
            b"x-drift-prediction": b"none",
            b"x-drift-check": b"4",
        }
    assert query(path, "SELECT count(*) FROM rows") == [(200,)]


def test_a_row_may_be_a_list_and_a_prediction_a_bare_value_or_missing(path):
    with watching(path, check_every=3) as one:
        one.record([0.5, "Oslo"], 0.25)
        one.record((0.5, "Rome"))
        one.record({"amount": 0.5, "city": "Rome"}, 0.75)
        assert one.drain()
        assert one.report().not_captured == []
    assert query(path, "SELECT amount, city, score FROM rows") == [
        (0.5, "Oslo", 0.25),
        (0.5, "Rome", None),
        (0.5, "Rome", 0.75),
    ]


def test_a_report_says_what_is_watched_and_what_was_captured(path):
    with watching(path, clock=lambda: 1_700_000_000.0) as one:
        for amount in np.random.default_rng(1).lognormal(6, size=60):
            one.record({"amount": float(amount)})
        one.record({"page": 1})
        one.drain()
        report = one.report()
    assert (report.status, report.reason, report.version) == ("watching", None, __version__)
    assert (report.check.number, report.check.requests, report.check.rows) == (1, 50, 50)
    assert report.check.at == report.since == "2023-11-14T22:13:20.000Z"
    assert (report.severity, report.data, report.prediction) == ("high", "high", "unknown")
    assert (report.baseline.source, report.baseline.rows) == ("test", 400)
    assert report.baseline.fingerprint == BASELINE.fingerprint
    assert report.not_captured == ["city", "score"]
    assert [signal.name for signal in report.signals] == ["amount"]
    assert (report.capture.requests, report.capture.rows, report.capture.dropped) == (61, 61, 0)
    assert report.capture.lag_seconds == 0.0
    assert report.learning is None


def test_rows_that_are_not_the_models_are_counted_and_not_kept(path):
    with watching(path) as one:
        one.record({"page": 1})
        one.drain()
        assert one.report().capture.skipped == {"no column of the baseline": 1}
    assert query(path, "SELECT count(*) FROM rows") == [(0,)]


def test_a_report_says_how_far_learning_has_come(path):
    with watching(path, baseline=None, learn_rows=60) as one:
        record(one, 20)
        one.drain()
        report = one.report()
        assert (report.status, report.severity) == ("learning", "unknown")
        assert report.learning == {"rows": 20, "needed": 60}
        assert report.baseline is None
        record(one, 50, seed=2)
        one.drain()
        assert one.report().status == "warming up"
        record(one, 50, seed=3)
        one.drain()
        report = one.report()
    assert (report.status, report.learning) == ("watching", None)
    assert (report.baseline.source, report.baseline.rows) == ("learned from traffic", 60)


def test_numbers_of_numpy_are_learned_as_numbers(path):
    with watching(path, baseline=None, learn_rows=60) as one:
        for value in np.random.default_rng(1).random(60):
            one.record({"amount": value, "city": "Oslo"})
        one.drain()
        assert one.report().baseline.left_out == {}


def test_the_history_is_read_through_it(path):
    with watching(path) as one:
        record(one, 100)
        one.drain()
        assert [check.number for check in one.history(10)] == [2, 1]
        assert [check.number for check in one.history(10, before=2)] == [1]
        assert [line["check"] for line in one.signal_history("amount", 1)] == [2]


def test_records_from_many_threads_all_arrive(path):
    with watching(path) as one:
        threads = [threading.Thread(target=record, args=(one, 500)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.drain(60)
        assert one.report().capture.requests == 2000
        assert len(one.history(100)) == 40


def test_what_is_recorded_after_closing_is_written_when_asked_for(path):
    with watching(path) as one:
        for number in (1, 2, 3):
            record(one, 1)
            assert one.drain()
            assert one.report().capture.rows == number
            one.close()
            assert not one._thread.is_alive()


def test_a_record_after_closing_starts_the_thread_again(path):
    with watching(path) as one:
        record(one, 1)
        one.drain()
        one.close()
        record(one, 1)
        assert one._thread.is_alive()


def test_closing_writes_what_is_queued(path):
    with watching(path) as one:
        record(one, 70)
    assert query(path, "SELECT count(*) FROM rows") == [(70,)]
    assert query(path, "SELECT count(*) FROM checks") == [(1,)]


def test_a_monitor_holds_no_connection_until_there_is_something_to_write(path):
    # Servers fork after building the app, and a connection must not be carried over.
    with watching(path) as one:
        assert one._recorder.store.db is None


def test_two_monitors_on_one_file_see_each_others_checks(path):
    with watching(path) as one, watching(path) as other:
        record(one, 30)
        one.drain()
        record(other, 30, seed=2)
        other.drain()
        one.drain()
        assert one.report().check == other.report().check
        assert one.report().capture == other.report().capture
        assert one.headers == other.headers


def test_a_disabled_monitor_does_nothing(path):
    with watching(path, enabled=False) as one:
        record(one, 10)
        assert one.drain()
        report = one.report()
        assert (report.status, report.severity, report.signals) == ("off", "unknown", [])
        assert (one.history(10), one.signal_history("amount", 10)) == ([], [])
        assert dict(one.headers)[b"x-drift-severity"] == b"unknown"
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"check_every": 0}, ConfigError),
        ({"baseline": "gone.csv"}, BaselineError),
        ({"ignore": ["nobody"]}, BaselineError),
        ({"buffer": "gone/drift.db"}, StoreError),
        ({"buffer": "/"}, StoreError),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_at_construction(path, options, error):
    with pytest.raises(error), watching(path, **options):
        pass


# Processes.

HEAD = """
import os, sys
import numpy as np
from drift_middleware import Baseline, Monitor
rng = np.random.default_rng(0)
baseline = Baseline.fit({"amount": rng.lognormal(size=400), "score": rng.random(400)})

def record(one, rows):
    rng = np.random.default_rng(os.getpid())
    for _ in range(rows):
        one.record({"amount": float(rng.lognormal())}, float(rng.random()))

def fork(work):
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    return child

def join(*children):
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
"""

AT_EXIT = """
one = Monitor(baseline=baseline, buffer=sys.argv[1])
record(one, 70)
"""


def test_what_is_queued_when_a_program_ends_is_written_and_nothing_is_left_open(path):
    done = run(HEAD + AT_EXIT, path, "-X", "dev")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert query(path, "SELECT count(*) FROM rows") == [(70,)]


THREE_WORKERS = """
one = Monitor(baseline=baseline, buffer=sys.argv[1], check_every=500)

def work():
    record(one, 2000)
    assert one.drain(60)
    one.close()

join(*[fork(work) for _ in range(3)])
"""


def test_workers_on_one_file_make_one_check_for_each_check_every_of_all_their_requests(path):
    done = run(HEAD + THREE_WORKERS, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert query(path, "SELECT count(*), max(number) FROM checks") == [(12, 12)]
    assert query(path, "SELECT DISTINCT requests FROM checks") == [(500,)]
    assert query(path, "SELECT count(*) FROM rows") == [(6000,)]


FORK = """
one = Monitor(baseline=baseline, buffer=sys.argv[1], check_every=50)
record(one, 10)
assert one.drain()
before = one._thread

def work():
    record(one, 20)
    assert one.drain()
    assert one._thread is not before and one._thread.is_alive()
    one.close()

child = fork(work)
record(one, 30)
assert one.drain()
join(child)
assert one._thread is before
one.drain()
print(one.report().capture.requests, one.report().check.number)
"""


def test_parent_and_child_of_a_fork_each_have_a_thread_and_their_counts_add_up(path):
    done = run(HEAD + FORK, path, "-W", "ignore::DeprecationWarning")
    assert (done.stdout, done.stderr) == ("60 1\n", "")
    assert query(path, "SELECT count(*) FROM rows") == [(60,)]


FORK_WHILE_WRITING = """
one = Monitor(baseline=baseline, buffer=sys.argv[1])

def work():
    record(one, 5)
    assert one.drain()

children = []
for _ in range(20):
    record(one, 200)
    one.inbox.hurry()
    children.append(fork(work))
join(*children)
print(one.drain(), one.report().reason)
"""


def test_a_fork_while_the_parent_writes_leaves_the_child_able_to_write(path):
    done = run(HEAD + FORK_WHILE_WRITING, path, "-W", "ignore::DeprecationWarning")
    assert (done.stdout, done.stderr) == ("True None\n", "")
    assert query(path, "SELECT count(*) FROM rows") == [(20 * 205,)]
