import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial.distance import jensenshannon

from drift_middleware.drift.cells import cut_numbers
from drift_middleware.drift.distances import DISTANCES, cut, distances, gaps_between

weights = hnp.arrays(float, 8, elements=st.floats(0.5, 1e6))
counts = hnp.arrays(np.int64, 8, elements=st.integers(0, 10**7)).filter(lambda n: n.sum() > 0)
BOUNDED = ("total_variation", "jensen_shannon", "hellinger", "ks")


def test_the_registry_names_every_distance():
    assert sorted(DISTANCES) == [
        "chi_square",
        "hellinger",
        "jensen_shannon",
        "ks",
        "psi",
        "total_variation",
        "wasserstein",
    ]


@given(weights, counts)
def test_every_distance_is_finite_and_at_least_zero(baseline, live):
    found = distances(baseline, live, np.ones(7))
    assert all(np.isfinite(pair).all() and pair[0] >= -1e-12 for pair in found.values())
    assert all(found[name][0] <= 1 + 1e-12 for name in BOUNDED)
    assert found["ks"][0] <= found["total_variation"][0] + 1e-12
    assert found["hellinger"][0] ** 2 <= found["total_variation"][0] + 1e-12


@given(counts.map(lambda n: n + 50), st.floats(0.1, 10))
def test_equal_shares_have_no_distance(baseline, factor):
    for name, (value, _) in distances(baseline * factor, baseline, np.ones(7)).items():
        assert value == pytest.approx(0, abs=0.02 if name == "psi" else 1e-7)


@given(weights, counts, st.permutations(range(8)))
def test_only_distances_along_the_line_see_the_order_of_cells(baseline, live, order):
    one, other = distances(baseline, live), distances(baseline[order], live[order])
    for name in one.keys() - {"ks"}:
        assert one[name] == pytest.approx(other[name])


def test_they_agree_with_the_textbooks():
    baseline, live = np.array([400, 300, 200, 100]), np.array([30, 50, 60, 60])
    found = distances(baseline, live, [1.0, 2.0, 0.5])
    p, q = baseline / baseline.sum(), live / live.sum()
    table = stats.chi2_contingency([baseline, live], correction=False)
    place = [0, 1, 3, 3.5]
    assert found["chi_square"] == pytest.approx((table.statistic, table.dof))
    assert found["jensen_shannon"][0] == pytest.approx(jensenshannon(p, q, base=2))
    assert found["total_variation"][0] == pytest.approx(0.3)
    assert found["wasserstein"][0] == pytest.approx(stats.wasserstein_distance(place, place, p, q))
    assert found["ks"][0] == pytest.approx(
        stats.ks_2samp(np.repeat(place, baseline), np.repeat(place, live)).statistic
    )


def test_by_chance_is_what_chance_gives():
    rng = np.random.default_rng(1)
    ranks = np.array([0.01, 0.09, *[0.1] * 8, 0.09, 0.01])
    found = []
    for _ in range(1000):
        live = rng.multinomial(500, ranks)
        found.append(distances(rng.multinomial(5000, ranks) + 0.5, live, np.full(11, 0.3)))
    for name in DISTANCES:
        values = np.array([each[name] for each in found])
        mean = values[:, 0].mean()
        if name in ("jensen_shannon", "hellinger"):
            mean = np.sqrt((values[:, 0] ** 2).mean())
        low = 0.8 if name == "ks" else 0.93  # that of ks is an upper value
        assert low < mean / values[:, 1].mean() < 1.05, name


def test_a_shift_by_one_sd_is_one_in_wasserstein():
    rng = np.random.default_rng(2)
    baseline = rng.normal(size=50_000)
    cells = cut_numbers(baseline, rng)
    live = np.bincount(np.searchsorted(cells.edges, baseline + 0.5), minlength=len(cells))
    found = distances(cells.weights, live, gaps_between(cells.means, cells.spread))
    assert found["wasserstein"][0] == pytest.approx(0.5, abs=0.04)


def test_wasserstein_needs_gaps():
    assert "wasserstein" not in distances([1, 1], [1, 1])
    assert "wasserstein" not in distances([1, 1], [1, 1], [])
    assert not len(gaps_between([1.0, 1.0], 0.0))
    assert not len(gaps_between([-1e308, 1e308], 0.5))


@pytest.mark.parametrize(
    ("baseline", "live"), [([1, 1], [0, 0]), ([1, 0], [1, 1]), ([1, 1], [1, 1, 1])]
)
def test_what_cannot_be_compared_is_refused(baseline, live):
    with pytest.raises(ValueError, match="2 weights above 0"):
        cut(baseline, live)
