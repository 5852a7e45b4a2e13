import logging
import tempfile
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_middleware.buffer import SqliteStore
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.recorder import UNRELATED, Recorder
from drift_middleware.schemas import Rows
from drift_middleware.watch import Batch

NOON = 1_700_000_000.0


def columns(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.lognormal(size=rows),
        "city": rng.choice(["Oslo", "Rome"], rows),
        "score": rng.random(rows),
    }


BASELINE = Baseline.fit(columns(), source="test")


def requests(number, seed=1, shift=0.0, most_rows=1):
    """Make requests of one row or more; no value equals one of the baseline's: chance is out."""
    rng = np.random.default_rng(seed)
    return [
        Rows(
            [
                {"amount": rng.lognormal(shift), "city": str(rng.choice(["Oslo", "Rome"]))}
                for _ in range(n)
            ],
            [{"score": rng.random()} for _ in range(n)],
        )
        for n in rng.integers(1, most_rows + 1, number)
    ]


def batch(rows, endpoint="/predict"):
    return Batch(rows, [NOON] * len(rows), [endpoint] * len(rows))


@contextmanager
def recorder(path, baseline=BASELINE, clock=lambda: NOON, **options):
    config = Config.load({}, **{"baseline": baseline, "check_every": 20} | options)
    store = SqliteStore(str(path), keep_rows=config.keep_rows, keep_checks=config.keep_checks)
    one = Recorder(config, baseline, store, clock)
    one.open()
    try:
        yield one
    finally:
        one.close()


@contextmanager
def new_file():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "drift.db"


def cut(rows, places):
    ends = [0, *sorted(place % (len(rows) + 1) for place in places), len(rows)]
    return [batch(rows[a:b]) for a, b in pairwise(ends)]


def query(one, sql):
    with one.store.transaction():
        return one.store.db.execute(sql).fetchall()


def numbers(one):
    return [(check.number, check.requests) for check in one.store.history(1000)][::-1]


def state(one):
    return one.view.state.to_bytes()


def known(one):
    """All but how long a check took."""
    progress = msgspec.to_builtins(one.view.progress)
    del progress["check"]["milliseconds"]
    return state(one), progress, one.view.counters


def watched(one):
    return {signal.column: signal.role for signal in one.view.watch.baseline.signals}


places = st.lists(st.integers(0, 1000), max_size=8)


@settings(max_examples=20)
@given(st.integers(0, 70), st.integers(1, 25), st.integers(1, 4), places)
def test_there_is_exactly_one_check_in_check_every_requests(total, check_every, most_rows, where):
    rows = requests(total, most_rows=most_rows)
    with new_file() as path, recorder(path, check_every=check_every) as one:
        for part in cut(rows, where):
            one.write(part)
        assert numbers(one) == [(i + 1, check_every) for i in range(total // check_every)]
        assert one.view.pending == total % check_every
        assert one.view.counters.get("rows", 0) == sum(len(each.features) for each in rows)


@settings(max_examples=15)
@given(places, st.lists(st.booleans(), min_size=9, max_size=9))
def test_the_state_is_the_same_however_rows_are_batched_and_spread_over_workers(where, turns):
    rows = requests(70, shift=0.5, most_rows=3)
    with new_file() as path, recorder(path) as alone:
        alone.write(batch(rows))
        expected = state(alone)
    with new_file() as path, recorder(path) as one, recorder(path) as other:
        for part, turn in zip(cut(rows, where), turns, strict=False):
            (one if turn else other).write(part)
        for each in (one, other):
            each.refresh()
            assert state(each) == expected
            assert each.view.progress == one.view.progress
        assert len(numbers(one)) == 3


@pytest.mark.parametrize("together", [1, 7, 20])
def test_the_state_is_the_same_however_many_rows_are_counted_together(together, monkeypatch):
    rows = requests(70, shift=0.5, most_rows=3)
    with new_file() as path, recorder(path) as one:
        one.write(batch(rows))
        expected = state(one)
    monkeypatch.setattr("drift_middleware.recorder.TOGETHER", together)
    with new_file() as path, recorder(path) as one:
        one.write(batch(rows))
        assert state(one) == expected
        assert len(numbers(one)) == 3


def test_a_restart_continues(path):
    rows = requests(110, shift=0.5)
    with new_file() as straight, recorder(straight) as alone:
        alone.write(batch(rows))
        expected = known(alone)
    with recorder(path) as one:
        one.write(batch(rows[:50]))
    with recorder(path) as again:
        again.write(batch(rows[50:]))
        assert known(again) == expected


def test_a_damaged_state_starts_the_detector_afresh_and_keeps_the_history(path, caplog):
    with recorder(path) as one:
        one.write(batch(requests(40)))
        with one.store.transaction() as tx:
            tx.put("detector", b"no state")
    with recorder(path) as again:
        again.write(batch(requests(20)))
        assert numbers(again) == [(1, 20), (2, 20), (3, 20)]
        assert again.view.state.check == 1
    assert "the detector starts afresh" in caplog.text


def test_fewer_requests_between_checks_than_are_waiting_make_one_check_of_them(path):
    with recorder(path, check_every=100) as one:
        one.write(batch(requests(60)))
    with recorder(path, check_every=20) as one:
        one.write(batch(requests(45)))
        assert numbers(one) == [(1, 60), (2, 20), (3, 20)]


def test_another_baseline_starts_afresh_and_keeps_the_history(path):
    with recorder(path) as one:
        one.write(batch(requests(50, shift=3)))
        assert one.view.progress.check.severity == "high"
    other = Baseline.fit(columns(seed=5), source="another")
    with recorder(path, other) as one:
        assert one.view.progress.check is None
        assert (one.view.pending, one.view.progress.first_check) == (0, 2)
        one.write(batch(requests(20, seed=9)))
        assert numbers(one) == [(1, 20), (2, 20), (3, 20)]
        assert one.view.progress.check.severity == "none"
        assert one.view.state.check == 1
        assert query(one, "SELECT count(*) FROM baselines") == [(2,)]


def test_a_column_of_the_baseline_seen_only_in_responses_is_a_prediction(path):
    table = columns()
    table["delay"] = table.pop("score")  # no name of an output
    baseline = Baseline.fit(table)
    rows = [Rows(each.features, [{"delay": each.predictions[0]["score"]}]) for each in requests(40)]
    with recorder(path, baseline) as one:
        assert watched(one)["delay"] == "feature"
        one.write(batch(rows))
        assert watched(one)["delay"] == "prediction"
        assert one.view.watch.baseline.fingerprint == baseline.fingerprint
        assert one.view.progress.check.prediction == "none"
    with recorder(path, baseline) as again:
        assert watched(again)["delay"] == "prediction"


def test_a_column_that_was_never_sent_gives_no_severity(path):
    rows = [Rows([{"amount": each.features[0]["amount"]}]) for each in requests(200)]
    with recorder(path) as one:
        one.write(batch(rows))
        check = one.view.progress.check
        assert one.view.progress.captured == {"amount": "feature"}
        assert (check.data, check.prediction, check.severity) == ("none", "unknown", "none")


def test_a_column_that_vanishes_is_drift(path):
    with recorder(path) as one:
        one.write(batch(requests(100)))
        assert one.view.progress.check.moved == {}
        without = [
            Rows([{"amount": r.features[0]["amount"]}], r.predictions) for r in requests(100)
        ]
        one.write(batch(without))
        assert one.view.progress.check.moved == {"city": "high"}


def test_rows_without_a_prediction_do_not_count_for_it(path):
    with recorder(path) as one:
        one.write(batch(requests(100)))
        one.write(batch([Rows(each.features) for each in requests(100)]))
        assert one.view.progress.check.moved == {}


def test_other_routes_of_the_app_are_skipped_and_counted(path):
    others = [Rows([{"page": 1}]), Rows([[1, 2, 3, 4, 5]]), Rows([7])]
    with recorder(path) as one:
        one.write(batch(requests(30)))
        one.write(batch(others, "/pages"))
        assert one.view.counters == {"requests": 30, "rows": 30, f"skipped:{UNRELATED}": 3}
        assert one.view.pending == 10


def test_a_route_of_the_model_stays_one_when_its_columns_vanish(path):
    with recorder(path) as one:
        one.write(batch(requests(1)))
        one.write(batch([Rows([{"page": 1}])]))
        assert one.view.counters == {"requests": 2, "rows": 2}


def test_tallies_alone_keep_no_value_and_judge_the_same(path):
    rows = requests(50, shift=1)
    with new_file() as straight, recorder(straight) as keeping:
        keeping.write(batch(rows))
        expected = state(keeping)
        assert query(keeping, "SELECT count(*) FROM rows") == [(50,)]
    with recorder(path, store="tallies") as one:
        one.write(batch(rows))
        assert state(one) == expected
        assert query(one, "SELECT count(*) FROM rows") == [(0,)]
        assert query(one, "SELECT count(*) FROM columns") == [(0,)]


def test_rows_and_checks_are_kept_up_to_their_bounds(path):
    with recorder(path, keep_rows=70, keep_checks=2, learn_rows=50) as one:
        one.write(batch(requests(100)))
        assert query(one, "SELECT count(*), max(id) FROM rows") == [(70, 100)]
        assert numbers(one) == [(4, 20), (5, 20)]


def test_extreme_values_are_kept_and_counted(path):
    values = [10**400, -(10**400), 2**63, float("inf"), float("nan"), True, "7.5", "x", [1], {}]
    rows = [Rows([{"amount": value, "city": value, "other": value}]) for value in values]
    with recorder(path) as one:
        one.write(batch(rows * 2))
        assert numbers(one) == [(1, 20)]
    with new_file() as other, recorder(other, None, learn_rows=50) as one:
        one.write(batch(rows * 5))
        assert one.view.watch is not None


class BombError(Exception):
    pass


class Bomb:
    def __float__(self):
        raise BombError


def test_a_batch_that_fails_leaves_nothing_behind_and_logs_no_check(path, caplog):
    caplog.set_level(logging.INFO)
    rows = requests(50, shift=1)
    with new_file() as straight, recorder(straight) as alone:
        alone.write(batch(rows))
        expected = known(alone)
    with recorder(path) as one:
        one.write(batch(rows[:30]))
        caplog.clear()
        bad = [*requests(30, seed=7), Rows([{"amount": Bomb(), "new": "column"}])]
        with pytest.raises(BombError):
            one.write(batch(bad))
        assert caplog.records == []
        one.write(batch(rows[30:]))
        assert known(one) == expected
    assert [each.check for each in caplog.records if each.event == "check"] == [2]


def test_a_severity_says_since_when(path):
    now = [NOON]
    with recorder(path) as one:
        one._clock = lambda: now[0]
        for number in range(4):
            now[0] = NOON + 60 * number
            one.write(batch(requests(20, seed=number, shift=3)))
        progress = one.view.progress
        assert progress.check.at == "2023-11-14T22:16:20.000Z"
        assert (progress.check.severity, progress.since) == ("high", "2023-11-14T22:13:20.000Z")


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


def requests_of(one):
    return [requests for _, requests in numbers(one)]


def test_checks_by_time_come_whichever_is_first_and_never_without_traffic(path):
    clock = Clock()
    with recorder(path, clock=clock, check_every=20, check_seconds=60) as one:
        one.write(batch(requests(50)))
        assert requests_of(one) == [20, 20]
        clock.now += 59
        one.check_if_time()
        assert requests_of(one) == [20, 20]
        clock.now += 1
        one.check_if_time()
        assert requests_of(one) == [20, 20, 10]
        clock.now += 1000
        one.check_if_time()
        assert requests_of(one) == [20, 20, 10]
        one.write(batch(requests(1)))
        assert requests_of(one) == [20, 20, 10, 1]


def test_where_checks_go_by_time_slices_do_too(path):
    clock = Clock()
    with recorder(path, clock=clock, check_every=1000, check_seconds=100) as one:
        for second in range(0, 100, 5):
            clock.now = NOON + second
            one.write(batch(requests(3, seed=second)))
        with one.store.transaction() as tx:
            tallies = tx.pending_tallies()[""]
        assert [tally.slice for tally in tallies] == [*range(10)]
        assert {tally.requests for tally in tallies} == {6}


def test_another_worker_that_made_the_check_by_time_is_not_repeated(path):
    clock = Clock()
    options = {"clock": clock, "check_every": 100, "check_seconds": 60}
    with recorder(path, **options) as one, recorder(path, **options) as other:
        one.write(batch(requests(30)))
        other.write(batch(requests(30)))
        clock.now += 60
        one.check_if_time()
        other.check_if_time()
        assert requests_of(one) == [60]


@pytest.mark.parametrize("jump", [-86_400, 86_400, -5, 5])
def test_a_clock_that_jumps_costs_no_check_by_time(path, jump):
    clock = Clock()
    with recorder(path, clock=clock, check_every=100, check_seconds=60) as one:
        one.write(batch(requests(5)))
        clock.now += jump
        for _ in range(13):
            one.write(batch(requests(1)))
            one.check_if_time()
            clock.now += 5
        assert requests_of(one)[0] <= 5 + 13
        assert 1 <= len(numbers(one)) <= 2
