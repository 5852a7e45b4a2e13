"""What the baseline itself went through is no drift, if its rows are in time order.

Heuristic: held to, not proved.  An unordered baseline has no such protection.
"""

import numpy as np
import pytest
from scipy.signal import lfilter

from drift_middleware.drift.detector import Detector
from drift_middleware.drift.natural import natural_variation
from tests.acceptance.trial import FULL, LEVELS, SIZES, Finding, check, median, rate, watch
from tests.acceptance.world import COLUMNS, World

FEW = COLUMNS[:10]
ROWS, BASELINE, CHECKS = 500, 20_000, 80


def detectors(world):
    """One that takes the baseline's rows as they come, one that learns from their order."""
    plain = Detector(world.signals)
    shrink, tolerance = natural_variation(plain, world.blocks(40), world.blocks(20))
    return plain, Detector(world.signals, shrink=shrink, tolerance=tolerance)


def season(rng, rows, amplitude):
    """A sine on every column: the baseline spans it twice."""
    wave = amplitude * np.sin(4 * np.pi * np.arange(rows) / BASELINE)
    return wave[:, None] + rng.normal(size=(rows, len(FEW)))


def autoregressive(rng, rows, phi):
    noise = rng.normal(size=(rows + 1, len(FEW)))
    noise[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], noise, axis=0)[1:]


def quiet(size):
    settings = [(season, 0.2, 1, 0.25), (season, 0.35, 2, 0.1), (autoregressive, 0.6, 1, 0.1),
                (autoregressive, 0.9, 1, 0.1)]  # fmt: skip
    for number, (draw, by, level, bar) in enumerate(settings):
        found = {"plain": [], "ordered": []}
        for run in range(12 if size == FULL else 4):
            rng = np.random.default_rng([12, number, run])
            latent = draw(rng, BASELINE + CHECKS * ROWS, by)
            world = World(rng, latent=latent[:BASELINE], columns=FEW)
            tallies = world.tallies(world.places(latent[BASELINE:]), ROWS)
            for name, detector in zip(found, detectors(world), strict=True):
                found[name].append((watch(detector, tallies).level >= level).any())
        what = f"{draw.__name__} {by} in baseline and traffic, 80 checks of 500:"
        what = f"{what} {LEVELS[level]} or more"
        yield rate(f"{what}, ordered", found["ordered"], bar)
        if draw is season:
            plain = np.array(found["plain"], float)
            yield Finding(f"{what}, as it comes", plain, "rate", 0.25, "at least")


def shifted(size):
    """A real shift on top of the season is still found."""
    found = []
    for run in range(12 if size == FULL else 4):
        rng = np.random.default_rng([13, run])
        latent = season(rng, BASELINE + 60 * ROWS, 0.2)
        latent[BASELINE + 20 * ROWS :, 0] += 1
        world = World(rng, latent=latent[:BASELINE], columns=FEW)
        detector = detectors(world)[1]
        trace = watch(detector, world.tallies(world.places(latent[BASELINE:]), ROWS))
        found.append(trace.first(0, 2, detector.channels.signal) - 20)
    yield median("1 sd on top of a season of .2, ordered: checks to medium", found, 8)


MEASURES = [quiet, shifted]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_what_varies_by_nature_is_no_drift(measure, size):
    check(measure(size))
