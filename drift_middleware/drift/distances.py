"""Distances people know, each with the value that chance alone would give; none raises a level.

All are functions of the same counts.  A value means little without `by_chance` beside it, which
grows as rows get fewer.  Formulas of chance are asymptotic: with few rows in the rarest cells,
chi-square and PSI run 5 to 10 % under theirs, and `ks` is an upper value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from drift_middleware.drift.cells import Floats


class Cut(NamedTuple):
    """Counts of one signal in the same cells, baseline and live."""

    baseline: Floats
    "(cells,) shares of the baseline's rows, each above 0"
    live: Floats
    "(cells,) shares of the live rows"
    smoothed: Floats
    "(cells,) the same with half a row more in every cell, so none is 0"
    rows: float
    "live rows"
    weight: float
    "baseline rows"
    gaps: Floats
    "(cells - 1,) between the means of neighbouring cells, in sd of the baseline; or empty"

    @property
    def variance(self) -> float:
        """Of a difference of two means of independent rows of unit variance."""
        return 1 / self.rows + 1 / self.weight

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the shares."""
        return len(self.baseline) - 1


Distance = Callable[[Cut], tuple[float, float]]
DISTANCES: dict[str, Distance] = {}


def distance(formula: Distance) -> Distance:
    """Register a function from a `Cut` to (value, by chance), under its own name."""

    @wraps(formula)
    def measure(cut: Cut) -> tuple[float, float]:
        value, by_chance = formula(cut)
        return float(value), float(by_chance)

    DISTANCES[formula.__name__] = measure
    return measure


@distance
def total_variation(cut: Cut) -> tuple[float, float]:
    """Share of live rows that would have to change cell to look like the baseline; in [0, 1].

    Examples
    --------
    >>> value, by_chance = total_variation(cut([500, 500], [75, 25]))
    >>> value, round(by_chance, 3)
    (0.25, 0.042)
    """
    noise = np.sqrt(cut.baseline * (1 - cut.baseline) * cut.variance).sum()
    return np.abs(cut.live - cut.baseline).sum() / 2, 0.4 * noise


@distance
def psi(cut: Cut) -> tuple[float, float]:
    """Give the population stability index, from 0 up: Kullback-Leibler both ways, in nats.

    By chance it is chi-square: (cells - 1) (1/N + 1/M) on average (Yurdakul 2018).

    Examples
    --------
    >>> value, by_chance = psi(cut([500, 500], [75, 25]))
    >>> round(value, 3), round(by_chance, 3)
    (0.269, 0.011)
    """
    excess = cut.smoothed - cut.baseline
    value = np.sum(excess * np.log(cut.smoothed / cut.baseline))
    return value, cut.freedom * cut.variance


@distance
def jensen_shannon(cut: Cut) -> tuple[float, float]:
    """Jensen-Shannon distance in base 2, in [0, 1]; by chance, its root mean square.

    Examples
    --------
    >>> value, by_chance = jensen_shannon(cut([500, 500], [0, 100]))
    >>> round(value, 3), round(by_chance, 3)
    (0.558, 0.045)
    """
    middle = (cut.baseline + cut.live) / 2
    # Equal shares may come out a rounding below 0.
    divergence = max(_bits(cut.baseline, middle) + _bits(cut.live, middle), 0.0)
    return np.sqrt(divergence / 2), np.sqrt(cut.freedom * cut.variance / (8 * np.log(2)))


@distance
def hellinger(cut: Cut) -> tuple[float, float]:
    """Hellinger distance, in [0, 1]; by chance, its root mean square.

    Examples
    --------
    >>> value, by_chance = hellinger(cut([500, 500], [0, 100]))
    >>> round(value, 3), round(by_chance, 3)
    (0.541, 0.037)
    """
    square = np.sum((np.sqrt(cut.live) - np.sqrt(cut.baseline)) ** 2) / 2
    return np.sqrt(square), np.sqrt(cut.freedom * cut.variance / 8)


@distance
def chi_square(cut: Cut) -> tuple[float, float]:
    """Pearson's statistic of two samples, from 0 up; by chance, its degrees of freedom.

    Examples
    --------
    >>> value, by_chance = chi_square(cut([500, 500], [75, 25]))
    >>> round(value, 1), by_chance
    (22.8, 1.0)
    """
    rows = cut.rows + cut.weight
    pooled = (cut.live * cut.rows + cut.baseline * cut.weight) / rows
    return np.sum((cut.live - cut.baseline) ** 2 / pooled) / cut.variance, cut.freedom


@distance
def ks(cut: Cut) -> tuple[float, float]:
    """Kolmogorov and Smirnov's: largest difference of the distribution functions, at the edges.

    By chance Kolmogorov's mean is .87 standard errors; at a dozen edges it is .8 at most.

    Examples
    --------
    >>> value, by_chance = ks(cut([500, 500], [75, 25]))
    >>> value, round(by_chance, 3)
    (0.25, 0.084)
    """
    below = np.cumsum(cut.live - cut.baseline)[:-1]
    return np.abs(below).max(initial=0.0), 0.8 * np.sqrt(cut.variance)


@distance
def wasserstein(cut: Cut) -> tuple[float, float]:
    """Wasserstein's: how far, in sd of the baseline, a row has to move on average.

    Rows are taken to sit at the baseline's mean of their cell.  Needs `gaps`: ordered signals only.

    Examples
    --------
    >>> value, by_chance = wasserstein(cut([500, 500], [75, 25], gaps=[1.6]))
    >>> round(value, 3), round(by_chance, 3)
    (0.4, 0.067)
    """
    below = np.cumsum(cut.live - cut.baseline)[:-1]
    baseline = np.minimum(np.cumsum(cut.baseline)[:-1], 1)
    by_chance = np.sum(np.sqrt(baseline * (1 - baseline)) * cut.gaps)
    return np.sum(np.abs(below) * cut.gaps), np.sqrt(2 / np.pi * cut.variance) * by_chance


def cut(weights: ArrayLike, counts: ArrayLike, gaps: ArrayLike = ()) -> Cut:
    """Make shares of counts; see `distances`."""
    baseline, live = np.asarray(weights, float), np.asarray(counts, float)
    weight, rows = float(baseline.sum()), float(live.sum())
    if baseline.shape != live.shape or not (baseline > 0).all() or rows <= 0:
        msg = f"Need {len(baseline)} weights above 0, and as many counts with at least one row."
        raise ValueError(msg)
    smoothed = (live + 0.5) / (rows + len(live) / 2)
    share = baseline / weight
    return Cut(share, live / rows, smoothed, rows, weight, np.asarray(gaps, float))


def distances(
    weights: ArrayLike, counts: ArrayLike, gaps: ArrayLike | None = None
) -> dict[str, tuple[float, float]]:
    """Every distance of live counts from a baseline, as name -> (value, value by chance alone).

    Parameters
    ----------
    weights : (cells,)
        Baseline counts or weights, each above 0.
    counts : (cells,)
        Live counts in the same cells, at least one row.
    gaps : (cells - 1,), optional
        As `gaps_between` gives them; without, or empty, there is no `wasserstein`.

    Raises
    ------
    ValueError
        If there are no live rows, or a weight is not above 0.

    Examples
    --------
    >>> found = distances([500, 500], [75, 25], gaps=[1.6])
    >>> sorted(found)  # doctest: +NORMALIZE_WHITESPACE
    ['chi_square', 'hellinger', 'jensen_shannon', 'ks', 'psi', 'total_variation', 'wasserstein']
    >>> found["total_variation"][0]
    0.25
    """
    both = cut(weights, counts, () if gaps is None else gaps)
    left_out = set() if len(both.gaps) else {"wasserstein"}
    return {name: measure(both) for name, measure in DISTANCES.items() if name not in left_out}


def gaps_between(means: Sequence[float], spread: float) -> Floats:
    """Distances between successive cell means, in sd; empty where there is no (finite) spread.

    Examples
    --------
    >>> gaps_between([1.0, 2.0, 4.0], 2.0)
    array([0.5, 1. ])
    """
    if not spread > 0:
        return np.array([])
    with np.errstate(over="ignore"):
        gaps = np.diff(means) / spread
    return gaps if np.isfinite(gaps).all() else np.array([])


def _bits(share: Floats, other: Floats) -> float:
    held = share > 0
    return float(np.sum(share[held] * np.log2(share[held] / other[held])))
