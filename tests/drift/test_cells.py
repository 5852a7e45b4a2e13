import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from drift_middleware.drift.cells import FEW, LARGEST, cut_levels, cut_numbers

NAN, INF = float("nan"), float("inf")
columns = arrays(
    float,
    st.integers(1, 60),
    elements=st.one_of(st.integers(-8, 8).map(float), st.floats(-1e6, 1e6), st.just(NAN)),
)
levels = st.lists(st.one_of(st.none(), st.sampled_from("abcdefghijklmnop")), max_size=60)


def cut(values, seed=0):
    return cut_numbers(np.array(values, float), np.random.default_rng(seed))


def place_at_rank(cells, value, draw):
    """Count the edge pairs (value, draw) that are not above the given pair: the definition."""
    whole = cells.edges.index(value) if value in cells.edges else 0
    pairs = [(cells.edges[int(key)], key) for key in cells.keys]
    return sum(pair <= (value, whole + draw) for pair in pairs)


@given(columns)
def test_rank_cells_weigh_one_more_than_the_rows_and_value_cells_half_a_row_more_each(values):
    cells = cut(values)
    assert cells.present + cells.missing == len(values)
    assert cells.missing == np.isnan(values).sum()
    if cells.edges:
        assert sum(cells.weights) == cells.present + 1
    else:
        assert sum(cells.weights) == cells.present + 1 + 0.5 * (len(cells) - 1)


@given(columns)
def test_cells_have_one_label_and_one_mean_each_and_only_positive_weights(values):
    cells = cut(values)
    assert len(cells.labels()) == len(cells.means) == len(cells)
    assert min(cells.weights) > 0
    assert not cells.edges or len(cells.keys) == len(cells) - 1
    assert list(cells.keys) == sorted(cells.keys)


@given(columns.filter(lambda values: len(np.unique(values[~np.isnan(values)])) > FEW))
def test_a_rank_cell_weighs_the_baseline_rows_in_it_and_a_row_for_the_edge_that_closes_it(values):
    draws = np.random.default_rng(0).random(np.count_nonzero(~np.isnan(values)))
    cells = cut(values)
    present = values[~np.isnan(values)]
    counts = np.zeros(len(cells))
    for value, draw in zip(present, draws, strict=True):
        counts[place_at_rank(cells, value, draw)] += 1
    # An edge is itself a row of the baseline, and falls above itself.
    assert (counts[1:] == np.array(cells.weights)[1:]).all()
    assert counts[0] == cells.weights[0] - 1


@given(levels)
def test_levels_weigh_like_values_and_stand_in_order_of_frequency(column):
    cells = cut_levels(column)
    counts = [column.count(name) for name in cells.values]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == cells.present == len(column) - cells.missing
    assert sum(cells.weights) == cells.present + 1 + 0.5 * (len(cells) - 1)
    assert cells.novel == (len(cells) - 1,)
    assert len(cells.labels()) == len(cells) == min(len(counts), FEW + 1) + 1


def test_two_hundred_values_or_more_make_fourteen_cells():
    cells = cut(range(200))
    assert cells.weights == (1, 1, 18, 20, 20, 20, 20, 21, 20, 20, 20, 18, 1, 1)
    assert cells.novel == (0, 13)


def test_small_columns_have_these_cells():
    cells = cut([3, 1, 1, 2, 2, 2, NAN])
    assert (cells.values, cells.weights) == ((1, 2, 3), (2.5, 3.5, 0.5, 2))
    assert (cells.means, cells.labels()) == ((1, 2, 3, 3), ["1", "2", "3", "never seen"])
    cells = cut_levels(["b", "a", "b", None, "c"])
    assert (cells.values, cells.weights) == (("b", "a", "c"), (2.5, 0.5, 0.5, 3))


def test_levels_past_the_most_frequent_share_a_cell():
    names = [chr(97 + i) for i in range(12) for _ in range(20 - i)]
    cells = cut_levels([*names, "once"])
    assert cells.labels() == [*"abcdefghij", "other", "never seen"]
    assert cells.weights[-2:] == (10 + 9 + 0.5, 2)
    assert cells.values == (*"abcdefghijkl", "once")


def test_ten_distinct_values_are_cells_and_eleven_are_cut_at_ranks():
    assert cut(list(range(10)) * 3).edges == ()
    assert len(cut(list(range(10)) * 3)) == 11
    assert cut(list(range(11)) * 3).edges != ()
    assert cut(list(range(11)) * 3).values == ()


def test_a_constant_column_has_its_value_and_any_other():
    cells = cut([7.0] * 30)
    assert (cells.weights, cells.novel, cells.labels()) == ((30.5, 1), (1,), ["7", "never seen"])


@pytest.mark.parametrize(
    "cells", [cut([NAN] * 5), cut_levels([None] * 5)], ids=["numbers", "levels"]
)
def test_a_column_that_is_all_missing_has_one_cell(cells):
    assert (cells.weights, cells.novel, cells.present, cells.missing) == ((1,), (0,), 0, 5)


def test_an_extreme_that_occurs_twice_is_nothing_new():
    rising = list(range(200))
    assert cut(rising).novel == (0, 13)
    assert cut([0, *rising]).novel == (13,)
    assert cut([*rising, 199]).novel == (0,)
    assert cut([0, *rising, 199]).novel == ()


def test_an_atom_is_spread_over_the_cells_that_it_covers():
    cells = cut([0.0] * 50 + list(range(1, 51)))
    assert cells.edges == (0, 11, 21, 31, 41, 50)
    assert cells.novel == (len(cells) - 1,)
    assert sum(key < 1 for key in cells.keys) == 6
    assert sum(cells.weights) == 101


def test_one_infinity_counts_as_the_largest_number():
    cells = cut([*range(20), INF])
    assert cells.edges[-1] == LARGEST
    assert np.isfinite(cells.means).all()
    assert np.isfinite(cells.spread)


def test_several_infinities_leave_all_numbers_finite():
    cells = cut([*range(20), INF, INF, INF, -INF, -INF])
    assert np.isfinite(cells.means).all()


def test_the_same_draws_cut_the_same_cells():
    values = np.random.default_rng(1).poisson(20, 500)
    assert cut(values, seed=3) == cut(values, seed=3)
    assert cut(values, seed=3).keys != cut(values, seed=4).keys


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, rows: rng.normal(size=rows),
        lambda rng, rows: rng.poisson(20, rows).astype(float),
        lambda rng, rows: np.maximum(rng.normal(0, 1, rows), 0),
        lambda rng, rows: np.round(rng.lognormal(0, 2, rows), 1),
    ],
    ids=["normal", "ties everywhere", "half of it zero", "heavy tail with ties"],
)
def test_a_new_row_falls_in_each_rank_cell_with_its_share_of_the_weight(draw):
    rng = np.random.default_rng(20)
    rows, runs = 100, 4000
    seen = {}
    for _ in range(runs):
        values = draw(rng, rows + 1)
        cells = cut_numbers(values[1:], rng)
        counts = seen.setdefault(cells.weights, np.zeros(len(cells)))
        counts[place_at_rank(cells, values[0], rng.random())] += 1
    (weights, counts), *other_cuts = seen.items()
    assert not other_cuts
    expected = np.array(weights) / (rows + 1) * runs
    assert chisquare(counts, expected).pvalue > 0.001
