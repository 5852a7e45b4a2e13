import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from drift_middleware.drift.cells import LARGEST, Cells, cut_levels, cut_numbers
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import SLICES, Counter, Placed, numbers, slices_of, tallies
from drift_middleware.schemas import Table
from tests.counting import count

NAN, INF = float("nan"), float("inf")
LINE = cut_numbers(np.arange(1000.0), np.random.default_rng(0))
FEW = cut_numbers(np.array([1.0, 2.0, 2.0, 7.0]), np.random.default_rng(0))
FLAG = cut_levels(["true"] * 3 + ["false"] * 2)
WORDS = cut_levels(["a", "a", "b", "5", "0.5"])
MISSING = "missing"


def counter(cells, role="feature", seed=0):
    signals = [Signal("s", "s", role, cells)]
    return Counter(signals, np.random.default_rng(seed))


def place(cells, values, **options):
    """Place some values; each as the label of its cell."""
    table = Table(len(values), {"s": values}, predicted=[True] * len(values))
    (places,), found, _ = counter(cells, **options).place(table, ["s"])
    labels = [*cells.labels(), MISSING, "not counted"]
    return [labels[where] for where in places], found["s"]


def labels_of(cells, *values):
    return place(cells, list(values))[0]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1, "1"),
        (2.0, "2"),
        ("7", "7"),
        (" 7.0 ", "7"),
        (True, "1"),
        (np.float32(2), "2"),
        (3, "never seen"),
        (False, "never seen"),
        (INF, "never seen"),
        (-INF, "never seen"),
        (10**400, "never seen"),
        ("1e999", "never seen"),
        (None, MISSING),
        (NAN, MISSING),
        ("nan", MISSING),
        ("", MISSING),
        ("true", MISSING),
        ("seven", MISSING),
        ([1], MISSING),
        ([], MISSING),
        ({"a": 1}, MISSING),
        (b"\xff", MISSING),
        (1j, MISSING),
        (object(), MISSING),
    ],
    ids=repr,
)
def test_a_value_of_an_ordered_signal_is_the_same_alone_and_among_others(value, label):
    assert labels_of(FEW, value) == [label]
    assert labels_of(FEW, value, value) == [label] * 2
    assert labels_of(FEW, 1, value, "x", None, [1, 2]) == ["1", label, *[MISSING] * 3]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (-1, "< "),
        (-INF, "< "),
        (-(10**400), "< "),
        (1000, "> "),
        (INF, "> "),
        ("1e999", "> "),
        (500.5, "("),
        ("500.5", "("),
        (None, MISSING),
        (NAN, MISSING),
    ],
    ids=repr,
)
def test_a_value_between_edges_falls_in_its_interval(value, label):
    (found,) = labels_of(LINE, value)
    assert found.startswith(label)


def test_the_intervals_hold_what_they_are_called_after():
    inner = LINE.labels()[1:-1]
    for label in inner:
        low, high = map(float, label.strip("(]").split(", "))
        assert labels_of(LINE, (low + high) / 2) == [label]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (True, "true"),
        (False, "false"),
        ("true", "true"),
        ("True", "true"),
        ("FALSE", "false"),
        (1, "true"),
        (0, "false"),
        (1.0, "true"),
        ("1", "true"),
        ("0", "false"),
        (np.True_, "true"),
        (2, "never seen"),
        ("yes", "never seen"),
        (None, MISSING),
    ],
    ids=repr,
)
def test_a_flag_is_the_same_in_each_form_that_it_is_sent_in(value, label):
    assert labels_of(FLAG, value) == [label]
    assert labels_of(FLAG, value, [1]) == [label, MISSING]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("a", "a"),
        ("A", "never seen"),
        (5, "5"),
        (5.0, "5"),
        ("5", "5"),
        ("5.0", "never seen"),
        (0.5, "0.5"),
        (10**400, "never seen"),
        (INF, "never seen"),
        (True, "never seen"),
        ("", "never seen"),
        ("x" * 10_000, "never seen"),
        (None, MISSING),
        (NAN, MISSING),
        ([1], MISSING),
        ({}, MISSING),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_value_of_a_categorical_signal_is_the_same_alone_and_among_others(value, label):
    assert labels_of(WORDS, value) == [label]
    assert labels_of(WORDS, "a", value, [1]) == ["a", label, MISSING]


def test_levels_beyond_the_ten_most_frequent_share_a_cell():
    cells = cut_levels([f"{number}" for number in range(20) for _ in range(20 - number)])
    assert labels_of(cells, "0", "9", "10", "19", "20") == [
        "0",
        "9",
        "other",
        "other",
        "never seen",
    ]


def test_values_come_back_clean():
    assert place(WORDS, ["a", 5.0, True, None, [1]])[1] == ["a", "5", "true", None, None]
    assert place(FLAG, [1, "0", False])[1] == ["1", "0", "false"]
    found = place(FEW, ["1", True, INF, None])[1]
    assert found[:3] == [1.0, 1.0, LARGEST]
    assert np.isnan(found[3])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(st.lists(anything, max_size=20))
def test_numbers_never_raise_and_no_value_changes_how_another_is_read(column):
    together = numbers(column)
    assert together.shape == (len(column),)
    assert not np.isinf(together).any()
    np.testing.assert_array_equal(together, [numbers([value, None])[0] for value in column])


@pytest.mark.parametrize("cells", [LINE, FEW, FLAG, WORDS], ids=["line", "few", "flag", "words"])
def test_a_column_that_nobody_sent_yet_counts_nothing_and_one_that_vanished_is_missing(cells):
    one, table = counter(cells), Table(rows=3, predicted=[True] * 3)
    placed = one.place(table, [])
    assert (sum(count(one, placed)), placed.values) == (0, {})
    placed = one.place(table, ["s"])
    assert (count(one, placed), placed.values) == ([0] * len(cells) + [3], {})


def test_rows_without_a_prediction_count_for_features_alone():
    signals = [Signal("f", "f", "feature", FEW), Signal("p", "p", "prediction", FEW)]
    one = Counter(signals, np.random.default_rng(0))
    table = Table(3, {"f": [1, 2, 7], "p": [1, None, None]}, predicted=[True, True, False])
    assert one.layout.split(count(one, one.place(table, ["f", "p"]))) == {
        "f": [1, 1, 1, 0, 0],
        "p": [1, 0, 0, 0, 1],
    }


def test_values_equal_to_an_edge_are_spread_as_the_baseline_has_them():
    rng = np.random.default_rng(1)
    values = np.where(rng.random(2000) < 0.45, 0.0, rng.lognormal(size=2000))
    cells = cut_numbers(values, rng)
    one, zeros = counter(cells), [0.0] * 20_000
    table = Table(len(zeros), {"s": zeros}, predicted=[True] * len(zeros))
    found = np.array(count(one, one.place(table, ["s"])))
    at_zero = cells.edges.index(0.0)
    ends = [key - at_zero for key in cells.keys if int(key) == at_zero]
    found, first = found[found > 0], int(np.flatnonzero(found)[0])
    expected = np.diff([0.0, *ends, 1.0])[-len(found) :]
    assert len(found) > 3, "the zeros of the baseline reach over several cells"
    assert chisquare(found, expected * len(zeros)).pvalue > 1e-4
    weights = np.array(cells.weights)[first : first + len(found) - 1]
    rows = np.count_nonzero(values == 0.0)
    assert np.abs(expected[:-1] - weights / rows).max() < 4 * np.sqrt(0.25 / rows)


@pytest.mark.parametrize("name", ["normal", "zeros", "few", "levels"])
def test_the_baselines_own_rows_give_about_its_weights(name):
    rng = np.random.default_rng(2)
    values = {
        "normal": rng.normal(size=3000),
        "zeros": np.where(rng.random(3000) < 0.5, 0.0, rng.normal(size=3000)),
        "few": rng.poisson(1, 3000).clip(max=4).astype(float),
        "levels": [f"{number}" for number in rng.zipf(2, 3000)],
    }[name]
    cells = cut_levels(values) if name == "levels" else cut_numbers(values, rng)
    one = counter(cells)
    table = Table(3000, {"s": list(values)}, predicted=[True] * 3000)
    found = np.array(count(one, one.place(table, ["s"])))[:-1]
    # The rows that a baseline saw but once stand for what it never showed.
    known = [cell for cell in range(len(cells)) if cell not in cells.novel or cells.edges]
    assert np.abs(found - np.array(cells.weights))[known[:10]].max() < 4 * np.sqrt(3000 / 10)


SIGNALS = [
    Signal("line", "line", "feature", LINE),
    Signal("flag", "flag", "feature", FLAG),
    Signal("out", "out", "prediction", FEW),
]
request_rows = st.tuples(
    st.one_of(st.none(), st.floats(0.5, 998.5).filter(lambda x: x % 1)),
    st.sampled_from([True, "false", None, "x"]),
    st.sampled_from([1, 2, 3, None]),
    st.booleans(),
)
some_requests = st.lists(st.lists(request_rows, min_size=1, max_size=4), max_size=25)


def placed(requests):
    rows = [row for request in requests for row in request]
    line, flag, out, predicted = (list(column) for column in zip(*rows, strict=True))
    table = Table(len(rows), {"line": line, "flag": flag, "out": out}, predicted=predicted)
    one = Counter(SIGNALS, np.random.default_rng(0))
    return one, one.place(table, ["line", "flag", "out"])


@given(some_requests.filter(bool), st.integers(1, 24), st.randoms())
def test_the_counts_of_a_whole_are_the_sum_of_its_parts_in_any_order(requests, cut, random):
    one, whole = placed(requests)
    shuffled = random.sample(requests, len(requests))
    parts = [part for part in (shuffled[:cut], shuffled[cut:]) if part]
    total = sum(np.array(count(one, placed(part)[1])) for part in parts)
    assert total.tolist() == count(one, whole)


@given(some_requests.filter(bool), st.integers(0, 200), st.integers(1, 200))
def test_slices_cover_every_request_once_in_order(requests, since, more):
    one, whole = placed(requests)
    sizes = [len(request) for request in requests]
    check_every = since + len(requests) + more
    found = list(tallies(one, whole, sizes, slices_of(len(sizes), since, check_every)))
    slices = [tally.slice for tally in found]
    assert slices == sorted(set(slices))
    assert slices == sorted({(since + i) * SLICES // check_every for i in range(len(requests))})
    assert sum(tally.requests for tally in found) == len(requests)
    assert sum(tally.rows for tally in found) == sum(sizes)
    assert np.sum([tally.counts for tally in found], axis=0).tolist() == count(one, whole)


def rows_of_nothing(rows):
    return Placed(np.zeros((1, rows), int), {}, {})


def test_ten_slices_hold_as_many_requests_each():
    found = list(
        tallies(counter(FEW), rows_of_nothing(500), [1] * 500, slices_of(500, 0, check_every=500))
    )
    assert [(tally.slice, tally.requests, tally.rows) for tally in found] == [
        (number, 50, 50) for number in range(SLICES)
    ]


def test_requests_beyond_a_check_belong_to_its_last_slice():
    assert slices_of(3, 99, check_every=100) == [9, 9, 9]


def test_where_checks_go_by_time_a_slice_does_too():
    assert slices_of(3, 0, check_every=100, at_least=0.35) == [3, 3, 3]
    assert slices_of(3, 49, check_every=100, at_least=0.35) == [4, 5, 5]
    assert slices_of(2, 0, check_every=100, at_least=7.0) == [9, 9]


def test_no_request_gives_no_tally():
    assert list(tallies(counter(FEW), rows_of_nothing(0), [], [])) == []


def test_cells_without_any_value_take_whatever_comes_as_never_seen():
    empty = Cells(ordered=True, weights=(1.0,), novel=(0,), present=0, missing=9)
    assert labels_of(empty, 1, None) == ["never seen", MISSING]
