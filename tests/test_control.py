"""What people change by hand: check now, start afresh, take traffic as the baseline."""

import logging
import sqlite3
from contextlib import closing, contextmanager

import numpy as np
import pytest

from drift_middleware.backtest import backtest
from drift_middleware.drift.baseline import Baseline
from drift_middleware.errors import BaselineError, ConfigError, StoreError
from drift_middleware.monitor import Monitor

WORDS = ("good", "bad", "late", "early", "red", "green")


def table(rows, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return {
        "amount": (rng.lognormal(size=rows) + shift).tolist(),
        "height": rng.normal(shift, 1, rows).tolist(),
        "city": rng.choice(["Oslo", "Rome"], rows).tolist(),
        "user": rng.choice(["ada", "bob", "eve"], rows).tolist(),
        "score": rng.random(rows).tolist(),
    }


def record(one, columns, outputs=("score",)):
    for i in range(len(next(iter(columns.values())))):
        row = {name: values[i] for name, values in columns.items()}
        one.record(row, {name: row.pop(name) for name in outputs if name in row} or None)
    assert one.drain(60)


@contextmanager
def watching(path, **options):
    given = {"baseline": Baseline.fit(table(500), source="test"), "buffer": path}
    one = Monitor(**given | {"check_every": 100} | options)
    try:
        yield one
    finally:
        one.close()


def moved(report):
    return {signal.column for signal in report.signals if signal.severity != "none"}


# Checking.


def test_a_check_judges_what_is_pending_however_little(path):
    with watching(path) as one:
        record(one, table(30, seed=1))
        assert one.report().check is None
        report = one.check()
        assert (report.check.number, report.check.requests, report.severity) == (1, 30, "none")
        assert one.headers[-1] == (b"x-drift-check", b"1")
        record(one, table(100, seed=2))
        assert [(each.number, each.requests) for each in one.history(9)] == [(2, 100), (1, 30)]


def test_a_check_of_nothing_is_none(path):
    with watching(path) as one:
        assert one.check().check is None
        record(one, table(100, seed=1))
        assert one.check().check.number == 1
        assert len(one.history(9)) == 1


# Starting afresh.


def test_after_a_reset_the_severity_is_unknown_and_what_was_known_is_forgotten(path):
    with watching(path) as one:
        record(one, table(350, seed=1, shift=3))
        assert one.report().severity == "high"
        report = one.reset()
        assert (report.severity, report.status, report.check) == ("unknown", "warming up", None)
        assert moved(report) == set()
        assert one.headers[0] == (b"x-drift-severity", b"unknown")
        record(one, table(100, seed=2))
        report = one.report()
        assert (report.severity, report.check.number, report.check.rows) == ("none", 4, 100)
        assert [each.number for each in one.history(9)] == [4, 3, 2, 1]
        assert report.capture.rows == 450


def test_a_change_after_a_reset_is_told_by_the_numbers_of_the_history(path):
    with watching(path) as one:
        record(one, table(300, seed=1))
        one.reset()
        record(one, table(300, seed=2))
        record(one, table(100, seed=3, shift=3))
        since = {signal.name: signal.since_check for signal in one.report().signals}
        assert since["height"] == 7


def test_a_reset_is_the_same_after_a_restart(path):
    with watching(path) as one:
        record(one, table(300, seed=1, shift=3))
        one.reset()
    with watching(path) as one:
        assert one.report().severity == "unknown"
        assert moved(one.report()) == set()


def test_segments_start_afresh_too(path):
    baseline = Baseline.fit(table(900), segment_by="city")
    with watching(path, baseline=baseline, segment_by="city") as one:
        record(one, table(200, seed=1, shift=3))
        assert {each.severity for each in one.report().segments.values()} == {"high"}
        one.reset()
        record(one, table(100, seed=2))
        assert {each.severity for each in one.report().segments.values()} == {"none"}


def test_a_replay_starts_afresh_where_the_detector_did(path):
    with watching(path) as one:
        record(one, table(200, seed=1, shift=3))
        one.reset()
        record(one, table(200, seed=2))
        one.reset()
        record(one, table(200, seed=3, shift=3))
    found = backtest(path)
    assert found.recorded.severities == {"none": 2, "high": 4}
    assert (found.checks, found.different) == (6, 0)


def test_a_window_goes_on_over_a_reset(path):
    with watching(path) as one:
        record(one, table(200, seed=1))
        one.reset()
        record(one, table(100, seed=2))
        window = one.report(window="1h").window
        assert (window.checks, window.note) == (3, None)


# Traffic as the baseline.


def test_the_baseline_is_that_of_the_newest_rows(path):
    live = table(700, seed=1, shift=3)
    with watching(path) as one:
        record(one, live)
        report = one.adopt(300)
        newest = {name: values[-300:] for name, values in live.items()}
        assert report.baseline.fingerprint == Baseline.fit(newest).fingerprint
        assert report.baseline.source.startswith("traffic, adopted at ")
        assert (report.baseline.kept, report.baseline.left_out) == ({}, {})
        assert (report.severity, report.not_captured) == ("unknown", [])
        record(one, table(300, seed=2, shift=3))
        assert one.report().severity == "none"
        assert len(one.report().signals) == len(report.signals) == 7


def test_what_comes_after_it_is_compared_with_it(path):
    with watching(path) as one:
        record(one, table(300, seed=1, shift=3))
        one.adopt()
        record(one, table(300, seed=2))
        assert moved(one.report()) == {"amount", "height", "joint"}
        window = one.report(window="1h").window
        assert window.note == "Checks up to number 3 had another baseline: left out."
        assert window.checks == 3


@pytest.mark.parametrize(
    ("learn_rows", "sent", "taken"), [(300, 450, 300), (2000, 450, 450), (50, 450, 200)]
)
def test_as_many_rows_are_taken_as_one_is_learned_from_or_as_there_are(
    path, learn_rows, sent, taken
):
    with watching(path, learn_rows=learn_rows) as one:
        record(one, table(sent, seed=1))
        assert one.adopt().baseline.rows == taken


@pytest.mark.parametrize("rows", [0, 199, 10_001, -5])
def test_a_number_of_rows_that_is_impossible_is_refused(path, rows):
    with watching(path) as one:
        record(one, table(300, seed=1))
        with pytest.raises(ConfigError, match=f"rows={rows} is impossible: give 200 to 10,000"):
            one.adopt(rows)
        assert one.report().baseline.source == "test"


def test_more_rows_than_there_are_are_refused_and_nothing_is_changed(path):
    with watching(path) as one:
        record(one, table(250, seed=1, shift=3))
        before = one.report()
        with pytest.raises(BaselineError, match="250 rows are in the buffer, and 300 are needed"):
            one.adopt(300)
        assert one.report() == before
        record(one, table(50, seed=2))
        assert one.report().check.number == 3


def test_columns_that_cannot_be_read_back_go_on_as_they_were(path):
    def with_more(rows, seed, shift=0.0):
        rng = np.random.default_rng(seed + 1000)
        return table(rows, seed, shift) | {
            "plate": rng.choice(["a", "b", "c"], rows).tolist(),
            "face": rng.normal(shift, 1, (rows, 4)).tolist(),
        }

    baseline = Baseline.fit(with_more(500, 0) | {"absent": table(500, 9)["height"]})
    with watching(path, baseline=baseline, redact="user", hash="plate") as one:
        record(one, with_more(300, 1, shift=3))
        report = one.adopt()
        assert report.baseline.kept == {
            "user": "redacted",
            "plate": "stored as hashes",
            "face": "lists are not stored",
            "absent": "never captured",
        }
        assert report.not_captured == ["absent"]
        record(one, with_more(300, 2, shift=3))
        # What it went on with is still the old baseline: what had moved there, has.
        assert moved(one.report()) == {"face"}
        odd = with_more(100, 3, shift=3) | {"user": ["mallory"] * 100, "plate": ["x"] * 100}
        record(one, odd)
        assert moved(one.report()) == {"face", "user", "plate"}


def test_texts_of_which_the_end_was_not_stored_go_on_as_they_were(path):
    def texts(rows, seed, longest):
        rng = np.random.default_rng(seed)
        made = [" ".join(rng.choice(WORDS, rng.integers(5, 40))) for _ in range(rows)]
        return {"text": ["word " * longest, *made[1:]], "n": rng.normal(size=rows).tolist()}

    baseline = Baseline.fit(texts(300, 0, 20))
    with watching(path, baseline=baseline) as one:
        record(one, texts(250, 1, 20))
        assert one.adopt().baseline.kept == {}
        record(one, texts(250, 2, 3000))
        assert one.adopt(200 + 50).baseline.kept == {"text": "its texts are stored in part"}


def test_values_without_names_are_still_given_to_the_right_columns(path):
    with watching(path, redact="amount") as one:
        record(one, table(300, seed=1, shift=3))
        assert one.adopt().baseline.kept == {"amount": "redacted"}
        columns = table(200, seed=2, shift=3)
        for i in range(200):
            row = [columns[name][i] for name in ("amount", "height", "city", "user")]
            one.record(row, columns["score"][i])
        one.drain()
        assert moved(one.check()) == {"amount"}


def test_outputs_that_were_learned_from_traffic_are_in_it(path):
    features = {name: values for name, values in table(500).items() if name != "score"}
    with watching(path, baseline=features, learn_rows=2000) as one:
        record(one, table(300, seed=1))
        assert one.report().prediction == "unknown"
        report = one.adopt()
        roles = {signal.column: signal.role for signal in report.signals}
        assert roles["score"] == "prediction"
        record(one, table(100, seed=2))
        assert one.report().prediction == "none"


def test_a_learned_baseline_gives_way_to_newer_traffic(path):
    with watching(path, baseline=None, learn_rows=200) as one:
        record(one, table(300, seed=1))
        report = one.report()
        assert report.baseline.source == "learned from traffic"
        assert (report.not_captured, len(report.signals)) == ([], 7)  # `joint` is one of them
        record(one, table(300, seed=2, shift=3))
        one.adopt()
        record(one, table(200, seed=3, shift=3))
        assert one.report().severity == "none"
    with watching(path, baseline=None, learn_rows=200) as one:
        assert one.report().baseline.source.startswith("traffic, adopted at ")


def test_a_column_stays_of_its_kind(path):
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 6, 400).tolist()
    baseline = Baseline.fit(
        {"code": codes, "n": [n / 7 for n in codes]}, kinds={"code": "category"}
    )
    with watching(path, baseline=baseline) as one:
        record(one, {"code": codes[:300], "n": [n / 7 for n in codes[:300]]})
        kinds = {signal.name: signal.kind for signal in one.report().signals}
        one.adopt()
        after = {signal.name: signal.kind for signal in one.report().signals}
        assert {name: after[name] for name in kinds} == kinds
        assert kinds["code"] == "categorical"


def test_segments_are_those_of_the_traffic(path):
    baseline = Baseline.fit(table(900), segment_by="city")
    with watching(path, baseline=baseline, segment_by="city", redact="user") as one:
        live = table(600, seed=1, shift=3)
        record(one, live | {"city": ["Oslo", "Bern"] * 300})
        one.adopt()
        record(one, table(300, seed=2, shift=3) | {"city": ["Oslo", "Bern"] * 150})
        report = one.report()
        assert {name: each.severity for name, each in report.segments.items()} == {
            "Oslo": "none",
            "Bern": "none",
        }
        of_oslo = {signal.column for signal in one.report(segment="Oslo").signals}
        assert "user" in of_oslo


def test_rows_in_time_order_teach_what_they_do_by_themselves(path):
    baseline = Baseline.fit(table(500), ordered=True)
    with watching(path, baseline=baseline, ordered=True) as one:
        record(one, table(300, seed=1))
        one.adopt()
        with closing(sqlite3.connect(path)) as db:
            sql = "SELECT document ->> '$.shrink' FROM baselines WHERE source LIKE 'traffic%'"
            ((shrink,),) = db.execute(sql).fetchall()
        assert shrink != "{}"


def test_traffic_stays_the_baseline_until_another_is_configured(path):
    with watching(path) as one:
        record(one, table(300, seed=1))
        adopted = one.adopt().baseline
    with watching(path) as one:
        assert one.report().baseline == adopted
        record(one, table(50, seed=3))
        assert one.check().check.number == 4
    with watching(path, baseline=Baseline.fit(table(500, seed=8), source="newer")) as one:
        assert one.report().baseline.source == "newer"


def test_to_take_the_same_rows_again_is_seen_by_other_workers_too(path):
    with watching(path) as one, watching(path) as other:
        record(one, table(300, seed=1))
        for _ in range(2):
            adopted = one.adopt().baseline
            other.drain()
            assert other.report().baseline == adopted


def test_a_replay_is_of_the_checks_since_then(path):
    with watching(path) as one:
        record(one, table(200, seed=1, shift=3))
        one.adopt()
        record(one, table(200, seed=2))
    found = backtest(path)
    assert (found.checks, found.different) == (2, 0)


# When it cannot be.


CHANGES = pytest.mark.parametrize("change", [Monitor.check, Monitor.reset, Monitor.adopt])


@CHANGES
def test_while_a_baseline_is_learned_there_is_nothing_to_change(path, change):
    with watching(path, baseline=None) as one:
        record(one, table(30, seed=1))
        with pytest.raises(BaselineError, match="There is no baseline yet: it is being learned"):
            change(one)
        assert one.report().learning == {"rows": 30, "needed": 2000}


@CHANGES
def test_what_is_off_cannot_be_changed(path, change):
    with pytest.raises(ConfigError, match="enabled=False: nothing is watched"):
        change(Monitor(enabled=False, buffer=path))
    assert not path.exists()


def test_tallies_make_no_baseline(path):
    with watching(path, store="tallies") as one:
        record(one, table(300, seed=1))
        with pytest.raises(BaselineError, match="store='tallies' keeps no rows"):
            one.adopt()
        assert one.check().check.number == 3


def test_redacted_columns_alone_make_no_baseline(path):
    with watching(path, redact=("amount", "height", "city", "user", "score")) as one:
        record(one, table(300, seed=1))
        with pytest.raises(BaselineError, match=r"No watched column can be read back \(amount: re"):
            one.adopt()


@CHANGES
def test_a_buffer_that_fails_is_said(path, change):
    with watching(path) as one:
        record(one, table(300, seed=1))
        with closing(sqlite3.connect(path)) as db:
            db.execute("ALTER TABLE state RENAME TO elsewhere")
        with pytest.raises(StoreError, match=r"drift\.db cannot be"):
            change(one)
        with closing(sqlite3.connect(path)) as db:
            db.execute("ALTER TABLE elsewhere RENAME TO state")
        change(one)


# The log.


def test_each_change_is_logged(path, caplog):
    caplog.set_level(logging.INFO, "drift_middleware")
    with watching(path, redact="user") as one:
        record(one, table(250, seed=1))
        one.check()
        one.reset()
        one.adopt()
    said = {each.event: each for each in caplog.records}
    assert said["check"].getMessage() == "check: 3, severity none"
    assert said["reset"].getMessage() == "reset: the detector starts afresh after check 3"
    assert said["reset"].check == 3
    adopted = said["adopted"]
    assert adopted.getMessage() == "adopted: 7 signals from 250 rows; as before: user"
    assert (adopted.rows, adopted.kept) == (250, {"user": "redacted"})
    assert {*adopted.columns} == {"amount", "height", "city", "user", "score"}
