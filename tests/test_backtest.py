import hashlib
from contextlib import contextmanager

import numpy as np
import pytest

from drift_middleware.backtest import _replay, backtest
from drift_middleware.buffer import SqliteReader, SqliteStore
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.errors import ConfigError, StoreError
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import SEVERITIES
from drift_middleware.watch import JUDGING

RNG = np.random.default_rng(0)
FEATURES = {
    "amount": RNG.lognormal(size=1000),
    "age": RNG.normal(40, 9, size=1000),
    "city": RNG.choice(["Oslo", "Rome", "Paris"], 1000),
}
OUTPUT = {"score": RNG.random(1000)}
BASELINE = Baseline.fit(FEATURES | OUTPUT, source="test")
# It comes and goes, and grows; then only what depends on itself is left of it.
SHIFTS = [0, 0, 0.5, 0.5, 1, 1, 2, 0, 0, 0, 0, 0, 0.3, 0.3, 0.3, 0, 0, 0, 0, 0]


class Clock:
    now = 1_700_000_000.0

    def __call__(self):
        self.now += 0.25
        return self.now


@contextmanager
def watching(path, **options):
    defaults = {"baseline": BASELINE, "buffer": path, "check_every": 50, "clock": Clock()}
    one = Monitor(**defaults | options)
    try:
        yield one
    finally:
        one.close()


def record(one, rows, shift=0.0, seed=1, output="score"):
    """Record rows of which each is three times the same, as clients that try again make them."""
    rng = np.random.default_rng(seed)
    for number in range(rows):
        if number % 3 == 0:
            row = {
                "amount": float(rng.lognormal(shift)),
                "age": float(rng.normal(40, 9)) if rng.random() < 0.97 else None,
                "city": str(
                    rng.choice(["Oslo", "Rome", "Paris", "Bonn"], p=[0.4, 0.3, 0.29, 0.01])
                ),
            }
            answer = {output: float(rng.random() ** (1 + 3 * shift))}
        one.record(row, answer)
    assert one.drain()


def drift(path, **options):
    """Live through all of it, with a restart in the middle."""
    for part in (SHIFTS[:9], SHIFTS[9:]):
        with watching(path, **options) as one:
            for seed, shift in enumerate(part):
                record(one, 90, shift, seed)


def pairs(path, first_check=0, **options):
    return list(_replay(SqliteReader(path), Config.load({}, **options), first_check))


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    path = tmp_path_factory.mktemp("backtest") / "drift.db"
    drift(path)
    return path


LIVE = [
    {},
    {"guard": False},
    {"policy": "psi", "thresholds": {"low": 0.05, "medium": 0.2, "high": 0.5}},
    {"checks_per_false_alarm": 100, "weights": {"city": 3}},
    {"thresholds": {"amount": {"low": 0.1, "medium": 0.2, "high": 0.3}}},
    {"segment_by": "city", "guard": False},
]


@pytest.mark.parametrize("options", LIVE)
def test_with_the_same_options_every_check_is_as_it_was_live(path, options):
    drift(path, **options)
    found = pairs(path, **options)
    assert len(found) == 36
    for recorded, replayed in found:
        assert replayed == recorded
    assert len({recorded.severity for recorded, _ in found}) > 1
    told = backtest(path, **options)
    assert (told.different, told.note) == (0, None)
    assert told.replayed == told.recorded


def test_outputs_that_were_learned_are_watched_from_where_they_were_live(path):
    drift(path, baseline=Baseline.fit(FEATURES, source="test"), learn_rows=300)
    found = pairs(path)
    assert all(replayed == recorded for recorded, replayed in found)
    assert [recorded.prediction for recorded, _ in found][:7] == ["unknown"] * 6 + ["none"]
    assert any(recorded.prediction in SEVERITIES[2:] for recorded, _ in found)


def test_a_column_that_was_found_to_be_an_output_is_one_from_there_on(path):
    baseline = Baseline.fit(FEATURES | {"risk": OUTPUT["score"]}, source="test")
    with watching(path, baseline=baseline) as one:
        record(one, 300, output="other")
        for seed in range(5):
            record(one, 100, 1, seed, output="risk")
    found = pairs(path)
    assert all(replayed == recorded for recorded, replayed in found)
    assert [recorded.prediction for recorded, _ in found][4:] != ["unknown"] * 12


def test_a_baseline_that_was_learned_from_traffic_is_replayed_from_its_first_check(path):
    drift(path, baseline=None, learn_rows=500)
    told = backtest(path)
    assert (told.different, told.note) == (0, None)
    assert told.recorded.changes[0].check == 1
    assert told.replayed.severities.keys() > {"none"}


def test_checks_of_an_earlier_baseline_are_not_replayed(path):
    with watching(path, baseline=Baseline.fit(FEATURES, ignore=["age", "joint"])) as one:
        record(one, 500, 2)
    drift(path)
    told = backtest(path)
    assert (told.checks, told.recorded.changes[0].check) == (36, 11)
    assert told.different == 0
    assert told.replayed == told.recorded


def test_other_options_are_told_beside_what_was_recorded(lived):
    never = {"low": 0.9, "medium": 0.95, "high": 0.99}
    told = backtest(lived, thresholds={**never, "missing": never, "unseen": never})
    assert told.replayed.severities.keys() == {"none"}
    assert (told.replayed.first, told.replayed.changes[1:]) == ({}, [])
    assert told.recorded == backtest(lived).replayed
    assert told.different == told.checks - told.recorded.severities["none"] > 0
    assert {*told.options} == {*JUDGING}
    assert told.options["thresholds"]["unseen"] == never


def test_a_course_tells_each_change_and_each_signals_first(lived):
    told = backtest(lived)
    checks = SqliteReader(lived).history(1000)[::-1]
    assert (told.checks, told.requests, told.rows) == (36, 1800, 1800)
    assert (told.since, told.until) == (checks[0].at, checks[-1].at)
    course = told.recorded
    assert sum(course.severities.values()) == 36
    assert [(one.check, one.before, one.after) for one in course.changes] == [
        (now.number, before, now.severity)
        for before, now in with_the_one_before(checks)
        if now.severity != before
    ]
    for name, first in course.first.items():
        moved = [check for check in checks if name in check.moved]
        assert (first.check, first.severity) == (moved[0].number, moved[0].moved[name])


def with_the_one_before(checks):
    before = ["unknown", *(check.severity for check in checks)]
    return zip(before, checks, strict=False)


def test_since_leaves_out_what_came_before_and_still_replays_it(lived):
    checks = SqliteReader(lived).history(1000)[::-1]
    told = backtest(lived, since=checks[10].at)
    assert (told.checks, told.since, told.different) == (26, checks[10].at, 0)
    assert all(change.check > 10 for change in told.recorded.changes)
    assert told.recorded.changes[0].before == checks[9].severity
    after = backtest(lived, since="2100-01-01")
    assert (after.checks, after.since, after.recorded.changes) == (0, None, [])


def test_a_history_whose_beginning_is_not_kept_is_replayed_from_where_it_begins(path):
    with watching(path, keep_checks=4) as one:
        record(one, 500)
    told = backtest(path)
    assert told.checks == 4
    assert told.note == "Checks before number 7 are not kept any more: the replay starts there."


def test_an_empty_buffer_has_no_checks(path):
    with watching(path):
        told = backtest(path)
    assert (told.checks, told.note) == (0, "There is no check of the present baseline yet.")


def test_nothing_is_written_and_no_writer_is_waited_for(lived):
    def digest():
        files = sorted(lived.parent.glob("drift.db*"))
        return [
            (file.name, hashlib.sha256(file.read_bytes()).hexdigest())
            for file in files
            if not file.name.endswith("-shm")  # the readers' marks
        ]

    store = SqliteStore(str(lived), keep_rows=10, keep_checks=1000)
    with store.transaction() as tx:
        tx.put("key", b"value")
        before = digest()
        assert backtest(str(lived)).checks == backtest(SqliteReader(lived)).checks == 36
        assert digest() == before
    store.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"check_every": 100}, "check_every cannot be replayed; these can: policy, thresholds"),
        ({"polcy": "psi"}, "polcy cannot be replayed"),
        ({"policy": "nothing"}, "policy='nothing' is impossible"),
        ({"thresholds": {"amuont": {"low": 0.1}}}, "Did you mean 'amount'"),
        ({"weights": {"nobody": 2}}, "weights names 'nobody'"),
        ({"checks_per_false_alarm": 1}, "checks_per_false_alarm=1 is impossible"),
        ({"since": "yesterday"}, "since='yesterday' is impossible"),
    ],
)
def test_an_impossible_option_is_refused(lived, options, message):
    with pytest.raises(ConfigError, match=message):
        backtest(lived, **options)


def test_what_is_not_given_is_as_the_server_had_it(path, monkeypatch):
    monkeypatch.setenv("DRIFT_POLICY", "hellinger")  # of the one who asks, not of the server
    with watching(path, policy="psi", guard=False) as one:
        record(one, 50)
    told = backtest(path, guard=True)
    assert (told.options["policy"], told.options["guard"]) == ("psi", True)


def test_a_file_that_is_not_there_is_said(path):
    with pytest.raises(StoreError, match="cannot be read: unable to open"):
        backtest(path)


def test_a_baseline_that_is_lost_is_said(path):
    with watching(path) as one:
        record(one, 50)
    store = SqliteStore(str(path), keep_rows=10, keep_checks=10)
    with store.transaction():
        store.db.execute("DELETE FROM baselines")
    store.close()
    with pytest.raises(StoreError, match="The buffer has check 1, but not its baseline"):
        backtest(path)
