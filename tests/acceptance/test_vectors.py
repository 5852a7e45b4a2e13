"""Embeddings that change are found by what is said of them: their norm, their angle, their cluster.

Vectors of 64 numbers around five centres.  After 10 quiet checks all of them move, or a tenth of
them comes from a centre that is new, or all are longer, or the centres' shares change.
"""

import numpy as np
import pytest

from drift_middleware.drift.cells import cut_levels, cut_numbers
from drift_middleware.drift.descriptors.vectors import Vector
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import SLICES, Counter
from drift_middleware.schemas import Table
from tests.acceptance.trial import FULL, SIZES, check, median, rate, watch
from tests.counting import count

WIDTH, BASELINE, QUIET, AFTER, ROWS = 64, 4000, 10, 40, 500
SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
STEPS = ("an alarm", "low")
# What happens -> the parts of which one says so first (if none is named, any may), and the rows to
# an alarm and to low.
CHANGES = {
    "all numbers move by .75 sd": (set(), (500, 500)),
    "a tenth comes from a new centre": ({"cosine", "cluster"}, (1000, 1500)),
    "all are longer by a tenth": ({"norm"}, (500, 500)),
    "the centres' shares are reversed": ({"cosine", "cluster"}, (500, 500)),
}


class Embeddings:
    """Around five centres that every run draws anew."""

    def __init__(self, rng):
        self.rng = rng
        self.centers = 2 * rng.normal(size=(len(SHARES), WIDTH))
        self.new = 2 * rng.normal(size=WIDTH)
        self.move = 0.75 * rng.choice([-1, 1], WIDTH)

    def draw(self, rows, what=""):
        shares = SHARES[::-1] if what == "the centres' shares are reversed" else SHARES
        middle = self.centers[self.rng.choice(len(SHARES), rows, p=shares)]
        if what == "a tenth comes from a new centre":
            middle[self.rng.random(rows) < 0.1] = self.new
        x = middle + self.rng.normal(size=(rows, WIDTH))
        if what == "all numbers move by .75 sd":
            x += self.move
        return 1.1 * x if what == "all are longer by a tenth" else x


class Watched:
    """A baseline of embeddings, cut part by part; counts traffic as it is counted live."""

    def __init__(self, rng, baseline):
        half = rng.random(len(baseline)) < 0.5
        self.vector = Vector.learn(list(baseline[half]), rng)
        self.signals = []
        for part, values in self.vector.describe(baseline, None).items():
            kept = np.asarray(values)[~half] if part in self.vector.learned else np.asarray(values)
            is_number = kept.dtype.kind == "f"
            cells = cut_numbers(kept, rng) if is_number else cut_levels(kept.tolist())
            self.signals.append(Signal(f"e.{part}", "e", "feature", cells, part=part))
        self.detector = Detector(self.signals)
        self.counter = Counter(self.signals, rng, {"e": self.vector})

    def tallies(self, x):
        """Count rows (rows, width) as (checks, slices, places)."""
        placed = self.counter.place(Table(len(x), {"e": x}, predicted=[True] * len(x)), ["e"])
        each = ROWS // SLICES
        counts = [count(self.counter, placed, i, i + each) for i in range(0, len(x), each)]
        return np.array(counts).reshape(-1, SLICES, self.counter.layout.size)


def quiet(size):
    levels, alarms = [], []
    for run in range(60 if size == FULL else 4):
        rng = np.random.default_rng([31, run])
        embeddings = Embeddings(rng)
        watched = Watched(rng, embeddings.draw(BASELINE))
        trace = watch(watched.detector, watched.tallies(embeddings.draw(100 * ROWS)))
        levels.append(trace.level.any())
        alarms.append(trace.alarms > 0)
    yield rate("100 quiet checks: a level", levels, 0.01)
    yield rate("100 quiet checks: an alarm", alarms, 0.01)


def changes(size):
    early = []
    for number, (what, (parts, bars)) in enumerate(CHANGES.items()):
        found, odd = [], []
        for run in range(20 if size == FULL else 5):
            rng = np.random.default_rng([32, number, run])
            embeddings = Embeddings(rng)
            watched = Watched(rng, embeddings.draw(BASELINE))
            live = [embeddings.draw(QUIET * ROWS), embeddings.draw(AFTER * ROWS, what)]
            trace = watch(watched.detector, watched.tallies(np.concatenate(live)))
            of = watched.detector.channels.signal
            each = range(len(watched.signals))
            first = np.array([[trace.first(i, k, of) - QUIET for i in each] for k in range(2)])
            soonest = first.min(axis=1)
            found.append(ROWS * soonest)
            early.append(soonest.min() < 1)
            said = {watched.signals[i].part for i in each if first[0, i] == soonest[0]}
            odd.append(not said & parts)
        for step, rows, bar in zip(STEPS, np.transpose(found), bars, strict=True):
            yield median(f"{what}: rows to {step}", rows, bar)
        if parts:
            yield rate(f"{what}: none of {', '.join(sorted(parts))} says so first", odd, 0)
    yield rate("an alarm before the change", early, 0.02)


MEASURES = [quiet, changes]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_embeddings_that_change_are_found_and_others_are_not(measure, size):
    check(measure(size))
