"""A change of dependence is found though every column stays as it was, and the pair is named.

Ten numeric columns, the first two correlated by .6 in the baseline; the joint signal is one of
eleven that share the budget.  After 10 quiet checks the correlation of the two changes, in a half
of the runs of normal columns, in the other half of lognormal ones.
"""

import numpy as np
import pytest

from drift_middleware.drift.cells import cut_numbers
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.joint import Joint
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import JOINT, SLICES, Counter
from drift_middleware.schemas import Table
from tests.acceptance.trial import FULL, SIZES, check, median, rate, watch
from tests.counting import count

NAMES = [f"x{i}" for i in range(10)]
CORRELATION = 0.6
QUIET, AFTER, ROWS = 10, 40, 500
STEPS = ("an alarm", "low", "medium")
NEVER = np.inf
# (baseline, correlation after) -> rows to an alarm, to low and to medium; infinite where the level
# is rightly out of reach.  These changes move .13, .075 and .04 of the joint signal's rows: the
# first is little over medium and the second little over low, hence thousands of rows to be sure.
BARS = {
    (5000, -0.6): (500, 1000, 10_000),
    (1000, -0.6): (1000, 1500, 10_000),
    (5000, 0.0): (2000, 12_000, NEVER),
    (5000, 0.3): (20_000, NEVER, NEVER),
}
REDUCED_BARS = list(BARS)[:3]


def draw(rng, rows, correlation, shape):
    z = rng.normal(size=(10, rows))
    z[1] = correlation * z[0] + np.sqrt(1 - correlation**2) * z[1]
    return shape(z)


class Watched:
    """A baseline of ten columns and their joint signal; counts traffic as it is counted live."""

    def __init__(self, rng, rows, shape):
        baseline = draw(rng, rows, CORRELATION, shape)
        half = rng.random(rows) < 0.5
        columns = dict(zip(NAMES, baseline, strict=True))
        self.joint = Joint.learn({name: x[half] for name, x in columns.items()}, rng)
        columns[JOINT] = self.joint.describe({name: x[~half] for name, x in columns.items()})
        self.signals = [
            Signal(name, name, "feature", cut_numbers(x, rng)) for name, x in columns.items()
        ]
        self.detector = Detector(self.signals)
        self.counter = Counter(self.signals, rng, joint=self.joint)

    def tallies(self, x):
        """Count rows (columns, rows) as (checks, slices, places); and pairs, as (checks, ...)."""
        table = Table(x.shape[1], dict(zip(NAMES, x, strict=True)), predicted=[True] * x.shape[1])
        placed = self.counter.place(table, [*NAMES, JOINT])
        each = ROWS // SLICES
        counts = np.array(
            [count(self.counter, placed, i, i + each) for i in range(0, x.shape[1], each)]
        ).reshape(-1, SLICES, self.counter.layout.size + len(self.joint.counts) // 8)
        size = self.counter.layout.size
        return counts[..., :size], counts[..., size:].sum(axis=1)


def runs(size, key, full, few):
    """Give each run's generator and the shape of its columns."""
    for run in range(full if size == FULL else few):
        yield np.random.default_rng([*key, run]), (np.exp if run % 2 else np.positive)


def quiet(size):
    levels, alarms = [], []
    for rng, shape in runs(size, [21], 60, 4):
        watched = Watched(rng, 5000, shape)
        tallies, _ = watched.tallies(draw(rng, 100 * ROWS, CORRELATION, shape))
        trace = watch(watched.detector, tallies)
        levels.append(trace.level.any())
        alarms.append(trace.alarms > 0)
    yield rate("100 quiet checks: a level", levels, 0.01)
    yield rate("100 quiet checks: an alarm", alarms, 0.01)


def changes(size):
    others, wrong = [], []
    for number, (baseline, after) in enumerate(BARS if size == FULL else REDUCED_BARS):
        found = []
        for rng, shape in runs(size, [22, number], 40, 8):
            watched = Watched(rng, baseline, shape)
            tallies, pairs = watched.tallies(
                np.concatenate(
                    [
                        draw(rng, QUIET * ROWS, CORRELATION, shape),
                        draw(rng, AFTER * ROWS, after, shape),
                    ],
                    axis=1,
                )
            )
            trace = watch(watched.detector, tallies)
            signal = len(NAMES)
            of = watched.detector.channels.signal
            first = np.array([trace.first(signal, level, of) - QUIET for level in range(3)])
            found.append(ROWS * first)
            others.append(np.delete(trace.level, signal, axis=1).any() or first.min() < 1)
            alarm = QUIET + int(min(first[0], AFTER))
            moved = watched.joint.most_moved(pairs[QUIET:alarm].sum(axis=0))
            wrong.append((moved.first, moved.second) != ("x0", "x1"))
        where = f"correlation .6 to {after:g}, baseline of {baseline}"
        for step, rows, bar in zip(STEPS, np.transpose(found), BARS[baseline, after], strict=True):
            if bar < NEVER:
                yield median(f"{where}: rows to {step}", rows, bar)
            else:
                yield rate(f"{where}: {step}, of which it is short", rows < NEVER, 0.05)
    yield rate("a level of any other signal, or before the change", others, 0.02)
    yield rate("another pair named than the one that changed, at the alarm", wrong, 0)


MEASURES = [quiet, changes]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_change_of_dependence_is_found_and_the_pair_named(measure, size):
    check(measure(size))
