"""Real flights of one season stay quiet however ties are broken, and October's warmth is found.

Flights of one hour share their weather: the rows are far from independent. Runs differ in the draws
that order equal values; `score` is a model's own answer to these rows.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drift_middleware import Baseline
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.tally import JOINT, Counter
from drift_middleware.schemas import Table
from tests.acceptance.trial import FULL, SIZES, check, median, rate, watch
from tests.counting import count

DATA = Path(__file__).parents[2] / "examples" / "flights" / "data"
ROWS = 200


def table(*names: str) -> Table:
    rows = pd.concat([pd.read_csv(DATA / f"{name}.csv") for name in names]).drop(columns="late")
    columns = {name: rows[name].tolist() for name in rows}
    return Table(rows=len(rows), columns=columns, predicted=[True] * len(rows))


def tallies(counter: Counter, rows: Table) -> np.ndarray:
    placed = counter.place(rows, [*rows.columns, JOINT])
    ends = range(0, rows.rows + 1, ROWS // 10)
    counts = [count(counter, placed, a, b)[: counter.layout.size] for a, b in pairwise(ends)]
    return np.array(counts).reshape(rows.rows // ROWS, 10, -1)


def flights(size):
    baseline = Baseline.fit(DATA / "baseline.csv", ignore=["late"])
    detector = Detector(baseline.signals)
    rows = table("live_ok", "live_sample")
    temp = [signal.name for signal in baseline.signals].index("temp")
    quiet, found = [], []
    for run in range(400 if size == FULL else 40):
        rng = np.random.default_rng([12, run])
        counter = Counter(baseline.signals, rng, baseline.descriptors, baseline.joint)
        trace = watch(detector, tallies(counter, rows))
        quiet.append(trace.level[:10].any())
        high = trace.level[10:, temp] == 3
        found.append((np.argmax(high) + 1) * ROWS if high.any() else np.inf)
    yield rate("2,000 flights of the same season, checks of 200: a level", quiet, 0.02)
    yield median("then October: flights until temp is high", found, 1000)


MEASURES = [flights]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_real_flights_are_judged_right(measure, size):
    check(measure(size))
