"""One bad segment is named and no other, and all of them together keep to one false-alarm budget.

Five carriers have 40, 30, 15, 10 and 5 % of the rows, each its own numbers, categories, flags and
predictions; each is compared with its own rows of the baseline, and the whole with all of them.
"""

import numpy as np
import pytest

from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.tally import JOINT, SLICES, tallies
from drift_middleware.schemas import Table
from drift_middleware.segments import Segments, shared_by
from drift_middleware.watch import Watch
from tests.acceptance.trial import FULL, SIZES, Finding, check, median, rate
from tests.acceptance.trial import watch as run_checks

CARRIERS = np.array(["UA", "DL", "AA", "B6", "HA"])
SHARES = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
ROWS, QUIET, AFTER = 500, 10, 40
CONFIG = Config(segment_by="carrier")
SPENDING = Config(segment_by="carrier", checks_per_false_alarm=20)
# Each carrier's flights: mean and sd of the delay, median of the distance, share by gate, by flag.
DELAY = np.array([(5, 10), (0, 8), (12, 20), (-3, 5), (30, 15)])
DISTANCE = np.array([500, 900, 1400, 300, 2500])
GATES = np.random.default_rng(50).dirichlet([1] * 6, len(CARRIERS))
FULL_PLANES = np.array([0.2, 0.5, 0.8, 0.05, 0.6])


def draw(rng, rows, shifted=None):
    """Draw a table of rows as they come; the delays of one carrier may be 1 sd longer."""
    which = rng.choice(len(CARRIERS), rows, p=SHARES)
    z = rng.normal(size=rows)
    mean, sd = DELAY[which].T
    worse = CARRIERS[which] == shifted
    gate = (np.cumsum(GATES[which], axis=1) < rng.random((rows, 1))).sum(axis=1)
    columns = {
        "carrier": CARRIERS[which],
        "delay": np.round(mean + sd * (z + worse), 1),
        "distance": DISTANCE[which] * np.exp(0.3 * rng.normal(size=rows)),
        "gate": np.array([*"ABCDEF", "F"])[gate],
        "is_full": rng.random(rows) < FULL_PLANES[which],
        "score": 1 / (1 + np.exp(z / 2 + rng.normal(which, 1, rows))),
    }
    return {name: values.tolist() for name, values in columns.items()}


def watches(baseline, config):
    """Give what watches the whole, named `""`, and each segment."""
    whole = Watch(baseline, config, shared_by=shared_by(baseline, config))
    return {"": whole} | Segments(whole, config, ()).watches


class World:
    """A baseline with its segments, as the middleware watches them."""

    def __init__(self, rng, rows):
        self.baseline = Baseline.fit(
            draw(rng, rows), segment_by="carrier", seed=int(rng.integers(1 << 31))
        )
        self.watches = watches(self.baseline, CONFIG)
        self.segments = Segments(self.watches[""], CONFIG, ())

    def tallies(self, columns):
        """Count the whole and each segment: name to (checks, slices, size)."""
        rows = len(columns["carrier"])
        table = Table(rows, columns, predicted=[True] * rows, requests=[1] * rows, at=[0.0] * rows)
        captured, slices = [*columns, JOINT], (np.arange(rows) * SLICES // ROWS).tolist()
        counter = self.watches[""].counter
        counted = [
            *tallies(counter, counter.place(table, captured), table.requests, slices),
            *self.segments.tallies(table, self.segments.labels(table, []), captured, slices),
        ]
        counts = {
            name: np.zeros((rows // ROWS * SLICES, one.counter.layout.size), int)
            for name, one in self.watches.items()
        }
        for tally in counted:
            of_slice = counts[tally.segment][tally.slice]
            of_slice[:] = tally.counts[: len(of_slice)]
        return {name: found.reshape(-1, SLICES, found.shape[1]) for name, found in counts.items()}


def judge(watched, counts):
    """Give the trace of the whole and of each segment."""
    return {name: run_checks(one.detector, counts[name]) for name, one in watched.items()}


def quiet(size):
    checks, runs = (200, 20) if size == FULL else (20, 2)
    for baseline in (5000, 20_000) if size == FULL else (5000,):
        levels, alarms, spent = [], [], []
        for run in range(runs):
            rng = np.random.default_rng([51, baseline, run])
            world = World(rng, baseline)
            counts = world.tallies(draw(rng, checks * ROWS))
            traces = judge(world.watches, counts).values()
            levels.append(any(trace.level.any() for trace in traces))
            alarms.append(any(trace.alarms for trace in traces))
            traces = judge(watches(world.baseline, SPENDING), counts).values()
            spent.append(sum(trace.alarms for trace in traces))
        what = f"{checks} quiet checks of {ROWS}, baseline of {baseline}, whole and five segments"
        yield rate(f"{what}: a level", levels, 0.02)
        yield rate(f"{what}: an alarm", alarms, 0.02)
        what = f"{what}, one alarm in 20 checks allowed"
        yield Finding(f"{what}: alarms", np.array(spent), "mean", checks / 20)


# The carrier whose delays are 1 sd longer -> rows of all traffic until it is medium or high.
BARS = {"HA": 3000, "AA": 1000, "UA": 500}


def one_is_bad(size):
    others = []
    for number, (name, bar) in enumerate(BARS.items()):
        found, whole = [], []
        for run in range(20 if size == FULL else 3):
            rng = np.random.default_rng([53, number, run])
            world = World(rng, 5000)
            before, after = draw(rng, QUIET * ROWS), draw(rng, AFTER * ROWS, shifted=name)
            both = {column: before[column] + after[column] for column in before}
            traces = judge(world.watches, world.tallies(both))
            of = world.watches[name].detector.channels
            first = traces[name].first(of.names.index("delay"), 2, of.signal) - QUIET
            found.append(ROWS * first)
            whole.append(traces.pop("").level.any())
            bad = traces.pop(name).level[:QUIET]
            others.append(bad.any() or any(trace.level.any() for trace in traces.values()))
        share = dict(zip(CARRIERS, SHARES, strict=True))[name]
        what = f"a segment of {100 * share:g} % moves by 1 sd, baseline of 5000, checks of {ROWS}"
        yield median(f"{what}: rows of all traffic until it is medium", found, bar)
        yield rate(f"{what}: the whole has a level in {AFTER} checks (told, not judged)", whole, 1)
    yield rate("a level of another segment, or before the change", others, 0.02)


MEASURES = [quiet, one_is_bad]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_bad_segment_is_named_and_no_other(measure, size):
    check(measure(size))
