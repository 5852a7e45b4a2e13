import warnings

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drift_middleware.drift.cells import LARGEST
from drift_middleware.drift.joint import MOST_COLUMNS, Joint, correlation

NAN = float("nan")
values = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-1e9, 1e9),
    st.sampled_from([NAN, LARGEST, -LARGEST, np.inf, -np.inf]),
)
tables = st.tuples(st.integers(2, 5), st.integers(1, 40)).flatmap(
    lambda shape: arrays(float, shape, elements=values)
)


def named(table):
    return {f"x{i}": column for i, column in enumerate(table)}


def learn(columns):
    return Joint.learn(columns, np.random.default_rng(0))


def normal(rows, correlation=0.0, columns=2, seed=0):
    """Columns of which the first two are correlated."""
    z = np.random.default_rng(seed).normal(size=(columns, rows))
    z[1] = correlation * z[0] + np.sqrt(1 - correlation**2) * z[1]
    return z


@given(tables, tables)
def test_any_columns_give_one_finite_distance_a_row(baseline, live):
    joint = learn(named(baseline))
    for table in (baseline, live):
        distance = joint.describe(named(table))
        assert distance.shape == table.shape[1:]
        assert np.isfinite(distance).all()
        assert (distance >= 0).all()


@given(tables, st.data())
def test_counts_of_pairs_add_over_any_batches(table, data):
    joint = learn(named(table))
    cut = data.draw(st.integers(0, table.shape[1]))
    parts = [joint.same_side(named(table[:, rows])) for rows in (slice(cut), slice(cut, None))]
    assert (sum(parts) == joint.same_side(named(table))).all()


@given(tables)
def test_pairs_are_counted_as_they_are_defined(table):
    joint = learn(named(table))
    same, rows = joint.same_side(named(table)).reshape(2, -1)
    middles = np.frombuffer(joint.middles)
    pair = 0
    for i in range(len(table)):
        for j in range(i + 1, len(table)):
            both = ~np.isnan(table[i]) & ~np.isnan(table[j])
            agree = (table[i] > middles[i]) == (table[j] > middles[j])
            assert (same[pair], rows[pair]) == ((both & agree).sum(), both.sum())
            pair += 1
    assert pair == len(same)


@given(tables)
def test_a_saved_one_is_equal_and_describes_equally(table):
    joint = learn(named(table))
    saved = msgspec.json.decode(msgspec.json.encode(joint), type=Joint)
    assert saved == joint
    assert (saved.describe(named(table)) == joint.describe(named(table))).all()


def test_the_distance_is_that_of_mahalanobis_in_normal_columns():
    x = normal(20_000, 0.6)
    found = learn(named(x)).describe(named(x))
    inverse = np.linalg.inv(np.array([[1, 0.6], [0.6, 1]]))
    exact = np.einsum("ir,ij,jr->r", x, inverse, x)
    usual = (np.abs(x) < 2).all(axis=0)
    assert np.corrcoef(found[usual], exact[usual])[0, 1] > 0.99
    assert found.mean() == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("shape", [np.exp, np.cbrt, lambda z: 1e12 + z])
def test_the_shape_of_a_column_does_not_matter_but_for_rounding(shape):
    x = normal(3000, 0.6)
    other = np.array([x[0], shape(x[1])])
    was = learn(named(x)).describe(named(x))
    now = learn(named(other)).describe(named(other))
    assert np.corrcoef(was, now)[0, 1] > 0.97


def test_a_row_against_the_usual_dependence_is_farther_than_one_along_it():
    joint = learn(named(normal(3000, 0.8)))
    along, against = joint.describe(named(np.array([[1.5, 1.5], [1.5, -1.5]])))
    assert against > 5 * along


def test_a_missing_value_or_column_counts_as_a_usual_one():
    joint = learn(named(normal(3000, 0.8)))
    first = np.array([0.0, 1.0, NAN])
    gone = joint.describe({"x0": first})
    assert (gone == joint.describe({"x0": first, "x1": np.full(3, NAN)})).all()
    assert gone[2] == pytest.approx(0)
    assert gone[1] > gone[0]
    assert joint.same_side({"x0": first}).tolist() == [0, 0]
    assert joint.describe({}).tolist() == []
    assert joint.same_side({}).tolist() == [0, 0]


def test_a_constant_adds_nothing_whatever_it_becomes():
    x = normal(500, 0.5)
    with_constant = learn({**named(x), "fixed": np.full(500, 7.0)})
    live = {**named(x), "fixed": np.linspace(-9, 9, 500)}
    assert np.allclose(with_constant.describe(live), learn(named(x)).describe(named(x)))


def test_columns_that_repeat_each_other_do_not_blow_up():
    x = normal(1000)[0]
    joint = learn({"a": x, "b": x, "c": 2 * x})
    assert joint.describe({"a": x, "b": x, "c": 2 * x}).max() < 20
    unlike = joint.describe({"a": np.array([2.0]), "b": np.array([-2.0]), "c": np.array([0.0])})
    assert 50 < unlike[0] < 1000


def test_equal_values_have_the_score_of_their_middle_rank():
    spent = np.maximum(normal(5000)[0] - 0.5, 0)  # two thirds are zero
    other = normal(5000, seed=1)[0]
    joint = learn({"spent": spent, "other": other})
    scores = np.frombuffer(joint.scores).reshape(2, -1)[0]
    knots = np.frombuffer(joint.knots).reshape(2, -1)[0]
    assert len(set(scores[knots == 0])) == 1
    zero, most = joint.describe({"spent": np.array([0.0, 3.0])})
    assert zero < 0.5 < most


def test_ties_are_parted_where_they_part_most_evenly():
    mostly_largest = np.array([1.0] * 3 + [2.0] * 7)
    mostly_smallest = np.array([1.0] * 7 + [2.0] * 3)
    joint = learn({"a": mostly_largest, "b": mostly_smallest})
    assert np.frombuffer(joint.middles).tolist() == [1.0, 1.0]
    assert np.frombuffer(joint.above) == pytest.approx([0.7, 0.3])


def test_of_many_columns_the_most_dependent_are_kept_in_their_order():
    columns = named(normal(800, columns=MOST_COLUMNS + 8))
    rng = np.random.default_rng(1)
    for i in (3, 30, 39):
        columns[f"x{i}"] = columns["x11"] + 0.3 * rng.normal(size=800)
    joint = learn(columns)
    assert len(joint.columns) == MOST_COLUMNS
    assert {"x3", "x11", "x30", "x39"} <= set(joint.columns)
    assert list(joint.columns) == [name for name in columns if name in joint.columns]


def test_the_pair_that_moved_most_is_named_with_its_correlations():
    joint = learn(named(normal(5000, 0.6, columns=5)))
    live = normal(3000, 0.6, columns=5, seed=1)
    live[3] = -0.5 * live[2] + np.sqrt(0.75) * live[3]
    moved = joint.most_moved(joint.same_side(named(live)))
    assert (moved.first, moved.second) == ("x2", "x3")
    assert moved.baseline_correlation == pytest.approx(0, abs=0.06)
    assert moved.live_correlation == pytest.approx(-0.5, abs=0.06)
    assert moved.live_share == pytest.approx(1 / 3, abs=0.03)
    assert moved.baseline_share == pytest.approx(1 / 2, abs=0.03)


def test_a_pair_with_few_rows_is_not_named_for_its_noise():
    joint = learn(named(normal(5000, 0.6, columns=4)))
    live = normal(3000, -0.6, columns=4, seed=1)
    live[3, 4:] = NAN
    moved = joint.most_moved(joint.same_side(named(live)).tolist())
    assert (moved.first, moved.second) == ("x0", "x1")


def test_no_pair_is_named_without_rows():
    joint = learn(named(normal(100)))
    assert joint.most_moved([0, 0]) is None
    nothing = learn(named(np.full((2, 5), NAN)))
    assert nothing.describe({"x0": np.ones(2)}).tolist() == [0, 0]
    assert nothing.most_moved([1, 2]).live_correlation == 0


@pytest.mark.parametrize("true", [-0.9, -0.3, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("above", [(0.5, 0.5), (0.4, 0.6)])
def test_a_correlation_is_estimated_from_shares(true, above):
    x = normal(200_000, true)
    first, second = (
        column > np.quantile(column, 1 - p) for column, p in zip(x, above, strict=True)
    )
    found = correlation(np.mean(first == second), *above)
    assert found == pytest.approx(true, abs=0.01 if above == (0.5, 0.5) else 0.12)


@given(st.floats(0, 1))
def test_both_forms_of_sheppard_s_formula_agree(share):
    assert correlation(share) == pytest.approx(-np.cos(np.pi * share), abs=1e-12)


def test_a_column_on_one_side_has_no_correlation():
    assert correlation(0.5, 0.0, 0.5) == 0


def test_of_a_large_baseline_some_rows_are_enough():
    x = normal(60_000, 0.6)
    joint = learn(named(x))
    rows = np.frombuffer(joint.counts, "<i8")[1]
    assert rows == 20_000
    assert joint.describe(named(x)).mean() == pytest.approx(2, abs=0.2)


def test_nothing_warns_of_numbers_at_the_end_of_what_there_is():
    smallest = [0.0] * 17 + [-5e-324, -1e-313, 5e-324]
    largest = [LARGEST, -LARGEST, NAN, np.inf, -np.inf] * 4
    table = np.array([smallest, largest])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(learn(named(table)).describe(named(table))).all()
