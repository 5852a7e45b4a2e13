"""A drift that ends is let go, one that grows or shrinks is followed, and levels do not flicker."""

import numpy as np
import pytest

from drift_middleware.drift.detector import Detector
from tests.acceptance.trial import FULL, SIZES, Finding, check, median, watch
from tests.acceptance.world import COLUMNS, World

FEW = (*COLUMNS[:4], COLUMNS[8], COLUMNS[9])


def levels(rng, baseline, rows, shifts):
    """Levels (checks,) of the first signal, which shifts by so many sd in each check."""
    world = World(rng, baseline, columns=FEW)
    latent = rng.normal(size=(len(shifts) * rows, len(FEW)))
    latent[:, 0] += np.repeat(shifts, rows)
    trace = watch(Detector(world.signals), world.tallies(world.places(latent), rows))
    return trace.level[:, 0]


def since(found, level):
    """Checks until the level is reached from above, for good."""
    above = np.flatnonzero(found > level)
    return int(above[-1]) + 2 if len(above) else 1


def ended(size):
    """80 drifting checks, then as in the baseline."""
    settings = [(5000, 500, 4, 8), (5000, 100, 6, 30), (1000, 500, 4, 8)]
    for baseline, rows, usual, longest in settings if size == FULL else settings[:2]:
        flickers = []
        for by in (0.25, 0.5, 1.0):
            cleared = []
            for run in range(20 if size == FULL else 5):
                rng = np.random.default_rng([9, baseline, rows, int(100 * by), run])
                found = levels(rng, baseline, rows, [0] * 10 + [by] * 80 + [0] * 40)
                cleared.append(since(found[90:], 0) - 1)
                flickers.append((np.diff(found[40:90]) != 0).sum())
            what = f"{by} sd for 80 checks of {rows}, baseline of {baseline}, then none: checks"
            yield median(f"{what} to none", cleared, usual)
            yield Finding(f"{what} to none, the longest", np.array(cleared), "largest", longest)
        what = f"level changes in 50 drifting checks of {rows}, baseline of {baseline}"
        yield Finding(what, np.array(flickers), "mean", 0.4)


def followed(size):
    """A drift that grows from .25 to 1 sd, and one that shrinks back."""
    grown, shrunk = [], []
    for run in range(20 if size == FULL else 5):
        rng = np.random.default_rng([10, run])
        found = levels(rng, 5000, 500, [0] * 10 + [0.25] * 30 + [1] * 30 + [0.25] * 30)
        grown.append(np.argmax(found[40:] == 3) + 1)
        shrunk.append(np.argmax(found[70:] == 1) + 1)
    # The recent rows have to forget one or two blocks of 2000 of the smaller drift.
    yield median("from .25 to 1 sd, checks of 500: checks to high", grown, 6)
    yield median("from 1 to .25 sd, checks of 500: checks back to low", shrunk, 5)


MEASURES = [ended, followed]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_levels_follow_what_happens(measure, size):
    check(measure(size))
