import numpy as np
import pytest

from drift_middleware.drift import effect
from drift_middleware.drift.cells import cut_levels
from drift_middleware.drift.channels import Channels
from drift_middleware.drift.signals import Signal


def test_a_small_baseline_is_topped_up_with_accepted_traffic_and_a_full_one_never():
    for rows, weight in ((1000, 5000), (6000, 6000)):
        cells = cut_levels(["a"] * (rows // 2) + ["b"] * (rows // 2))
        channels = Channels([Signal("x", "x", "feature", cells)], {})
        urn = channels.baseline + np.array([20_000, 0, 0, 20_000, 0, 20_000, 0.0])
        topped = effect.topped_up(channels, urn)
        assert channels.total(topped)[0] == pytest.approx(weight, abs=3)
        assert (topped[0] > topped[1]) == (rows < 5000)


def test_a_bound_is_below_the_distance_and_a_root_keeps_the_order():
    square = effect.bounded(
        np.array([0.0, 0.04, 0.25]), live=np.full(3, 1e-4), baseline=np.array([0, 1e-4, 1e-4])
    )
    assert (square.at_least <= square.still).all()
    assert (square.still <= square.distance).all()
    assert square.distance[0] == square.still[0] == 0
    root = effect.rooted(square)
    assert root.distance.tolist() == [0, 0.2, 0.5]
    assert root.at_least[0] < 0 < root.at_least[2]
    for one, other in zip(root, square, strict=True):
        np.testing.assert_allclose(one * np.abs(one), other)
