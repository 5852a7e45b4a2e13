"""The thread gathers what it works on, and rests between pieces of its work."""

import threading
import time

import numpy as np
import pytest

from drift_middleware.monitor import Monitor
from drift_middleware.pacing import (
    GATHER_SECONDS,
    PIECE_SECONDS,
    REST_SECONDS,
    RESTED_SECONDS,
    Pace,
)

BASELINE = {"x": np.random.default_rng(0).random(400)}


@pytest.fixture
def rests(monkeypatch):
    """Note each rest, in seconds, and take none."""
    taken = []
    monkeypatch.setattr("drift_middleware.pacing.sleep", taken.append)
    return taken


@pytest.fixture
def work(monkeypatch):
    """Let time pass, which does so by this alone."""
    passed = [0.0]
    monkeypatch.setattr("drift_middleware.pacing.perf_counter", lambda: passed[0])

    def go(seconds):
        passed[0] += seconds

    return go


def test_it_rests_after_a_piece_of_work_and_as_long_after_a_long_one(rests, work):
    pace = Pace(lambda: False)
    pace.begin()
    pace.give_way()
    assert rests == []
    work(PIECE_SECONDS)
    pace.give_way()
    work(5 * PIECE_SECONDS)
    pace.give_way()
    assert rests == [REST_SECONDS] * 2


def test_what_is_too_little_to_rest_from_adds_up(rests, work):
    pace = Pace(lambda: False)
    pace.begin()
    for _ in range(4):
        work(PIECE_SECONDS / 2)
        pace.give_way()
    assert rests


def test_it_does_not_rest_while_somebody_waits(rests, work):
    waits = iter([True, False])
    pace = Pace(lambda: next(waits))
    pace.begin()
    work(PIECE_SECONDS)
    pace.give_way()
    assert rests == []
    pace.give_way()
    assert len(rests) == 1


def test_it_does_not_rest_for_long_in_one_round_where_its_turn_comes_late(work, monkeypatch):
    taken = []

    def sleep(seconds):
        taken.append(seconds)
        work(RESTED_SECONDS / 2.5)

    monkeypatch.setattr("drift_middleware.pacing.sleep", sleep)
    pace = Pace(lambda: False)
    for _ in range(2):
        pace.begin()
        for _ in range(10):
            work(PIECE_SECONDS)
            pace.give_way()
    assert len(taken) == 2 * 3


def test_a_round_takes_its_part_of_the_time_to_gather(work):
    pace = Pace(lambda: False)
    work(1.0)
    pace.begin()
    assert pace.gather_seconds() == pytest.approx(GATHER_SECONDS)
    work(0.03)
    assert pace.gather_seconds() == pytest.approx(GATHER_SECONDS - 0.03)


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def monitor(tmp_path):
    with Monitor(baseline=BASELINE, buffer=str(tmp_path / "drift.db"), check_every=100) as one:
        yield one


def test_a_batch_is_worked_off_in_pieces(monitor, rests, monkeypatch):
    monkeypatch.setattr("drift_middleware.pacing.PIECE_SECONDS", 0.0)
    monkeypatch.setattr("drift_middleware.pacing.RESTED_SECONDS", 60.0)  # on a busy machine
    for x in np.random.default_rng(1).random(300).tolist():
        monitor.record({"x": x})
    until(lambda: monitor.report().capture.requests == 300)
    # Reading, laying in columns, counting, storing, checking, and the whole of it: three times.
    assert len(rests) >= 3 * 5


def test_who_asks_for_all_that_is_queued_does_not_wait_for_rests(monitor, rests):
    with monitor._writing:  # the thread stands still
        for x in np.random.default_rng(1).random(300).tolist():
            monitor.record({"x": x})
        asking = threading.Thread(target=monitor.drain)
        asking.start()
        until(lambda: monitor._asked == 1)
    asking.join()
    assert monitor.report().capture.requests == 300
    assert rests == []
