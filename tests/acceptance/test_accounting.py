"""The false-alarm budget is accounted for: spent generously, it still covers every alarm.

Promise: if one alarm in 30 checks is allowed, 300 quiet checks give at most 10 on average.
"""

import numpy as np
import pytest

from drift_middleware.drift.detector import Detector
from tests.acceptance.trial import FULL, SIZES, Finding, check, watch
from tests.acceptance.world import NAMES, World


def alarms(size):
    for baseline in (300, 1000, 10_000) if size == FULL else (300, 10_000):
        counted = []
        for run in range(40 if size == FULL else 8):
            rng = np.random.default_rng([3, baseline, run])
            world = World(rng, baseline)
            places = world.places(rng.normal(size=(300 * 400, len(NAMES))))
            detector = Detector(world.signals, checks_per_false_alarm=30)
            counted.append(watch(detector, world.tallies(places, 400)).alarms)
        what = f"one alarm in 30 checks allowed, 300 checks of 400, baseline of {baseline}: alarms"
        yield Finding(what, np.array(counted), "mean", 10)
        yield Finding(
            f"{what}, so the line can be crossed", np.array(counted), "mean", 0.1, "at least"
        )


MEASURES = [alarms]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_the_budget_covers_all_alarms(measure, size):
    check(measure(size))
