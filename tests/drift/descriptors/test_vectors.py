import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.drift.descriptors.vectors import MOST_CENTERS, Vector, read_vectors

NAN = float("nan")
numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3))
anything = st.recursive(
    st.one_of(numbers, st.binary(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)
vectors = st.lists(st.floats(-9, 9), min_size=3, max_size=3)
columns = st.lists(st.one_of(vectors, anything), max_size=12)


def learn(values, seed=0):
    return Vector.learn(values, np.random.default_rng(seed))


def clouds(centers, rows, spread=0.1, seed=0):
    """Equally many rows around each centre, in turns."""
    centers = np.array(centers, float)
    where = centers[np.arange(rows) % len(centers)]
    return (where + spread * np.random.default_rng(seed).normal(size=where.shape)).tolist()


EMBEDDINGS = learn(clouds([[3, 0, 0], [0, 3, 0], [0, 0, 3]], 300))
PROBABILITIES = learn(np.random.default_rng(0).dirichlet(np.ones(3), 200).tolist())
DESCRIPTORS = pytest.mark.parametrize(
    "vector", [EMBEDDINGS, PROBABILITIES], ids=["embeddings", "probabilities"]
)


@DESCRIPTORS
@given(columns)
def test_whatever_comes_has_one_value_of_each_part_a_row(vector, column):
    described = vector.describe(column, None)
    assert tuple(described) == vector.parts
    for part in described.values():
        assert len(part) == len(column)


@DESCRIPTORS
@given(columns)
def test_a_row_is_described_alike_whatever_stands_beside_it(vector, column):
    together = vector.describe(column, None)
    for i, value in enumerate(column):
        alone = vector.describe([value], None)
        for part in vector.parts:
            a, b = alone[part][0], together[part][i]
            # A product of a matrix and one of a vector differ in their last bits.
            assert a == b or a == pytest.approx(b, rel=1e-3, abs=2e-4, nan_ok=True)


@given(columns)
def test_learning_from_anything_gives_a_descriptor_that_can_be_saved(column):
    vector = learn(column)
    saved = msgspec.json.decode(msgspec.json.encode(vector), type=Vector)
    assert saved == vector
    assert saved.describe(column, None).keys() == set(vector.parts)
    assert vector.learned <= set(vector.parts)


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2.5], [3, 4]],
        [(1, 2.5), (3, 4)],
        [np.array([1, 2.5]), np.array([3, 4])],
        [np.array([1, 2.5]), [3, 4]],
        ["[1, 2.5]", " [3,4]\n"],
        ["[1, 2.5]", [3, 4]],
        [[[1], [2.5]], [[3], [4]]],
        [np.array([[1], [2.5]]), "[[3], [4]]"],
        [np.array([np.array([1]), np.array([2.5])], object), [3, 4]],
        np.array([[1, 2.5], [3, 4]]),
        [["1", "2.5"], [3, 4]],
    ],
    ids=repr,
)
def test_a_vector_may_be_written_in_many_ways(values):
    assert read_vectors(values).tolist() == [[1, 2.5], [3, 4]]
    assert read_vectors(values, 2).tolist() == [[1, 2.5], [3, 4]]


@pytest.mark.parametrize(
    "odd",
    [
        *(None, 1.5, True, "text", "", "[1, 2", "[a]", "[1, 2, 3]", "7", b"12", {}, {"a": 1}),
        *([], [1], [1, 2, 3], [1, [2]], ["a", "b"], [None, None], [{}, {}], [1, NAN], [[1, 2]] * 2),
        *([10**400, 1], "[" * 100_000, np.array("x"), np.array([1, 2, 3]), {1, 2}),
    ],
    ids=lambda odd: repr(odd)[:30],
)
def test_what_is_no_vector_is_a_row_without_one_and_the_others_stay(odd):
    usual = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    for width in (None, 2):
        found = read_vectors([*usual, odd], width)
        assert found[:3].tolist() == usual
        assert np.isnan(found[3]).any()
    described = learn(clouds([[3, 0], [0, 3]], 100)).describe([odd, *usual], None)
    assert np.isnan([described["norm"][0], described["cosine"][0]]).all()
    assert described["cluster"][0] is None
    assert np.isfinite(described["norm"][1:]).all()


@pytest.mark.parametrize(
    "values",
    [
        *([], [None, None], [1.0, 2.0], ["a", "b"], [[1], [2]], [[], []], [["a", "b"], ["c", "d"]]),
        *([[1, 2], [1, 2, 3], [1]], [{"a": 1}, {"a": 2}], [[1, 2], "a", "b"], [b"12", b"34"]),
    ],
    ids=repr,
)
def test_a_column_without_vectors_of_one_width_is_none_of_vectors(values):
    assert read_vectors(values) is None


def test_missing_values_do_not_keep_a_column_from_being_one_of_vectors():
    found = read_vectors([None, None, [1, 2], None])
    assert found[2].tolist() == [1, 2]
    assert np.isnan(found[[0, 1, 3]]).all()


def test_other_widths_than_the_baseline_s_are_rows_of_nan():
    assert np.isnan(read_vectors([[1, 2, 3]] * 2, 2)).all()
    assert read_vectors([[1, 2, 3]] * 2, 2).shape == (2, 2)


def test_an_embedding_has_its_norm_its_angle_and_its_nearest_centre():
    described = EMBEDDINGS.describe([[6, 0, 0], [-2, -2, -2], [0, 0.5, 0]], None)
    assert described["norm"] == pytest.approx([6, np.sqrt(12), 0.5], rel=1e-3)
    assert described["cosine"] == pytest.approx([1 / np.sqrt(3), -1, 1 / np.sqrt(3)], abs=0.01)
    first, _, last = described["cluster"]
    assert first != last


def test_the_cluster_is_that_of_the_nearest_centre():
    rng = np.random.default_rng(3)
    x = 1000 + rng.normal(size=(400, 6))  # far from zero, where float32 is coarse
    vector = learn(x.tolist())
    centroid = np.frombuffer(vector.centroid, "<f4").astype(float)
    centers = np.frombuffer(vector.centers, "<f4").reshape(-1, 6) + centroid
    distances = ((x[:, None] - centers) ** 2).sum(axis=2)
    nearest = np.argmin(distances, axis=1) + 1
    assert np.mean(vector.describe(x.tolist(), None)["cluster"] == nearest.astype(str)) > 0.995


def test_separate_clouds_have_centres_of_their_own_the_largest_first():
    sizes = {"1": 300, "2": 200, "3": 100}
    points = list(
        itertools.chain(*([[9.0 * i, -9.0 * i]] * n for i, n in enumerate(sizes.values())))
    )
    noisy = np.array(points) + 0.1 * np.random.default_rng(0).normal(size=(600, 2))
    cluster = learn(points).describe(noisy.tolist(), None)["cluster"]
    assert {name: cluster.count(name) for name in sizes} == sizes


def test_the_same_data_give_the_same_descriptor():
    values = clouds(np.eye(5), 400, spread=0.5)
    assert learn(values) == learn(values)


def test_probabilities_have_a_largest_its_share_and_an_entropy():
    described = PROBABILITIES.describe([[0.25, 0.5, 0.25], [1, 0, 0], [1 / 3] * 3], None)
    assert PROBABILITIES.learned == set()
    assert described["top"] == ["1", "0", "0"]
    assert described["confidence"].tolist() == [0.5, 1, 0.333333]
    assert described["entropy"] == pytest.approx([1.5, 0, np.log2(3)], abs=1e-4)


def test_scores_that_come_for_probabilities_are_told_by_their_confidence():
    described = PROBABILITIES.describe([[-2, 5.5, 1], [np.inf, 0, 0]], None)
    assert described["top"] == ["1", "0"]
    assert described["confidence"].tolist() == [5.5, np.inf]


@pytest.mark.parametrize(
    ("row", "of_probabilities"),
    [
        ([0.2, 0.8], True),
        ([0.2, 0.8009], True),
        ([0.2, 0.81], False),
        ([-0.1, 1.1], False),
        ([0.6, 0.6], False),
    ],
)
def test_probabilities_are_told_by_every_row(row, of_probabilities):
    assert learn([[0.5, 0.5]] * 20 + [row]).of_probabilities is of_probabilities


def test_normalised_vectors_have_one_norm_whatever_their_rounding():
    x = np.random.default_rng(0).normal(size=(500, 64))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    vector = learn(x.tolist())
    for sent in (x, x.astype(np.float32), np.round(x, 5), x.astype(np.float16).astype(float)):
        assert set(vector.describe(sent.tolist(), None)["norm"]) == {1}


def test_constant_few_and_empty_vectors_are_described():
    constant = learn([[1.0, 2.0]] * 100)
    described = constant.describe([[1, 2], [2, 1]], None)
    assert described["cosine"] == pytest.approx([1, 0.8])
    assert described["cluster"] == ["1", "1"]
    zero = learn([[0.0, 0.0]] * 100).describe([[0, 0], [1, 1]], None)
    assert zero["norm"].tolist() == [0, pytest.approx(np.sqrt(2), rel=1e-3)]
    assert learn([[3.0, 4.0]]).describe([[3, 4]], None)["norm"] == [5]
    nothing = learn([None, NAN]).describe([[1, 2, 3]], None)
    assert np.isnan(nothing["norm"]).all()
    assert nothing["cluster"] == [None]


def test_numbers_at_the_end_of_what_there_is_have_an_infinite_norm():
    described = EMBEDDINGS.describe([[1e300, 0, 0], [3e38, -3e38, 0]], None)
    assert described["norm"].tolist() == [np.inf, np.inf]
    assert described["cluster"] == [None, None]
    assert learn([[3e38, -3e38]] * 50 + [[1.0, 2.0]] * 50).width == 2


def test_repeated_vectors_have_no_more_centres_than_there_are_vectors():
    repeated = learn([[0.0, 1.0], [5.0, 5.0]] * 100)
    assert set(repeated.describe([[0, 1], [5, 5], [2, 3]], None)["cluster"]) == {"1", "2"}
    assert len(learn(clouds(np.eye(40) * 9, 400)).centers) == MOST_CENTERS * 40 * 4


def test_images_are_vectors_with_fewer_centres_the_larger_they_are():
    images = np.random.default_rng(0).integers(0, 256, (60, 300, 400, 3), np.uint8)
    vector = learn(list(images))
    assert vector.width == 360_000
    assert len(vector.centers) == vector.width * 4
    assert vector.describe([images[0].tolist()], None)["norm"] == pytest.approx(
        np.linalg.norm(images[0].astype(float)), rel=1e-3
    )


def test_of_a_large_baseline_some_rows_are_enough():
    vector = learn(clouds([[3, 0], [0, 3]], 20_000))
    assert set(vector.describe([[3, 0], [0, 3]], None)["cluster"]) <= set("12345678")
