import numpy as np
import pytest

from drift_middleware.drift import effect
from drift_middleware.drift.cells import cut_levels
from drift_middleware.drift.channels import Channels
from drift_middleware.drift.signals import Signal


def test_psi_with_many_rows_is_the_textbooks():
    p, q = np.array([50_000.5, 30_000.5, 20_000.5]), np.array([3e7, 3e7, 4e7])
    levels = ["a"] * 50_000 + ["b"] * 30_000 + ["c"] * 20_000
    channels = Channels([Signal("x", "x", "feature", cut_levels(levels))], {})
    live = np.concatenate([q, [0.0], [1.0, 0.0], [1.0, 0.0]])
    found = effect.psi(channels, live, channels.baseline)
    p, q = p / p.sum(), q / q.sum()
    assert found.distance[0] == pytest.approx(np.sum((q - p) * np.log(q / p)), abs=1e-4)


def test_more_baseline_or_more_rows_show_smaller_shifts():
    few, many = effect.smallest_shift(300, 0.07), effect.smallest_shift(50_000, 0.07)
    assert list(few) == ["noticed", "low", "medium", "high"]
    assert all(many[name] < few[name] for name in few)
    brief = effect.smallest_shift(300, 0.07, live_rows=3, thresholds={"low": 0.5})
    assert brief["low"] == np.inf


def test_the_distance_is_debiased_and_its_lower_bound_is_rarely_above_the_truth():
    rng = np.random.default_rng(1)
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.3, 0.3, 0.25, 0.15])
    levels = list("abcd")
    found, bounds = {"p": [], "q": []}, []
    for _ in range(400):
        counts = rng.multinomial(3000, p)
        cells = cut_levels([name for name, n in zip(levels, counts, strict=True) for _ in range(n)])
        channels = Channels([Signal("x", "x", "feature", cells)], {})
        order = [levels.index(name) for name in cells.values]
        for name, share in (("p", p), ("q", q)):
            live = [*rng.multinomial(1000, share)[order], 0, 1000, 0, 1000, 0]
            one = effect.moved(channels, np.array(live, float), channels.baseline)
            found[name].append(one.distance[0])
        bounds.append(one.at_least()[0])
    assert np.mean(found["p"]) < 0.015
    assert np.mean(found["q"]) == pytest.approx(0.1, abs=0.01)
    assert np.mean(np.array(bounds) > 0.1) < 0.01
    assert np.mean(bounds) > 0.02, "the bound is of use"


def test_a_small_baseline_is_topped_up_with_accepted_traffic_and_a_full_one_never():
    for rows, weight in ((1000, 5000), (6000, 6000)):
        cells = cut_levels(["a"] * (rows // 2) + ["b"] * (rows // 2))
        channels = Channels([Signal("x", "x", "feature", cells)], {})
        urn = channels.baseline + np.array([20_000, 0, 0, 20_000, 0, 20_000, 0.0])
        topped = effect.topped_up(channels, urn)
        assert channels.total(topped)[0] == pytest.approx(weight, abs=3)
        assert (topped[0] > topped[1]) == (rows < 5000)
