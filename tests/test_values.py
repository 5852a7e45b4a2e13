"""Every kind of value, from the record that a client sends to the severity."""

import sqlite3
from contextlib import closing, contextmanager

import numpy as np
import pytest

from drift_middleware import Baseline, Monitor

WORDS = ["rain", "falls", "on", "green", "hills", "while", "people", "walk", "home", "slowly"]
ROWS = 1500
EVERY = 250


def columns(rows, seed, **changes):
    """Make a table with a column of every kind; `changes` replace columns."""
    rng = np.random.default_rng(seed)
    days, hours = rng.integers(1, 29, rows), rng.integers(0, 24, rows)
    return {
        "number": rng.normal(size=rows).round(6).tolist(),
        "count": rng.integers(0, 4, rows).tolist(),
        "flag": (rng.random(rows) < 0.3).tolist(),
        "city": rng.choice(["Oslo", "Rome", "Lima"], rows).tolist(),
        "constant": [1] * rows,
        "nothing": [None] * rows,
        "review": [" ".join(rng.choice(WORDS, rng.integers(4, 12))) for _ in range(rows)],
        "sent": [f"2026-03-{d:02}T{h:02}:30:00Z" for d, h in zip(days, hours, strict=True)],
        "embedding": rng.normal(1, 1, (rows, 16)).tolist(),
        "label": rng.choice(["yes", "no"], rows).tolist(),
        "confidence": rng.beta(5, 2, rows).tolist(),
    } | {name: change(rng, rows) for name, change in changes.items()}


OUTPUTS = ["label", "confidence"]
BASELINE = Baseline.fit(columns(ROWS, 0), predictions=OUTPUTS)


@contextmanager
def watching(path, **options):
    one = Monitor(buffer=path, check_every=EVERY, **{"baseline": BASELINE} | options)
    try:
        yield one
    finally:
        one.close()


def send(one, table):
    for values in zip(*table.values(), strict=True):
        row = dict(zip(table, values, strict=True))
        one.record(row, {name: row.pop(name) for name in OUTPUTS if name in row} or None)
    assert one.drain(30)


def levels(one):
    return {signal.name: signal.severity for signal in one.report().signals}


def test_unchanged_values_of_every_kind_raise_nothing(path):
    with watching(path) as one:
        send(one, columns(10 * EVERY, 1))
        assert set(levels(one).values()) == {"none"}
        assert one.report().not_captured == []
        assert len(one.history(100)) == 10


CHANGES = {
    "review.length": {"review": lambda rng, n: [" ".join(rng.choice(WORDS, 30)) for _ in range(n)]},
    "review.new_words": {"review": lambda rng, n: [" ".join(["quux"] * 6)] * n},
    "review.script": {"review": lambda rng, n: ["дождь идёт на холмах зелёных медленно"] * n},
    "sent.hour": {"sent": lambda rng, n: ["2026-03-05T03:00:00Z"] * n},
    "sent.weekday": {"sent": lambda rng, n: ["2026-03-08T12:00:00Z"] * n},
    "embedding.norm": {"embedding": lambda rng, n: rng.normal(1, 2, (n, 16)).tolist()},
    "embedding.cosine": {
        "embedding": lambda rng, n: (rng.normal(1, 1, (n, 16)) * np.tile([1, -1], 8)).tolist()
    },
    "confidence.spread": {"confidence": lambda rng, n: rng.beta(0.5, 0.2, n).tolist()},
    "label": {"label": lambda rng, n: ["yes"] * n},
    "constant": {"constant": lambda rng, n: [2] * n},
    "nothing": {"nothing": lambda rng, n: ["something"] * n},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_named(path, name):
    with watching(path) as one:
        send(one, columns(2 * EVERY, 2))
        assert set(levels(one).values()) == {"none"}
        send(one, columns(2 * EVERY, 3, **CHANGES[name]))
        (column,) = CHANGES[name]
        found = levels(one)
        assert found[name] == "high"
        # What belongs to other columns is as before; the joint signal is of all numbers.
        quiet = {level for other, level in found.items() if other.partition(".")[0] != column}
        assert quiet == {"none"}


SAME = {
    "numbers as texts": {"number": str, "count": str},
    "integers as floats": {"count": float, "constant": float},
    "flags as numbers": {"flag": int},
    "flags as texts": {"flag": str},
    "times in seconds": {"sent": lambda text: np.datetime64(text[:-1]).astype(int).item()},
    "times in another zone's words": {"sent": lambda text: text.replace("Z", "+00:00")},
    "vectors as texts": {"embedding": str},
    "confidence as text": {"confidence": str},
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_value_in_another_type_is_the_same(path, name):
    table = columns(4 * EVERY, 4)
    table |= {column: [*map(change, table[column])] for column, change in SAME[name].items()}
    with watching(path) as one:
        send(one, table)
        assert set(levels(one).values()) == {"none"}


HOSTILE = [None, "", "NaN", [], {}, [[]], [1, "a"], {"a": [1]}, 10**400, -1e308, float("inf"), True]


def test_anything_may_be_sent_as_anything_and_only_that_column_drifts(path):
    rng = np.random.default_rng(5)
    with watching(path) as one:
        for column in columns(1, 0):
            changed = {column: lambda rng, n: [HOSTILE[i] for i in rng.integers(0, 12, n)]}
            send(one, columns(40, int(rng.integers(1 << 30)), **changed))
        report = one.report()
        assert (report.capture.errors, report.status) == (0, "watching")
        assert report.capture.rows == 40 * len(columns(1, 0))


def test_vectors_are_kept_by_their_parts_and_texts_as_they_are(path):
    with watching(path) as one:
        send(one, columns(50, 6))
    with closing(sqlite3.connect(path)) as db:
        kept = [name for _, name, *_ in db.execute("PRAGMA table_info(rows)")]
        (review,) = db.execute("SELECT review FROM rows LIMIT 1").fetchone()
    assert {"embedding.norm", "embedding.cosine", "embedding.cluster"} <= {*kept}
    assert not {"embedding", "review.length", "sent.hour", "joint"} & {*kept}
    assert review == columns(50, 6)["review"][0]


def test_a_baseline_of_every_kind_is_learned_from_traffic(path):
    with watching(path, baseline=None, learn_rows=1000) as one:
        send(one, columns(1000, 7))
        found = {signal.name for signal in BASELINE.signals}
        baseline = one.report().baseline
        assert baseline.rows == 1000
        send(one, columns(2 * EVERY, 8))
        assert levels(one).keys() >= (found | {"sent.age"}) - {"nothing"}
        assert set(levels(one).values()) == {"none"}
        send(one, columns(2 * EVERY, 9, **CHANGES["embedding.norm"]))
        assert levels(one)["embedding.norm"] == "high"


def test_a_change_of_dependence_names_the_pair(path):
    rng = np.random.default_rng(10)

    def table(rows, correlation):
        first, second, third = rng.normal(size=(3, rows))
        second = correlation * first + np.sqrt(1 - correlation**2) * second
        return {"first": first.tolist(), "second": second.tolist(), "third": third.tolist()}

    with watching(path, baseline=Baseline.fit(table(3000, 0.7))) as one:
        send(one, table(2 * EVERY, 0.7))
        assert set(levels(one).values()) == {"none"}
        send(one, table(4 * EVERY, -0.7))
        top = one.report().signals[0]
        assert (top.name, top.severity) == ("joint", "medium")
        assert top.why.startswith("first and second have a correlation of about -0.")
        assert {level for name, level in levels(one).items() if name != "joint"} == {"none"}
