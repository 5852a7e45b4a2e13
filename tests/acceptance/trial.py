"""Run a detector over simulated checks, and say what was found beside what was promised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from drift_middleware.drift.detector import Detector

LEVELS = ("none", "low", "medium", "high")
REDUCED, FULL = "reduced", "full"
Size = Literal["reduced", "full"]
SIZES = [
    REDUCED,
    pytest.param(FULL, marks=[pytest.mark.slow, pytest.mark.timeout(0)]),
]


class Trace(NamedTuple):
    """What a detector said after each check."""

    level: NDArray[np.int64]
    "(checks, signals)"
    changed: NDArray[np.bool_]
    "(checks, channels)"
    inflation: NDArray[np.float64]
    "(signals,) of the variance, as the last state has it"

    def first(self, signal: int, level: int, of: NDArray[np.intp]) -> float:
        """Checks to a level of a signal, to its alarm for level 0; infinite if it never came."""
        reached = self.changed[:, of == signal].any(axis=1) if level == 0 else None
        reached = self.level[:, signal] >= level if reached is None else reached
        return float(np.argmax(reached) + 1) if reached.any() else np.inf

    @property
    def alarms(self) -> int:
        """Times that a channel crossed its alarm line."""
        before = np.concatenate([np.zeros_like(self.changed[:1]), self.changed[:-1]])
        return int((self.changed & ~before).sum())


def watch(detector: Detector, tallies: NDArray[np.int64]) -> Trace:
    """Run all checks (checks, slices, size), from a fresh start."""
    state, levels, changed = detector.start(), [], []
    for slices in tallies:
        state = detector.check(state, slices)
        levels.append(detector.channels.worst(state.level))
        changed.append(state.changed)
    inflation = detector.channels.worst(state.dependence.variance.max(axis=(0, 1)))
    return Trace(np.array(levels), np.array(changed), inflation)


class Finding(NamedTuple):
    """Numbers of several runs, what they are summed up as, and the bar it is held to."""

    what: str
    values: NDArray[np.float64]
    summary: Literal["rate", "mean", "median", "largest"]
    bar: float
    sense: Literal["at most", "at least"] = "at most"

    @property
    def measured(self) -> float:
        """The sum of it."""
        sums = {"rate": np.mean, "mean": np.mean, "median": _upper_median, "largest": np.max}
        return float(sums[self.summary](self.values))

    @property
    def upper(self) -> float | None:
        """Upper 95 % confidence limit of a rate (Clopper and Pearson)."""
        if self.summary != "rate":
            return None
        events, runs = int(np.sum(self.values)), len(self.values)
        return 1.0 if events == runs else float(beta.ppf(0.95, events + 1, runs - events))

    @property
    def holds(self) -> bool:
        """Is the bar kept?"""
        if self.sense == "at most":
            return self.measured <= self.bar
        return self.measured >= self.bar

    def __str__(self) -> str:
        measured = f"{self.summary} {self.measured:.4g} of {len(self.values)} runs"
        return f"{self.what}: {measured}, {self.sense} {self.bar:g}"


def _upper_median(values: NDArray[np.float64]) -> float:
    return float(np.sort(values)[len(values) // 2])  # some are infinite: no mean of two


def rate(what: str, events: Iterable[bool], bar: float) -> Finding:
    return Finding(what, np.array(list(events), float), "rate", bar)


def median(what: str, values: Iterable[float], bar: float) -> Finding:
    return Finding(what, np.array(list(values), float), "median", bar)


def check(findings: Iterable[Finding]) -> None:
    """Assert all of them, and name every one that failed."""
    failed = [str(finding) for finding in findings if not finding.holds]
    assert not failed, "\n".join(failed)
