"""A signal that sits exactly on a threshold does not reach that level: effects are not overstated.

Promise: within 200 checks, at most 5 % of such signals do, whatever the policy.
"""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr

from drift_middleware.drift.detector import Detector
from drift_middleware.drift.distances import DISTANCES, cut, gaps_between
from drift_middleware.drift.policies import DIVERGENCES, POLICIES
from drift_middleware.drift.thresholds import THRESHOLDS
from tests.acceptance.trial import FULL, LEVELS, SIZES, check, rate, watch
from tests.acceptance.world import COLUMNS, SLICES, World

NORMAL = COLUMNS[:1] * 8
QUIET, SHIFTED = 5, 200
EXACT = 1e12  # rows that leave nothing to chance


def shares(cells, shift):
    """Shares of the cells of a standard normal signal, for normal traffic with that mean."""
    return np.diff(ndtr(np.concatenate([[-np.inf], np.array(cells.edges) - shift, [np.inf]])))


def distance(cells, shift, policy):
    p, q, gaps = shares(cells, 0), shares(cells, shift), gaps_between(cells.means, cells.spread)
    if policy in DIVERGENCES:  # of what the baseline knows
        known = [cell for cell in range(len(cells)) if cell not in cells.novel]
        p, q, gaps = p[known], q[known], ()
    name = {"moved": "total_variation"}.get(policy, policy)
    return DISTANCES[name](cut(p * EXACT, q * EXACT, gaps))[0]


def on_the_line(cells, policy, threshold):
    return brentq(lambda shift: distance(cells, shift, policy) - threshold, 0, 3)


def draw(rng, world, shifts, checks, rows):
    """Counts of independent rows: multinomial, cell by cell of the truth; none is missing."""
    parts = [
        np.pad(
            rng.multinomial(rows // SLICES, shares(signal.cells, shift), (checks, SLICES)),
            [(0, 0), (0, 0), (0, 1)],
        )
        for signal, shift in zip(world.signals, shifts, strict=True)
    ]
    return np.concatenate(parts, axis=2)


def settings_of(size):
    """Policies, baselines, rows of a check, and runs of eight signals."""
    others = [policy for policy in POLICIES if policy != "moved"]
    if size != FULL:
        return [("moved", 5000, 500, 5), *((policy, 1000, 500, 2) for policy in others)]
    of_moved = [*((m, 500) for m in (1000, 5000, 50_000)), (5000, 100)]
    settings = [("moved", baseline, rows, 20) for baseline, rows in of_moved]
    return settings + [(policy, m, 500, 20) for policy in others for m in (1000, 5000)]


def overstated(size):
    for setting, (policy, baseline, rows, runs) in enumerate(settings_of(size)):
        for level, threshold in enumerate(THRESHOLDS[policy], 1):
            reached = []
            for run in range(runs):
                rng = np.random.default_rng([4, setting, level, run])
                world = World(rng, baseline, columns=NORMAL)
                shifts = [on_the_line(each.cells, policy, threshold) for each in world.signals]
                tallies = np.concatenate(
                    [
                        draw(rng, world, np.zeros(len(NORMAL)), QUIET, rows),
                        draw(rng, world, shifts, SHIFTED, rows),
                    ]
                )
                detector = Detector(world.signals, policy=policy)
                reached.extend((watch(detector, tallies).level >= level).any(axis=0))
            where = f"baseline of {baseline}, 200 checks of {rows}"
            yield rate(f"{policy} = {threshold} exactly, {where}: {LEVELS[level]}", reached, 0.05)


MEASURES = [overstated]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_what_sits_on_a_threshold_is_not_overstated(measure, size):
    check(measure(size))
