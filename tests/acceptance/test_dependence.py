"""Rows that depend on each other raise nothing, and real changes are still found among them.

Heuristic: held to, not proved.  Without the guard the same traffic pages.
"""

import numpy as np
import pytest
from scipy.signal import lfilter

from drift_middleware.drift.detector import Detector
from tests.acceptance.trial import FULL, LEVELS, SIZES, Finding, check, median, rate, watch
from tests.acceptance.world import NAMES, World

ROWS = 500


def autoregressive(rng, rows, phi):
    """Latent scores, standard normal, each column correlated `phi` with its last row."""
    noise = rng.normal(size=(rows + 1, len(NAMES)))
    noise[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], noise, axis=0)[1:]


def repeated(rng, rows, times):
    return np.repeat(rng.normal(size=(rows // times, len(NAMES))), times, axis=0)


def quiet(size):
    """Dependent traffic without drift, with the guard and without."""
    settings = [("autocorrelation", autoregressive, phi) for phi in (0.3, 0.6, 0.9)]
    settings += [("rows repeated", repeated, times) for times in (5, 20)]
    for number, (what, draw, by) in enumerate(settings):
        levels = {True: [], False: []}
        for run in range(12 if size == FULL else 4):
            rng = np.random.default_rng([7, number, run])
            world = World(rng, 5000)
            tallies = world.tallies(world.places(draw(rng, ROWS * 200, by)), ROWS)
            for guard, found in levels.items():
                found.append(watch(Detector(world.signals, guard=guard), tallies).level.any())
        yield rate(f"{what} {by}, 200 quiet checks of 500: a level", levels[True], 0.1)
        if by != 0.3:
            bare = f"{what} {by}, the same without the guard: a level"
            yield Finding(bare, np.array(levels[False], float), "rate", 0.25, "at least")


def shifts(size):
    """A shift in autocorrelated traffic: later than among independent rows, not never."""
    settings = [(0.6, 0.5, 1, 1500), (0.6, 0.5, 2, 3000), (0.6, 1, 3, 1000), (0.9, 1, 2, 6000)]
    for number, (phi, by, level, bar) in enumerate(settings):
        found = []
        for run in range(12 if size == FULL else 5):
            rng = np.random.default_rng([8, number, run])
            world = World(rng, 5000)
            latent = autoregressive(rng, ROWS * 60, phi)
            latent[ROWS * 20 :, 0] += by
            detector = Detector(world.signals)
            trace = watch(detector, world.tallies(world.places(latent), ROWS))
            found.append(ROWS * (trace.first(0, level, detector.channels.signal) - 20))
        what = f"mean + {by} sd under autocorrelation {phi}: rows to {LEVELS[level]}"
        yield median(what, found, bar)


MEASURES = [quiet, shifts]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_dependent_rows_count_for_what_they_are_worth(measure, size):
    check(measure(size))
