"""Whatever the policy, quiet traffic raises no level, and a shift reaches its levels in time.

The evidence is the same under all of them; so is the budget, however columns divide it.
"""

import numpy as np
import pytest
from msgspec.structs import replace

from drift_middleware.drift.detector import Detector
from drift_middleware.drift.policies import POLICIES
from tests.acceptance.trial import FULL, SIZES, Finding, check, median, rate, watch
from tests.acceptance.world import NAMES, World

NEVER = np.inf
QUIET = 10
STEPS = ("an alarm", "low", "medium", "high")
# Rows to low, medium and high after a shift by .5 and by 1 sd, in checks of 500: about one check's
# room over what was measured; infinite where the level is rightly out of reach, or on the line.
BARS = {
    "moved": [(1000, 1000, NEVER), (500, 500, 500)],
    "psi": [(1000, 2500, NEVER), (500, 500, 500)],
    "jensen_shannon": [(1000, 1500, NEVER), (500, 500, 1000)],
    "hellinger": [(1000, 1500, NEVER), (500, 500, 1000)],
    "ks": [(1000, 1000, NEVER), (500, 500, 500)],
    "wasserstein": [(1000, 1000, NEVER), (500, 500, 500)],
}
# Columns that are watched by several signals, as texts are.
PARTS = dict.fromkeys(NAMES[:4], "a") | dict.fromkeys(NAMES[4:9], "b")
WEIGHTS = {"a": 5.0, "altitude": 20.0, "city": 0.2, "fixed": 0.01}


def quiet(size):
    """Alarms are made easy in half of the runs: then the effect alone stands against a level."""
    for allowed in (10_000, 30):
        levels = {policy: [] for policy in POLICIES}
        for baseline in (1000, 5000) if size == FULL else (1000,):
            for run in range(15 if size == FULL else 3):
                rng = np.random.default_rng([20, allowed, baseline, run])
                world = World(rng, baseline)
                places = world.places(rng.normal(size=(100 * 500, len(NAMES))))
                tallies = world.tallies(places, 500)
                for policy, found in levels.items():
                    detector = Detector(
                        world.signals, policy=policy, checks_per_false_alarm=allowed
                    )
                    found.append(watch(detector, tallies).level.any())
        for policy, found in levels.items():
            what = f"{policy}, 100 quiet checks of 500, one alarm in {allowed} allowed: a level"
            yield rate(what, found, 0.02 if allowed == 10_000 else 0.1)


def delays(size):
    others = {policy: [] for policy in POLICIES}
    for shift, sd in enumerate((0.5, 1.0)):
        found = {policy: [] for policy in POLICIES}
        for run in range(20 if size == FULL else 3):
            rng = np.random.default_rng([21, shift, run])
            world = World(rng, 5000)
            latent = rng.normal(size=(QUIET * 500 + 10_000, len(NAMES)))
            latent[QUIET * 500 :, 0] += sd
            tallies = world.tallies(world.places(latent), 500)
            for policy in POLICIES:
                detector = Detector(world.signals, policy=policy)
                trace, signal = watch(detector, tallies), detector.channels.signal
                found[policy].append([500 * (trace.first(0, k, signal) - QUIET) for k in (1, 2, 3)])
                others[policy].append(trace.level[:, 1:].any())
        for policy, rows in found.items():
            where = f"{policy}, normal, mean + sd {sd:g}, baseline of 5000, checks of 500"
            for step, values, bar in zip(
                STEPS[1:], np.transpose(rows), BARS[policy][shift], strict=True
            ):
                if bar < NEVER:
                    yield median(f"{where}: rows to {step}", values, bar)
    for policy, events in others.items():
        yield rate(f"{policy}, while one signal changes: a level of any other", events, 0.02)


def weighted(size):
    """Columns of unlike weight, some with several signals, spend no more than is allowed."""
    what = "weights, one alarm in 30 checks allowed, 300 checks of 400"
    counted = []
    for baseline in (300, 5000):
        alarms = []
        for run in range(30 if size == FULL else 3):
            rng = np.random.default_rng([22, baseline, run])
            world = World(rng, baseline)
            signals = [replace(one, column=PARTS.get(one.name, one.name)) for one in world.signals]
            places = world.places(rng.normal(size=(300 * 400, len(NAMES))))
            detector = Detector(signals, checks_per_false_alarm=30, weights=WEIGHTS)
            alarms.append(watch(detector, world.tallies(places, 400)).alarms)
        yield Finding(f"{what}, baseline of {baseline}: alarms", np.array(alarms), "mean", 10)
        counted += alarms
    crossed = f"{what}: alarms, so the line can be crossed"
    yield Finding(crossed, np.array(counted), "mean", 0.1, "at least")


MEASURES = [quiet, delays, weighted]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_every_policy_keeps_quiet_and_finds_shifts(measure, size):
    check(measure(size))
