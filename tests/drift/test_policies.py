from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from drift_middleware.config import Policy
from drift_middleware.drift.cells import cut_levels, cut_numbers
from drift_middleware.drift.channels import Channels
from drift_middleware.drift.distances import distances, gaps_between
from drift_middleware.drift.policies import DIVERGENCES, POLICIES, Name, judges, measure_of
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.thresholds import THRESHOLDS

OTHERS = sorted(set(POLICIES) - {"moved"})
RNG = np.random.default_rng(1)
NORMAL = cut_numbers(RNG.normal(size=100_000), RNG)
SIGNALS = {
    "number": NORMAL,
    "few": cut_numbers(np.repeat([1.0, 2.0, 4.0], [500, 300, 200]), RNG),
    "binary": cut_numbers(np.repeat([0.0, 1.0], [600, 400]), RNG),
    "fixed": cut_numbers(np.full(1000, 5.0), RNG),
    "level": cut_levels(["a"] * 500 + ["b"] * 300 + ["c"] * 200),
    "level fixed": cut_levels(["a"] * 1000),
    "nothing": cut_levels([None] * 1000),
}


def plan(*cells):
    return Channels([Signal(str(i), str(i), "feature", each) for i, each in enumerate(cells)], {})


def counted(channels, *values):
    """Counts of all channels, from those of the cells of each signal; none is missing."""
    return channels.counts(np.concatenate([[*each, 0] for each in values]).astype(float))


def normal(shift):
    """Shares of the cells for normal traffic with that mean."""
    edges = np.concatenate([[-np.inf], np.array(NORMAL.edges) - shift, [np.inf]])
    return np.diff(ndtr(edges))


def exactly(policy, shift):
    """The distance of that shift, as good as without chance."""
    channels = plan(NORMAL)
    weights = counted(channels, normal(0) * 1e10) + 1e-6
    return measure_of(policy)(channels, counted(channels, normal(shift) * 1e10), weights)


def test_every_policy_is_named_and_has_thresholds():
    assert [*POLICIES] == list(get_args(Name)) == list(get_args(Policy))
    assert [*THRESHOLDS] == [*POLICIES, "share"]
    with pytest.raises(ValueError, match="no policy 'pearson'; there are moved, psi"):
        measure_of("pearson")


@pytest.mark.parametrize("policy", POLICIES)
def test_with_many_rows_it_is_the_distance_of_the_textbooks(policy):
    p, q = normal(0), normal(0.4)
    value = exactly(policy, 0.4).distance[0]
    if policy in DIVERGENCES:  # of what the baseline knows
        p, q = (share[1:-1] / share[1:-1].sum() for share in (p, q))
    gaps = gaps_between(NORMAL.means, NORMAL.spread)
    known = distances(p * 1e10, q * 1e10, gaps if len(p) == len(NORMAL) else None)
    name = {"moved": "total_variation"}.get(policy, policy)
    assert value == pytest.approx(known[name][0], abs=2e-4)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_levels_are_shifts_by_about_an_eighth_a_quarter_and_half_an_sd(policy):
    for shift, threshold in zip((1 / 8, 1 / 4, 1 / 2), THRESHOLDS[policy], strict=True):
        smaller, larger = (exactly(policy, by * shift).distance[0] for by in (0.7, 1.4))
        assert smaller < threshold < larger


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_derivatives_are_those_of_the_divergence(name):
    divergence, ratio = DIVERGENCES[name], np.geomspace(0.01, 100, 41)
    step = 1e-6 * ratio
    for function, derivative in pairwise((divergence.value, divergence.slope, divergence.bend)):
        found = (function(ratio + step) - function(ratio - step)) / (2 * step)
        np.testing.assert_allclose(derivative(ratio), found, rtol=1e-4, atol=1e-8)
    assert divergence.value(np.ones(1)) == divergence.slope(np.ones(1)) == [0]


@pytest.mark.parametrize("policy", POLICIES)
def test_it_is_debiased_and_its_lower_bound_is_of_use_and_rarely_above_the_truth(policy):
    rng, rows, against = np.random.default_rng(2), 2000, 5000
    channels, measure = plan(NORMAL), measure_of(policy)
    for shift in (0, 0.25, 0.5):
        truth, found = exactly(policy, shift).distance[0], []
        for _ in range(500):
            weights = counted(channels, rng.multinomial(against, normal(0)) + 0.5) + 0.5
            live = counted(channels, rng.multinomial(rows, normal(shift)))
            found.append([each[0] for each in measure(channels, live, weights)])
        distance, at_least, still = np.array(found).T
        assert np.mean(at_least > truth) < 0.02
        assert (at_least <= distance).all()
        assert (still <= distance).all()
        if shift:
            assert distance.mean() == pytest.approx(truth, rel=0.04)
            assert at_least.mean() > (0 if shift < 0.5 else 0.6 * truth)
        else:
            assert distance.mean() < THRESHOLDS[policy][0] / 3


def test_what_a_policy_cannot_compare_is_judged_as_moved():
    channels = plan(*SIGNALS.values())
    value = np.flatnonzero(channels.is_value)
    judged = {
        policy: {
            name for name, i in zip(SIGNALS, value, strict=True) if judges(policy, channels)[i]
        }
        for policy in POLICIES
    }
    assert judged["moved"] == {*SIGNALS}
    for policy in ("psi", "jensen_shannon", "hellinger"):
        assert judged[policy] == {"number", "few", "binary", "level"}
    for policy in ("ks", "wasserstein"):
        assert judged[policy] == {"number", "few", "binary"}
    rng = np.random.default_rng(3)
    live = [rng.multinomial(500, rng.dirichlet(np.ones(len(c)))) for c in SIGNALS.values()]
    live = counted(channels, *live)
    moved = measure_of("moved")(channels, live, channels.baseline)
    for policy in OTHERS:
        own = judges(policy, channels)
        found = measure_of(policy)(channels, live, channels.baseline)
        for one, other in zip(found, moved, strict=True):
            np.testing.assert_array_equal(one[~own], other[~own])
            assert (one[own] != other[own]).all()


@pytest.mark.parametrize("policy", ["ks", "wasserstein"])
def test_a_number_that_was_never_seen_has_no_place_among_few(policy):
    channels = plan(SIGNALS["few"])
    without, with_it = (counted(channels, [200, 500, 300, n]) for n in (0, 400))
    one, other = (measure_of(policy)(channels, n, channels.baseline) for n in (without, with_it))
    assert one.distance[0] == other.distance[0] > 0.1
    assert one.distance[2] < 0.01 < other.distance[2], "it is unseen, and judged as that"


@pytest.mark.parametrize("policy", POLICIES)
def test_without_rows_there_is_no_distance(policy):
    channels = plan(*SIGNALS.values())
    found = measure_of(policy)(channels, np.zeros(len(channels.of)), channels.baseline)
    assert not found.distance.any()
    assert (found.at_least <= 0).all()


counts = st.lists(st.integers(0, 10_000), min_size=14, max_size=14)


@settings(max_examples=50)
@given(counts, st.floats(0.1, 1e4), st.sampled_from([*POLICIES]))
def test_any_counts_give_numbers_and_bounds_below_them(live, factor, policy):
    channels = plan(NORMAL, SIGNALS["few"])
    rows = counted(channels, np.array(live) / factor, np.array(live[:4]) * factor)
    found = measure_of(policy)(channels, rows, channels.baseline)
    assert np.isfinite(found).all()
    assert (found.distance >= 0).all()
    assert (found.at_least <= found.distance).all()
    assert (found.still <= found.distance).all()
    if policy not in ("psi", "wasserstein"):
        assert (found.distance <= 1 + 1e-9).all()


@settings(max_examples=50)
@given(counts, st.sampled_from([*POLICIES]))
def test_a_line_has_no_direction(live, policy):
    one, other = plan(NORMAL), plan(NORMAL)
    other.baseline[:14], other.gaps[:13] = one.baseline[13::-1], one.gaps[12::-1]
    there = measure_of(policy)(one, counted(one, live), one.baseline)
    back = measure_of(policy)(other, counted(other, live[::-1]), other.baseline)
    np.testing.assert_allclose(there, back, atol=1e-9)
