import numpy as np
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.columns import column_of
from drift_middleware.drift.kinds import UnwatchableError, kind_of
from drift_middleware.errors import BaselineError

ROWS = 300
RNG = np.random.default_rng(0)
WORDS = ["rain", "falls", "on", "green", "hills", "while", "people", "walk", "home", "slowly"]
SENTENCES = [" ".join(RNG.choice(WORDS, 6)) for _ in range(ROWS)]
DAYS = [f"2026-03-{day:02}T{hour:02}:15:00Z" for day in range(1, 26) for hour in range(12)]
VECTORS = RNG.normal(size=(ROWS, 8))

KINDS = {
    "numbers": ("number", RNG.normal(size=ROWS)),
    "few numbers": ("number", RNG.integers(0, 3, ROWS)),
    "money in the range of times": ("number", RNG.uniform(1.5e9, 1.7e9, ROWS)),
    "categories": ("category", RNG.choice(["EWR", "JFK"], ROWS)),
    "several words, few of them": ("category", RNG.choice(["New York", "Los Angeles"], ROWS)),
    "flags": ("category", RNG.choice([True, False], ROWS)),
    "nothing": ("category", [None] * ROWS),
    "sentences": ("text", SENTENCES),
    "times": ("time", DAYS),
    "vectors": ("vector", VECTORS.tolist()),
    "arrays": ("vector", list(VECTORS)),
    "vectors in a CSV": ("vector", [str(row.tolist()) for row in VECTORS]),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_a_column_holds_is_told_from_its_values(name):
    kind, values = KINDS[name]
    assert kind_of("x", column_of(values)) == kind


def test_numbers_are_times_where_the_name_says_so_too():
    seconds = column_of(RNG.uniform(1.5e9, 1.7e9, ROWS))
    assert kind_of("created_at", seconds) == "time"
    assert kind_of("amount", seconds) == "number"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([f"key {i}" for i in range(ROWS)], "all different"),
        (list(range(1000, 1000 + ROWS)), "number the rows"),
        ([["a"], ["b", "c"]] * 50, "lists of no vectors"),
    ],
    ids=["identifiers", "row numbers", "lists of texts"],
)
def test_what_only_names_its_row_is_left_out(values, reason):
    with pytest.raises(UnwatchableError, match=reason):
        kind_of("x", column_of(values))


def table():
    return {
        "review": SENTENCES,
        "at": DAYS,
        "embedding": VECTORS.tolist(),
        "zip": RNG.integers(10_000, 10_050, ROWS).tolist(),
        "height": RNG.normal(size=ROWS).tolist(),
        "weight": RNG.normal(size=ROWS).tolist(),
        "score": RNG.random(ROWS).tolist(),
    }


def signals(baseline):
    return {signal.name: signal.kind for signal in baseline.signals}


def test_what_is_described_is_watched_by_its_parts():
    found = signals(Baseline.fit(table()))
    assert found["review.length"] == found["review.new_words"] == "ordered"
    assert found["review.script"] == found["at.weekday"] == "categorical"
    assert found["at.hour"] == found["embedding.norm"] == found["embedding.cosine"] == "ordered"
    assert found["embedding.cluster"] == "categorical"
    assert found["score"] == found["score.spread"] == found["joint"] == "ordered"
    assert not {"review", "at", "embedding", "at.age"} & found.keys()


def test_a_column_is_what_it_is_said_to_be():
    kinds = {"zip": "category", "review": "category"}
    found = signals(Baseline.fit(table(), kinds=kinds))
    assert found["zip"] == found["review"] == "categorical"
    found = signals(Baseline.fit({"city": ["New York", "Rome"] * 150}, kinds={"city": "text"}))
    assert found["city.words"] == "ordered"


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ({"review": "number"}, "'review' cannot be number: it holds no number"),
        ({"height": "text"}, "'height' cannot be text"),
        ({"height": "vector"}, "'height' cannot be vector"),
        ({"review": "time"}, "'review' cannot be time"),
        ({"hight": "number"}, "did you mean 'height'"),
    ],
    ids=str,
)
def test_what_a_column_cannot_be_is_an_error_that_names_it(kinds, said):
    with pytest.raises(BaselineError, match=said):
        Baseline.fit(table(), kinds=kinds)


def test_a_timestamp_gives_other_times_an_age_and_is_not_watched():
    columns = {
        "born": DAYS,
        "sent": [day.replace("2026", "2027") for day in DAYS],
        "x": [1.0] * ROWS,
    }
    baseline = Baseline.fit(columns, timestamp="sent")
    assert signals(baseline)["born.age"] == "ordered"
    assert baseline.left_out["sent"] == "it says when each row happened"
    assert "sent" not in baseline.columns
    means = next(one for one in baseline.signals if one.name == "born.age").cells.means
    assert set(means) == {365 * 86_400.0}
    with pytest.raises(BaselineError, match="'x' of columns holds no times"):
        Baseline.fit(columns, timestamp="x")


def test_the_joint_signal_can_be_left_out_and_goes_with_its_columns():
    assert "joint" not in signals(Baseline.fit(table(), ignore=["joint"]))
    baseline = Baseline.fit(table())
    assert {"height", "weight"} <= {*baseline.joint.columns}
    assert baseline.without(["height"]).joint is None
    assert "joint" not in signals(baseline.without(["height"]))
    assert "joint" in signals(baseline.without(["review"]))


def test_one_number_alone_has_no_joint_signal_nor_has_a_table_with_a_column_of_that_name():
    numbers = RNG.normal(size=ROWS)
    assert [*signals(Baseline.fit({"a": numbers}))] == ["a"]
    named = Baseline.fit({"a": numbers, "b": numbers**2, "joint": numbers**3})
    assert named.joint is None


def test_a_saved_baseline_is_the_same(tmp_path):
    baseline = Baseline.fit(table(), segment_by="score")
    baseline.save(tmp_path / "baseline.json")
    loaded = Baseline.load(tmp_path / "baseline.json")
    assert (loaded, loaded.fingerprint) == (baseline, baseline.fingerprint)
    other = Baseline.fit(table() | {"review": SENTENCES[::-1]})
    assert other.fingerprint != baseline.fingerprint


def test_an_ordered_baseline_learns_from_its_parts_too():
    ordered = Baseline.fit(table(), ordered=True)
    assert ordered.shrink.keys() >= {"review.length", "embedding.norm", "joint"}
    assert all(value >= 1 for value in ordered.shrink.values())


def test_segments_have_baselines_of_their_own_rows():
    rows = 900
    client = np.array(["big", "middle", "small"])[
        np.searchsorted([500, 800], np.arange(rows), "right")
    ]
    columns = {"client": client, "x": RNG.normal(size=rows) + 9 * (client == "middle")}
    baseline = Baseline.fit(columns, segment_by="client")
    assert {name: part.rows for name, part in baseline.segments.items()} == {
        "big": 500,
        "middle": 300,
    }
    middle = baseline.segments["middle"]
    assert [signal.name for signal in middle.signals] == ["x"]
    assert 8 < middle.signals[0].cells.means[7] < 10
    assert baseline.segments["big"].source == "columns, client=big"
    assert Baseline.fit(columns, segment_by="route").segments == {}
