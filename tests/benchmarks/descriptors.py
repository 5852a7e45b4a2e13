"""Cost of describing a row: of a vector, of the numbers together, of a text, of a time.

    python -m tests.benchmarks.descriptors [--strict]

Values come as from decoded JSON, in batches of 256; the best of rounds, so the machine undisturbed.
With --strict, exits with 1 if one of them costs more than the bound beside it.
"""

import sys
import time

import numpy as np

from drift_middleware.drift.descriptors.texts import Text
from drift_middleware.drift.descriptors.times import Time
from drift_middleware.drift.descriptors.vectors import Vector
from drift_middleware.drift.joint import Joint
from tests.benchmarks.check import machine

BATCH, ROUNDS = 256, 50
NOW = 1.7e9
WORDS = ["the", "parcel", "came", "two", "days", "late", "and", "its", "box", "was", "open", "but"]


def microseconds(describe):
    """Cost of a row, the best of rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        describe()
        times.append(time.perf_counter() - start)
    return min(times) / BATCH * 1e6


def vector(rng):
    values = rng.normal(size=(BATCH, 768)).tolist()
    learned = Vector.learn(rng.normal(size=(1000, 768)), rng)
    return lambda: learned.describe(values, None)


def joint(rng, columns):
    """Describe a batch and count its pairs."""
    baseline = {f"x{i}": rng.normal(size=2500) for i in range(columns)}
    values = {name: rng.normal(size=BATCH) for name in baseline}
    learned = Joint.learn(baseline, rng)
    return lambda: (learned.describe(values), learned.same_side(values))


def text(rng):
    def write():
        return " ".join(rng.choice(WORDS, 40))[:100]

    values = [write() for _ in range(BATCH)]
    learned = Text.learn([write() for _ in range(1000)], language=False)
    return lambda: learned.describe(values, None)


def moment(rng):
    def times(count):
        seconds = np.datetime64(int(NOW), "s") - rng.integers(0, 10**6, count)
        return [f"{one}Z" for one in seconds.astype(str)]

    values, at = times(BATCH), np.full(BATCH, NOW)
    learned = Time.learn(times(1000), has_age=True)
    return lambda: learned.describe(values, at)


def main() -> int:
    rng = np.random.default_rng(0)
    lines = [
        ("vector of 768 numbers", vector(rng), 60),
        ("joint, 10 columns", joint(rng, 10), 2),
        ("joint, 25 columns", joint(rng, 25), 5),
        ("text of 100 characters, without extras", text(rng), 60),
        ("time, with its age", moment(rng), 20),
    ]
    print(f"batches of {BATCH}, {machine()}")
    print(f"{'us a row':40}{'cost':>8}{'bound':>8}")
    over = False
    for name, describe, bound in lines:
        cost = microseconds(describe)
        over = over or cost > bound
        print(f"{name:40}{cost:8.2f}{bound:8}")
    return int(over and "--strict" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
