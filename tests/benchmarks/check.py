"""Cost of a check with its verdict, of 25 signals and of 200, after few rows and after many.

    python -m tests.benchmarks.check [--strict]

After a thousand rows and after ten million: it must not grow.  The best of 500, so the machine
undisturbed, and the median, so the machine as it was.  With --strict, exits with 1 if the best is
over a bound: 5 ms of 25 signals, 8 ms of 200, or twice the cost after 10^7 rows.
"""

import platform
import sys
import time

import numpy as np

from drift_middleware.drift.cells import cut_numbers
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.signals import Signal

SIGNALS, ROWS, SLICES = (25, 200), 500, 10
REPEATS, EACH = 50, 10
SLOWEST, MOST_GROWTH = (5.0, 8.0), 2.0


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
    """Cost of each check from each state, taken in turns: what else the machine does hits all.

    Each is timed alone: on a busy machine ten of 200 signals in a row are never left in peace.
    """
    times = [[] for _ in states]
    for slices in checks * REPEATS:
        for taken, state in zip(times, states, strict=True):
            start = time.perf_counter()
            detector.verdict(detector.check(state, slices))
            taken.append((time.perf_counter() - start) * 1e3)
    return times


def measure(rng, number):
    """Cost after few rows, after many, and usually; and kB of state, of so many numbers."""
    signals = [
        Signal(f"x{i}", f"x{i}", "feature", cut_numbers(rng.lognormal(size=5000), rng))
        for i in range(number)
    ]
    detector = Detector(signals)
    states = [after(rng, detector, rows) for rows in (1_000, 10_000_000)]
    checks = [tallies(rng, signals, ROWS) for _ in range(EACH)]
    milliseconds(detector, states, checks[:1])
    few, many = milliseconds(detector, states, checks)
    usual = float(np.median(few + many))
    return min(few), min(many), usual, len(states[1].to_bytes()) / number / 1e3


def main() -> int:
    rng = np.random.default_rng(0)
    print(f"a check of {ROWS} rows in {SLICES} slices, {machine()}")
    heads = ("after 10^3 rows", "after 10^7 rows", "ratio", "bound", "median", "kB a signal")
    print(f"{'ms':12}" + "".join(f"{head:>17}" for head in heads))
    is_over = False
    for number, slowest in zip(SIGNALS, SLOWEST, strict=True):
        few, many, usual, size = measure(rng, number)
        figures = (few, many, many / few, slowest, usual, size)
        print(f"{number:3} signals " + "".join(f"{figure:17.2f}" for figure in figures))
        is_over = is_over or max(few, many) > slowest or many / few > MOST_GROWTH
    return int(is_over and "--strict" in sys.argv[1:])


def machine() -> str:
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    return f"{platform.machine()}, {versions}"


if __name__ == "__main__":
    sys.exit(main())
