import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import pytest

from drift_middleware import writing
from drift_middleware.drift.baseline import Baseline
from drift_middleware.inbox import OVERHEAD
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Rows
from tests.faults.locking import locked

RNG = np.random.default_rng(0)
BASELINE = Baseline.fit({"amount": RNG.lognormal(size=400), "score": RNG.random(400)})


SCOPE = {"method": "POST", "headers": []}
ASKED = {"type": "http.request", "body": b"x" * 60_000}
ANSWER = {"type": "http.response.body", "body": b"1"}
START = {"status": 200, "headers": []}


@contextmanager
def watching(path, **options):
    one = Monitor(**{"baseline": BASELINE, "buffer": path, "check_every": 50} | options)
    try:
        yield one
    finally:
        one.close()


def record(one, rows, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(rows):
        one.record({"amount": float(rng.lognormal())}, float(rng.random()))


@contextmanager
def patient_watching(path, monkeypatch, **options):
    """Wait for nothing long: neither for a lock, nor to try again."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.0)
    with watching(path, **options) as one:
        one._recorder.store.timeout = 0.01
        record(one, 10)
        one.drain()
        yield one


@contextmanager
def damaged(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE tallies RENAME TO gone")
        yield
        connection.execute("ALTER TABLE gone RENAME TO tallies")


@pytest.mark.parametrize(
    ("fault", "reason"), [(locked, "database is locked"), (damaged, "no such table")]
)
def test_a_buffer_that_fails_for_a_while_degrades_and_loses_nothing(
    path, monkeypatch, caplog, fault, reason
):
    caplog.set_level(logging.INFO, "drift_middleware")
    with patient_watching(path, monkeypatch) as one:
        with fault(path):
            for seed in (2, 3, 4):
                record(one, 30, seed=seed)
                one.drain()
                assert one.report().status == "degraded"
                assert reason in one.report().reason
        one.drain()
        report = one.report()
    assert (report.status, report.reason) == ("watching", None)
    assert (report.capture.rows, report.capture.dropped, report.capture.errors) == (100, 0, 0)
    assert report.check.number == 2
    events = [record.event for record in caplog.records if "check" not in record.event]
    assert [event for event in events if event != "severity changed"] == ["degraded", "recovered"]


def test_draining_says_no_while_nothing_can_be_written(path, monkeypatch):
    with patient_watching(path, monkeypatch) as one, locked(path):
        record(one, 1)
        assert not one.drain()


def test_what_could_not_be_written_outlives_closing_and_is_said(path, monkeypatch, caplog):
    with patient_watching(path, monkeypatch) as one:
        with locked(path):
            record(one, 30)
            one.close()
        assert "30 requests could not be written" in caplog.text
        one.drain()
        assert one.report().capture.rows == 40


def test_a_buffer_that_was_removed_degrades(path, monkeypatch):
    with patient_watching(path, monkeypatch) as one:
        path.unlink()
        record(one, 10)
        one.drain()
        assert one.report().status == "degraded"


def test_what_comes_after_a_failure_is_written_after_what_waits(path, monkeypatch):
    with patient_watching(path, monkeypatch) as one:
        monkeypatch.setattr(writing, "RETRY_SECONDS", 1e9)
        with locked(path):
            one.record({"amount": -1.0})
            one.drain()
        one.record({"amount": -2.0})
        one.drain()
        one._writer._retry_at = 0.0
        one.drain()
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT amount FROM rows WHERE amount < 0 ORDER BY id")
        assert found.fetchall() == [(-1.0,), (-2.0,)]


def test_while_the_buffer_fails_the_queue_fills_and_what_is_dropped_is_known_at_once(
    path, monkeypatch
):
    with patient_watching(path, monkeypatch, max_queue_bytes=20 * OVERHEAD) as one:
        monkeypatch.setattr(writing, "RETRY_SECONDS", 1e9)
        with locked(path):
            record(one, 5)  # are refused, and kept
            one.drain()
            record(one, 50)
            one.drain()
            during = one.report().capture
        one._writer._retry_at = 0.0
        assert one.drain()
        after = one.report().capture
    assert (during.rows, during.queued, during.dropped) == (10, 25, 30)
    assert (after.rows, after.queued, after.dropped) == (35, 0, 30)
    assert during.sampled < after.sampled == round(35 / 65, 4)


def test_what_waited_for_the_buffer_is_as_old_as_it_is(path, monkeypatch):
    with patient_watching(path, monkeypatch) as one:
        monkeypatch.setattr(writing, "RETRY_SECONDS", 1e9)
        with locked(path):
            for hour in (0, 1, 2):
                monkeypatch.setattr(one, "_clock", lambda hour=hour: 3600.0 * hour)
                record(one, 2)
                one.drain()
        one._writer._retry_at = 0.0
        assert one.drain()
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT at FROM rows ORDER BY id DESC LIMIT 6").fetchall()
    assert [at for (at,) in reversed(found)] == [0.0, 0.0, 3600.0, 3600.0, 7200.0, 7200.0]


class BombError(Exception):
    pass


class Bomb:
    def __float__(self):
        raise BombError("bang")


def test_rows_that_break_the_recorder_do_not_end_the_thread(path, monkeypatch, caplog):
    with patient_watching(path, monkeypatch) as one:
        one.record({"amount": Bomb()})
        one.drain()
        assert one.report().status == "degraded"
        assert one.report().reason == "an exchange was lost, unexpected BombError: bang"
        record(one, 50)
        one.drain()
        report = one.report()
    assert report.status == "watching"
    assert (report.capture.rows, report.capture.errors) == (60, 1)
    assert [one.event for one in caplog.records].count("degraded") == 1


def test_rows_that_can_never_be_written_do_not_hold_up_the_others(path, monkeypatch):
    with patient_watching(path, monkeypatch) as one:
        with locked(path):
            one.record({"amount": Bomb()})
            one.drain()
        record(one, 10)
        one.drain()
        one.drain()
        report = one.report()
    assert (report.status, report.capture.rows, report.capture.errors) == ("warming up", 20, 1)


def test_a_round_ends_under_a_load_that_does_not(path):
    ends = threading.Event()

    def load(one):
        while not ends.is_set():
            one.inbox.put(Rows([{"amount": 1.0}], [0.5], "record"))

    with watching(path, max_queue_bytes=1 << 20) as one, ThreadPoolExecutor(1) as pool:
        pool.submit(load, one)
        try:
            assert all(one.drain(30) for _ in range(3))
            assert one.report().capture.dropped > 0
        finally:
            ends.set()


def test_who_records_does_not_wait_for_a_buffer_that_fails(path, monkeypatch):
    with patient_watching(path, monkeypatch, max_queue_bytes=5 * OVERHEAD) as one, locked(path):
        record(one, 50)
        one.drain()
        assert one.report().capture.dropped > 0


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(path, caplog):
    with watching(path, max_queue_bytes=50_000) as one:
        record(one, 1)
        one.drain()
        for _ in range(3):
            one.inbox.see(SCOPE, "/", "", ASKED, START, ANSWER)
        one.drain()
        assert (one.report().capture.rows, one.report().capture.dropped) == (1, 3)
    said = [record for record in caplog.records if record.event == "dropped"]
    assert sum(record.dropped for record in said) == 3


def test_what_is_dropped_before_the_thread_starts_is_counted(path):
    with watching(path, max_queue_bytes=1) as one:
        record(one, 3)
        one.drain()
        assert one.report().capture.dropped == 3
