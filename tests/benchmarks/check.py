"""Cost of a check of 25 signals, after a thousand rows and after ten million: it must not grow.

    python -m tests.benchmarks.check [--strict]

With --strict, exits with 1 over a generous bound: 5 ms a check, or twice the cost after 10^7 rows.
"""

import platform
import sys
import time

import numpy as np

from drift_middleware.drift.cells import cut_numbers
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.signals import Signal

SIGNALS, ROWS, SLICES = 25, 500, 10
REPEATS, EACH = 50, 10
SLOWEST, MOST_GROWTH = 5.0, 2.0


def tallies(rng, signals, rows):
    parts = []
    for signal in signals:
        weights = np.array([*signal.cells.weights, 10.0])
        parts.append(rng.multinomial(rows // SLICES, weights / weights.sum(), SLICES))
    return np.concatenate(parts, axis=1)


def after(rng, detector, rows):
    """State after so many rows, in 20 checks."""
    state = detector.start()
    for _ in range(20):
        state = detector.check(state, tallies(rng, detector.signals, rows // 20))
    return state


def milliseconds(detector, states, checks):
    """Cost of a check from each state, taken in turns: what else the machine does hits all."""
    times = [[] for _ in states]
    for _ in range(REPEATS):
        for taken, state in zip(times, states, strict=True):
            start = time.perf_counter()
            for slices in checks:
                detector.check(state, slices)
            taken.append((time.perf_counter() - start) / len(checks) * 1e3)
    return [float(np.median(taken)) for taken in times]


def main() -> int:
    rng = np.random.default_rng(0)
    signals = [
        Signal(f"x{i}", f"x{i}", "feature", cut_numbers(rng.lognormal(size=5000), rng))
        for i in range(SIGNALS)
    ]
    detector = Detector(signals)
    states = [after(rng, detector, rows) for rows in (1_000, 10_000_000)]
    checks = [tallies(rng, signals, ROWS) for _ in range(EACH)]
    milliseconds(detector, states, checks[:1])
    few, many = milliseconds(detector, states, checks)
    size = len(states[1].to_bytes()) / SIGNALS / 1e3
    print(f"check of {SIGNALS} signals, {ROWS} rows in {SLICES} slices, {machine()}")
    print(f"after 10^3 rows {few:.2f} ms   after 10^7 rows {many:.2f} ms   ratio {many / few:.2f}")
    print(f"state {size:.1f} kB a signal")
    slow = max(few, many) > SLOWEST or many / few > MOST_GROWTH
    return int(slow and "--strict" in sys.argv[1:])


def machine() -> str:
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    return f"{platform.machine()}, {versions}"


if __name__ == "__main__":
    sys.exit(main())
