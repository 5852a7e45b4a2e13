"""How many rows a change takes to be noticed, and to reach each level; and no other signal does.

After 10 quiet checks one signal of fifteen changes, for at most 10,000 rows.
"""

from typing import NamedTuple

import numpy as np
import pytest

from drift_middleware.drift.detector import Detector
from tests.acceptance.trial import FULL, SIZES, check, median, rate, watch
from tests.acceptance.world import NAMES, World

NEVER = np.inf
QUIET = 10
STEPS = ("an alarm", "low", "medium", "high")


class Change(NamedTuple):
    """What happens to one column, and the bars: rows to an alarm, to low, medium and high."""

    column: str
    what: str
    size: float
    bars: tuple[float, float, float, float]

    def __str__(self) -> str:
        return f"{self.column}, {self.what} {self.size:g}"


# (baseline, rows of a check) -> changes.  Bars leave about one check's room over what was measured
# while the detector was designed; infinite where the level is rightly out of reach.
CHANGES = {
    (5000, 500): [
        Change("normal", "mean + sd", 0.25, (1500, 3500, NEVER, NEVER)),
        Change("normal", "mean + sd", 0.5, (500, 1000, 1000, NEVER)),
        Change("normal", "mean + sd", 1.0, (500, 500, 500, 500)),
        Change("income", "sd x", 1.5, (500, 1000, 2000, NEVER)),
        Change("plan", "unseen", 0.01, (1500, 4000, NEVER, NEVER)),
        Change("plan", "unseen", 0.05, (500, 1000, 2500, NEVER)),
        Change("gamma", "missing", 0.01, (1500, 4000, NEVER, NEVER)),
        Change("gamma", "missing", 0.05, (500, 1000, 2500, NEVER)),
        Change("score", "mean + sd", 0.25, (1500, 3500, NEVER, NEVER)),
        Change("score", "mean + sd", 0.5, (500, 1000, 1000, NEVER)),
        Change("plan", "mean + sd", 0.5, (500, 1000, 1500, NEVER)),
    ],
    (5000, 100): [
        Change("normal", "mean + sd", 0.25, (1000, 3000, NEVER, NEVER)),
        Change("normal", "mean + sd", 0.5, (300, 400, 600, NEVER)),
        Change("normal", "mean + sd", 1.0, (100, 200, 200, 200)),
        Change("plan", "unseen", 0.05, (200, 600, 2000, NEVER)),
        Change("gamma", "missing", 0.05, (200, 600, 2000, NEVER)),
    ],
    (1000, 500): [
        Change("normal", "mean + sd", 0.25, (1500, 3500, NEVER, NEVER)),
        Change("normal", "mean + sd", 0.5, (500, 1000, 1000, NEVER)),
        Change("normal", "mean + sd", 1.0, (500, 500, 500, 1000)),
        Change("plan", "unseen", 0.05, (500, 1000, 2500, NEVER)),
        Change("gamma", "missing", 0.05, (500, 1000, 2500, NEVER)),
    ],
}  # fmt: skip
REDUCED_CHANGES = {(5000, 500): [1, 2, 5, 7], (5000, 100): [1, 2]}


def changed(rng, world, change, rows, quiet):
    """Tallies of quiet checks, then of changed ones."""
    latent = rng.normal(size=(quiet * rows + 10_000, len(NAMES)))
    column, after = NAMES.index(change.column), slice(quiet * rows, None)
    if change.what == "mean + sd":
        latent[after, column] += change.size
    elif change.what == "sd x":
        latent[after, column] *= change.size
    places = world.places(latent)
    if change.what in ("missing", "unseen"):
        world.replace(places[after], change.column, change.what, change.size)
    return world.tallies(places, rows)


def delays(size):
    others = []
    for (baseline, rows), changes in CHANGES.items():
        chosen = range(len(changes)) if size == FULL else REDUCED_CHANGES.get((baseline, rows), [])
        for number in chosen:
            change, found = changes[number], []
            column = NAMES.index(change.column)
            for run in range(20 if size == FULL else 5):
                rng = np.random.default_rng([5, baseline, rows, number, run])
                world = World(rng, baseline)
                detector = Detector(world.signals)
                trace = watch(detector, changed(rng, world, change, rows, QUIET))
                signal = detector.channels.signal
                found.append([rows * (trace.first(column, k, signal) - QUIET) for k in range(4)])
                others.append(np.delete(trace.level, column, axis=1).any())
            where = f"baseline of {baseline}, checks of {rows}"
            for step, values, bar in zip(STEPS, np.transpose(found), change.bars, strict=True):
                if bar < NEVER:
                    yield median(f"{change}, {where}: rows to {step}", values, bar)
    yield rate("while one signal changes: a level of any other", others, 0.02)


def from_the_first_row(size):
    """Drift that was always there: the first checks speak, without a past to learn from."""
    settings = [
        ("normal", "mean + sd", 1, 500, 2, 500), ("normal", "mean + sd", 1, 100, 2, 100),
        ("normal", "mean + sd", 1, 50, 2, 100), ("normal", "mean + sd", 2, 50, 3, 50),
        ("plan", "unseen", 0.3, 50, 2, 50),
    ]  # fmt: skip
    for baseline in (1000, 5000):
        for number, (name, what, by, rows, level, bar) in enumerate(settings):
            change, found = Change(name, what, by, (0, 0, 0, 0)), []
            for run in range(20 if size == FULL else 3):
                rng = np.random.default_rng([6, baseline, number, run])
                world = World(rng, baseline)
                detector = Detector(world.signals)
                trace = watch(detector, changed(rng, world, change, rows, 0)[:20])
                first = trace.first(NAMES.index(name), level, detector.channels.signal)
                found.append(rows * first)
            where = f"from the first row, baseline of {baseline}, checks of {rows}"
            yield median(f"{change}, {where}: rows to {STEPS[level]}", found, bar)


MEASURES = [delays, from_the_first_row]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_change_is_found_in_time_and_only_where_it_is(measure, size):
    check(measure(size))
