"""A drift so slow that no check sees it is not absorbed: no boiling frog."""

import numpy as np
import pytest

from drift_middleware.drift.detector import Detector
from tests.acceptance.trial import FULL, SIZES, check, median, watch
from tests.acceptance.world import COLUMNS, World

ROWS, CHECKS = 500, 400


def creep(size):
    """From 0 to 1 sd over 200,000 rows."""
    for baseline, bars in ((5000, (0.28, 0.42, 0.7)), (300, (0.38, 0.5, 0.8))):
        reached = []
        for run in range(12 if size == FULL else 3):
            rng = np.random.default_rng([11, baseline, run])
            world = World(rng, baseline, columns=COLUMNS[:10])
            latent = rng.normal(size=(ROWS * CHECKS, 10))
            latent[:, 0] += np.linspace(0, 1, ROWS * CHECKS)
            detector = Detector(world.signals)
            trace = watch(detector, world.tallies(world.places(latent), ROWS))
            signal = detector.channels.signal
            reached.append([trace.first(0, level, signal) / CHECKS for level in (1, 2, 3)])
        for name, values, bar in zip(
            ("low", "medium", "high"), np.transpose(reached), bars, strict=True
        ):
            what = f"creep from 0 to 1 sd in 200,000 rows, baseline of {baseline}: sd at {name}"
            yield median(what, values, bar)


MEASURES = [creep]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_slow_drift_is_seen_before_it_is_large(measure, size):
    check(measure(size))
