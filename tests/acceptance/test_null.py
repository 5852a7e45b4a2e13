"""Quiet traffic raises no level, and the alarm line is crossed less often than promised.

Promise: P(any alarm within K checks) <= K / checks_per_false_alarm; here 200 / 10,000 = 2 %.
"""

from itertools import product

import numpy as np
import pytest

from drift_middleware.drift.detector import Detector
from tests.acceptance.trial import FULL, SIZES, check, rate, watch
from tests.acceptance.world import NAMES, World

CHECKS = 200


def quiet(size):
    grid = product((300, 1000, 5000, 50_000), (100, 200, 500, 1000))
    grid = list(grid) if size == FULL else [(300, 100), (5000, 500)]
    levels, alarms = [], []
    for setting, (baseline, rows) in enumerate(grid):
        for run in range(25 if size == FULL else 12):
            rng = np.random.default_rng([1, setting, run])
            world = World(rng, baseline)
            places = world.places(rng.normal(size=(CHECKS * rows, len(NAMES))))
            trace = watch(Detector(world.signals), world.tallies(places, rows))
            levels.append(trace.level.any())
            alarms.append(trace.alarms > 0)
    cells = f"baselines of {grid[0][0]} to {grid[-1][0]}, checks of {grid[0][1]} to {grid[-1][1]}"
    yield rate(f"200 quiet checks, {cells}: a level", levels, 0.02)
    yield rate(f"200 quiet checks, {cells}: an alarm", alarms, 0.02)


def first_checks(size):
    grid = list(product((300, 1000, 5000), (50, 100, 500)))
    levels = []
    for setting, (baseline, rows) in enumerate(grid if size == FULL else grid[::4]):
        for run in range(25):
            rng = np.random.default_rng([2, setting, run])
            world = World(rng, baseline)
            places = world.places(rng.normal(size=(20 * rows, len(NAMES))))
            trace = watch(Detector(world.signals), world.tallies(places, rows))
            levels.append(trace.level.any())
    yield rate("the first 20 checks ever, of 50 to 500 rows: a level", levels, 0.02)


MEASURES = [quiet, first_checks]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_quiet_traffic_stays_quiet(measure, size):
    check(measure(size))
