"""Cost of counting a row of 25 mixed signals: laid in columns, placed in cells, tallied.

    python -m tests.benchmarks.tally [--strict]

Numbers, few-valued numbers, categories with a long tail and flags, as decoded JSON has them, in
batches of 256 requests, in checks of 500; the best of rounds, so the machine undisturbed.  With
--strict, exits with 1 if placing and counting costs more than the bound.
"""

import sys
import time

import numpy as np

from drift_middleware.capture import tabulate
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.tally import JOINT, Counter, slices_of, tallies
from drift_middleware.schemas import Rows
from tests.benchmarks.check import machine

BATCH, EVERY, ROUNDS = 256, 500, 300
MOST = 5.0
ROLES = ("feature", "prediction")


def columns(rng, rows):
    """Draw 12 numbers, 4 few-valued ones, 5 categories, 3 flags, and a prediction."""
    table = {f"number_{i}": rng.lognormal(size=rows) for i in range(10)}
    table |= {f"rounded_{i}": rng.normal(size=rows).round(1) for i in range(2)}
    table |= {f"count_{i}": rng.poisson(1, rows) for i in range(4)}
    table |= {f"category_{i}": rng.choice([*"abcde"], rows) for i in range(3)}
    table |= {f"city_{i}": [f"city {code}" for code in rng.zipf(1.5, rows)] for i in range(2)}
    table |= {f"flag_{i}": rng.random(rows) < 0.3 for i in range(3)}
    # Not a probability, whose spread would be a signal too.
    table["prediction"] = rng.normal(size=rows)
    return {name: x if isinstance(x, list) else x.tolist() for name, x in table.items()}


def requests(table):
    """Give the rows of each request: a record, and its answer."""
    for values in zip(*table.values(), strict=True):
        record = dict(zip(table, values, strict=True))
        yield Rows(predictions=[{"prediction": record.pop("prediction")}], features=[record])


def microseconds(*steps):
    """Cost of a row in each step, the best of rounds, the steps in turns."""
    times = [[] for _ in steps]
    for _ in range(ROUNDS):
        for taken, step in zip(times, steps, strict=True):
            start = time.perf_counter()
            step()
            taken.append(time.perf_counter() - start)
    return [min(taken) / BATCH * 1e6 for taken in times]


def counting(baseline, rng, table):
    """Place and count a batch, as a recorder does."""
    counter = Counter(baseline.signals, rng, baseline.descriptors, baseline.joint)
    captured, slices = {*baseline.columns, JOINT}, slices_of(BATCH, 0, EVERY)
    return lambda: [*tallies(counter, counter.place(table, captured), table.requests, slices)]


def main() -> int:
    rng = np.random.default_rng(0)
    baseline = Baseline.fit(columns(rng, 5000))
    alone = baseline.without([JOINT])
    rows, at = [*requests(columns(rng, BATCH))], [0.0] * BATCH
    names = {role: [s.column for s in alone.signals if s.role == role] for role in ROLES}

    def lay():
        return tabulate(rows, features=names["feature"], predictions=names["prediction"], at=at)

    table = lay()
    laid, counted, jointly = microseconds(
        lay, counting(alone, rng, table), counting(baseline, rng, table)
    )
    print(f"{len(alone.signals)} signals, batches of {BATCH}, {machine()}")
    print(f"{'us a row':34}{'cost':>8}{'ratio':>8}{'bound':>8}")
    print(f"{'place and count':34}{counted:8.2f}{1:8.2f}{MOST:8}")
    print(f"{'the same, with the joint signal':34}{jointly:8.2f}{jointly / counted:8.2f}")
    print(f"{'lay in columns (tabulate), before':34}{laid:8.2f}{laid / counted:8.2f}")
    return int(counted > MOST and "--strict" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
