import tempfile
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_middleware.buffer import SqliteStore
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.recorder import Recorder
from drift_middleware.schemas import Rows
from drift_middleware.watch import Batch

NOON = 1_700_000_000.0


def columns(rows=400, seed=0, *, outputs=True):
    rng = np.random.default_rng(seed)
    table = {"amount": rng.lognormal(size=rows), "city": rng.choice(["Oslo", "Rome"], rows)}
    return table | ({"score": rng.random(rows)} if outputs else {})


FEATURES = Baseline.fit(columns(outputs=False), source="test")


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


def batch(rows):
    return Batch(rows, [NOON] * len(rows), ["/predict"] * len(rows))


@contextmanager
def recorder(path, baseline, **options):
    config = Config.load({}, **{"check_every": 20} | options)
    store = SqliteStore(str(path), keep_rows=config.keep_rows, keep_checks=config.keep_checks)
    one = Recorder(config, baseline, store, lambda: NOON)
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
    ends = [0, *sorted(places), len(rows)]
    return [batch(rows[a:b]) for a, b in pairwise(ends)]


def query(one, sql):
    with one.store.transaction():
        return one.store.db.execute(sql).fetchall()


def numbers(one):
    return [(check.number, check.requests) for check in one.store.history(1000)][::-1]


def state(one):
    return one.view.state.to_bytes()


def watched(one):
    return {signal.column: signal.role for signal in one.view.watch.baseline.signals}


places = st.lists(st.integers(0, 1000), max_size=8)


def test_a_baseline_is_learned_of_exactly_so_many_rows_and_then_watched(path):
    rows = requests(100)
    with recorder(path, None, learn_rows=60) as one:
        one.write(batch(rows[:59]))
        assert (one.view.watch, one.view.learned) == (None, 59)
        one.write(batch(rows[59:]))
        assert one.view.watch.baseline.rows == 60
        assert one.view.learned is None
        assert watched(one) == {"amount": "feature", "city": "feature", "score": "prediction"}
        assert numbers(one) == [(1, 20), (2, 20)]
        assert one.view.counters == {"requests": 100, "rows": 100}


@settings(max_examples=10)
@given(st.lists(st.integers(0, 100), max_size=8), st.integers(1, 5))
def test_the_same_baseline_is_learned_however_batches_are_cut(where, most_rows):
    rows = requests(100, most_rows=most_rows)
    table = [
        row | answer
        for each in rows
        for row, answer in zip(each.features, each.predictions, strict=True)
    ]
    expected = Baseline.fit({name: [row[name] for row in table[:60]] for name in table[0]})
    with new_file() as path, recorder(path, None, learn_rows=60) as one:
        for part in cut(rows, where):
            one.write(part)
        assert one.view.watch.baseline.fingerprint == expected.fingerprint


def test_a_learned_baseline_is_taken_up_by_other_workers_and_after_a_restart(path):
    with recorder(path, None, learn_rows=60) as one, recorder(path, None, learn_rows=60) as other:
        one.write(batch(requests(40)))
        other.write(batch(requests(40, seed=2)))
        one.refresh()
        learned = one.view.watch.baseline.fingerprint
        assert other.view.watch.baseline.fingerprint == learned
    with recorder(path, None, learn_rows=60) as again:
        assert again.view.watch.baseline.fingerprint == learned


def test_columns_to_ignore_are_not_learned(path):
    with recorder(path, None, learn_rows=60, ignore=["city", "never sent"]) as one:
        one.write(batch(requests(60)))
        assert "city" not in watched(one)


def test_columns_named_as_predictions_are_learned_as_such(path):
    with recorder(path, None, learn_rows=60, predictions=["amount"]) as one:
        one.write(batch(requests(60)))
        assert watched(one)["amount"] == "prediction"


def test_secrets_are_neither_learned_nor_kept(path):
    rows = requests(60)
    for each in rows:
        each.features[0]["user.password"] = "hunter2"
        each.predictions[0]["api_key"] = "hunter2"
    with recorder(path, None, learn_rows=60) as one:
        one.write(batch(rows))
        assert watched(one).keys() == {"amount", "city", "score"}
    assert [f for f in path.parent.iterdir() if b"hunter2" in f.read_bytes()] == []


def test_secret_outputs_are_not_learned_where_the_baseline_has_none(path):
    rows = requests(60)
    for number, each in enumerate(rows):
        each.predictions[0]["api_key"] = f"hunter{number % 7}"
    with recorder(path, FEATURES, learn_rows=60) as one:
        one.write(batch(rows))
        assert watched(one).keys() == {"amount", "city", "score"}
        assert query(one, "SELECT name FROM columns WHERE name = 'api_key'") == []


def test_a_column_that_is_only_ever_null_is_not_learned_and_stops_nothing(path):
    rows = requests(60)
    for each in rows:
        each.features[0]["empty"] = None
    with recorder(path, None, learn_rows=60) as one:
        one.write(batch(rows))
        assert watched(one).keys() == {"amount", "city", "score"}
        one.write(batch(rows[:20]))
        assert numbers(one) == [(1, 20)]


def test_traffic_of_nothing_but_nulls_gives_no_baseline_and_learning_goes_on(path):
    with recorder(path, None, learn_rows=60) as one:
        one.write(batch([Rows([{"empty": None}]) for _ in range(60)]))
        assert one.view.watch is None
        one.write(batch(requests(60)))
        assert watched(one).keys() == {"amount", "city", "score"}


def test_no_more_rows_are_kept_than_asked_for_while_nothing_can_be_learned(path):
    with recorder(path, None, learn_rows=60, keep_rows=60) as one:
        one.write(batch([Rows([{"id": f"key {number}"}]) for number in range(600)]))
        assert query(one, "SELECT count(*) <= 120 FROM rows") == [(1,)]


def test_outputs_that_the_baseline_lacks_are_learned_and_features_go_on_as_they_were(path):
    rows = requests(100, shift=1)
    silent = [Rows(each.features) for each in rows]
    with new_file() as straight, recorder(straight, FEATURES) as alone:
        alone.write(batch(silent))
        without = alone.view.watch.detector.verdict(alone.view.state)
    with recorder(path, FEATURES, learn_rows=60) as one:
        one.write(batch(rows[:59]))
        assert (one.view.learned, one.view.watch.predictions) == (59, [])
        assert one.view.progress.check.prediction == "unknown"
        one.write(batch(rows[59:]))
        assert one.view.watch.predictions == ["score"]
        assert one.view.progress.check.prediction == "none"
        assert (one.view.learned, one.view.state.check) == (None, 5)
        found = one.view.watch.detector.verdict(one.view.state)
    for verdict, expected in zip(found[:2], without, strict=True):
        assert verdict.name == expected.name
        assert verdict.channels[0].live.tolist() == expected.channels[0].live.tolist()
        assert verdict.channels[0].moved == expected.channels[0].moved


def test_outputs_that_cannot_be_watched_stop_nothing(path):
    rows = [Rows(r.features, [{"id": f"key {n}"}]) for n, r in enumerate(requests(120))]
    with recorder(path, FEATURES, learn_rows=60) as one:
        one.write(batch(rows))
        assert watched(one) == {"amount": "feature", "city": "feature"}
        assert len(numbers(one)) == 6


def test_answers_that_are_null_are_not_learned_from(path):
    rows = [Rows(each.features, [{"score": None}]) for each in requests(80)]
    with recorder(path, FEATURES, learn_rows=60) as one:
        one.write(batch(rows))
        assert one.view.watch.predictions == []
        one.write(batch(requests(60)))
        assert one.view.watch.predictions == ["score"]


def test_learned_outputs_are_there_after_a_restart(path):
    with recorder(path, FEATURES, learn_rows=60) as one:
        one.write(batch(requests(70)))
        before = state(one), one.view.watch.baseline.fingerprint
    with recorder(path, FEATURES, learn_rows=60) as one:
        assert (state(one), one.view.watch.baseline.fingerprint) == before
        assert one.view.watch.predictions == ["score"]


def test_an_output_that_is_ignored_is_not_learned(path):
    ignoring = Baseline.fit(columns(), ignore=["score"])
    with recorder(path, ignoring, learn_rows=60, ignore=["score"]) as one:
        one.write(batch(requests(60)))
        assert "score" not in watched(one)
