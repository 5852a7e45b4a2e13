from contextlib import contextmanager

import numpy as np
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.distances import DISTANCES
from drift_middleware.errors import ConfigError
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import WindowReport

HOUR = 3600
NOON = 1_700_000_000.0
RNG = np.random.default_rng(0)
COLUMNS = {"age": RNG.normal(size=400), "city": RNG.choice(["Oslo", "Rome"], 400)}
BASELINE = Baseline.fit(COLUMNS, source="test")


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@contextmanager
def watching(path, clock, **options):
    one = Monitor(
        **{"baseline": BASELINE, "buffer": path, "check_every": 20, "clock": clock} | options
    )
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def clock():
    return Clock()


def record(one, rows, shift=0.0, seed=1, **more):
    rng = np.random.default_rng(seed)
    for _ in range(rows):
        features = {"age": float(rng.normal(shift)), "city": str(rng.choice(["Oslo", "Rome"]))}
        one.record(features | more, {"score": float(rng.random())})
    assert one.drain()


def hours(one, clock, shifts):
    """Make two checks an hour."""
    for seed, shift in enumerate(shifts):
        clock.now += HOUR / 2
        record(one, 20, shift, seed)


def named(window):
    return {signal.name: signal for signal in window.signals}


def test_without_a_window_none_is_reported(path, clock):
    with watching(path, clock) as one:
        assert one.report().window is None


def test_a_window_is_the_sum_of_its_checks(path, clock):
    with watching(path, clock) as one:
        hours(one, clock, [5, 5, 0, 0, 0, 0])
        whole, recent = one.report(window="1d").window, one.report(window="61m").window
    assert (whole.checks, whole.requests, whole.rows, whole.note) == (6, 120, 120, None)
    assert (whole.since, whole.until) == ("2023-11-14T22:43:20.000Z", "2023-11-15T01:13:20.000Z")
    assert (recent.checks, recent.rows) == (3, 60)
    assert recent.since == "2023-11-15T00:13:20.000Z"
    age = named(whole)["age"]
    # A third of these rows is above all that the baseline showed.
    assert age.unseen == pytest.approx(1 / 3, abs=0.02)
    assert age.distances["ks"] == pytest.approx(1 / 3, abs=0.1)
    assert named(recent)["age"].unseen < 0.05


def test_a_signal_of_a_window_has_what_its_report_has_of_the_same_rows(path, clock):
    with watching(path, clock, guard=False) as one:
        hours(one, clock, [0] * 10)
        report = one.report(window="1d")
    now = {signal.name: signal for signal in report.signals}
    assert {*now} == {*named(report.window)}
    for name, signal in named(report.window).items():
        assert signal.rows == now[name].effective_rows == 200
        for field in ("distances", "by_chance", "missing", "unseen", "cells"):
            assert getattr(signal, field) == getattr(now[name], field), (name, field)
    assert {*named(report.window)["age"].distances} == {*DISTANCES}


def test_the_signal_that_moved_most_comes_first(path, clock):
    with watching(path, clock) as one:
        for city in ("Oslo", "Paris"):
            record(one, 40, city=city)
        names = [signal.name for signal in one.report(window="1h").window.signals]
    assert names == ["city", "age"]


def test_what_traffic_has_not_shown_is_left_out_and_what_is_missing_is_told(path, clock):
    with watching(path, clock) as one:
        for number in range(40):
            one.record({"age": 0.5} if number % 4 else {"age": None})
        one.drain()
        (age,) = one.report(window="1h").window.signals
    assert (age.name, age.rows, age.missing) == ("age", 40, (0.0, 0.25))


def test_a_window_without_checks_is_empty(path, clock):
    with watching(path, clock) as one:
        hours(one, clock, [0])
        clock.now += HOUR
        assert one.report(window="30m").window == WindowReport()
        assert one.report(since="2030-01-01").window == WindowReport()


def test_a_window_ends_before_until(path, clock):
    with watching(path, clock) as one:
        hours(one, clock, [0, 0, 0])
        window = one.report(since="2023-11-14T22:43:20Z", until="2023-11-14T23:13:20Z").window
    assert (window.checks, window.since) == (1, "2023-11-14T22:43:20.000Z")


def test_checks_that_had_another_baseline_are_left_out_and_it_is_said(path, clock):
    other = Baseline.fit({"age": RNG.normal(size=400)}, source="other")
    with watching(path, clock) as one:
        hours(one, clock, [0, 0])
    with watching(path, clock, baseline=other) as one:
        hours(one, clock, [0, 0, 0])
        whole, recent = one.report(window="1d").window, one.report(window="61m").window
    assert (whole.checks, whole.since) == (3, "2023-11-14T23:43:20.000Z")
    assert whole.note == "Checks up to number 2 had another baseline: left out."
    assert [signal.name for signal in whole.signals] == ["age"]
    assert (recent.checks, recent.note) == (3, None)


def test_signals_are_summed_over_the_learning_of_outputs(path, clock):
    with watching(path, clock, learn_rows=60) as one:
        hours(one, clock, [0] * 5)
        window = one.report(window="1d").window
    assert (window.checks, window.note) == (5, None)
    rows = {name: signal.rows for name, signal in named(window).items()}
    assert (rows["age"], rows["city"], rows["score"]) == (100, 100, 40)


def test_while_a_baseline_is_learned_there_is_nothing_to_compare_with(path, clock):
    with watching(path, clock, baseline=None, learn_rows=50) as one:
        record(one, 10)
        window = one.report(window="1d").window
    assert (window.checks, window.note) == (0, "There is no baseline yet to compare with.")


def test_an_impossible_window_is_refused_even_if_nothing_is_watched(path, clock):
    with watching(path, clock, enabled=False) as one:
        assert one.report(window="24h").window is None
        with pytest.raises(ConfigError, match="window='24x' is impossible"):
            one.report(window="24x")
