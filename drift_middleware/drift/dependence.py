"""Serial dependence: retries, bursts, one day's weather.  Rows that repeat each other count less.

Heuristic (von Neumann 1941: mean square successive difference).  If rows are independent, the
squared difference of two successive means, over its variance, averages 1; dependent rows make it
larger by the factor kappa, and the rows of a check are then worth kappa times fewer.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from drift_middleware.drift.channels import Channels, Floats

# Successive time slices, and successive whole checks.
SLICES, CHECKS = 0, 1
# Below this, the estimate is taken for its own noise; above, it is raised by its own error.
NOTICEABLE, MARGIN = 1.4, 1.1
# One shift of level must not look like dependence: a single difference counts for at most this.
CAP = 9.0
# Pairs over which the estimate is averaged; whole checks are few, so theirs leans on 1 at first.
MEMORY, HEAD_START = 64, 4
# With at most so many slices seen, there is no past to learn from but the check's own slices.
COLD = 8
TINY = 1e-9


class Dependence(Struct, frozen=True, eq=False, array_like=True, forbid_unknown_fields=True):
    """What is known of the dependence between successive slices, and between successive checks."""

    variance: NDArray[np.float64]
    "(2 scales, 2 directions, channels) of successive means, relative to independent rows"
    last: NDArray[np.float64]
    "(2 scales, 5, channels) rows, sums of both scores and of their squares, where last were any"
    seen: NDArray[np.int64]
    "(2 scales, channels) slices and checks that had rows"


def no_past(channels: int) -> Dependence:
    """Start knowing nothing: rows are taken as independent."""
    return Dependence(
        variance=np.ones((2, 2, channels)),
        last=np.zeros((2, 5, channels)),
        seen=np.zeros((2, channels), np.int64),
    )


def watch(channels: Channels, past: Dependence, slices: Floats) -> Dependence:
    """Learn from a check's slices (slices, cells), oldest first, and from the check as a whole."""
    by_slice = _moments(channels, slices)
    scales = [
        _watch_scale(past, SLICES, by_slice),
        _watch_scale(past, CHECKS, by_slice.sum(axis=0, keepdims=True)),
    ]
    variance, last, seen = (np.stack(parts) for parts in zip(*scales, strict=True))
    return Dependence(variance, last, seen)


def inflation(channels: Channels, past: Dependence, present: Dependence) -> Floats:
    """Variance inflation kappa (channels,), at least 1, the same within a signal.

    It comes from the past only, so that no check is judged by what it looks like itself.  A signal
    without a past learns from its first slices before they are judged: it can speak at once.  But
    nine differences tell little of one signal, and dependence is the traffic's more than any one
    signal's: until it has a past, a signal counts as at least as dependent as half of the others,
    and the joint signal as half of its columns.
    """
    cold = past.seen[SLICES] <= COLD
    slices = np.where(cold, present.variance[SLICES], past.variance[SLICES])
    most = np.maximum(slices, past.variance[CHECKS]).max(axis=0)
    told = (present.seen[SLICES] > COLD) & (present.seen[SLICES] <= 2 * COLD)
    known = slices.mean(axis=0)[told & channels.is_value]
    typical = np.median(known) if len(known) else 1.0
    if typical > NOTICEABLE:
        most = np.where(cold & told, np.maximum(most, typical), most)
    for joint, columns in channels.made_of:
        here = channels.signal == joint
        typical = np.median(slices.max(axis=0)[channels.first[columns]]) if columns else 1.0
        most = np.where(cold & here, np.maximum(most, typical), most)
    kappa = np.where(most > NOTICEABLE, MARGIN * most, 1.0)
    return channels.worst(kappa)[channels.signal]


def _moments(channels: Channels, counts: Floats) -> Floats:
    """(k, cells) to (k, 5, channels): rows, sums of the two scores, sums of their squares."""
    return channels.total(counts[:, None] * channels.powers)


def _watch_scale(past: Dependence, scale: int, moments: Floats) -> tuple[Floats, Floats, Floats]:
    line = np.concatenate([past.last[scale][None], moments])
    some = line[:, 0] > 0
    if some.all():  # nearly always
        before, last = line[:-1], line[-1]
    else:  # a slice without rows says nothing: its neighbours are compared across it
        latest = np.maximum.accumulate(np.where(some, np.arange(len(line))[:, None], 0))
        before = np.take_along_axis(line, latest[:-1, None], axis=0)
        last = np.take_along_axis(line, latest[-1:, None], axis=0)[0]
    ratio = _squared_difference(before, moments)
    seen = past.seen[scale] + np.concatenate([0 * some[:1], np.cumsum(some[1:], axis=0)])
    pairs = np.clip(seen + HEAD_START * scale, 1, MEMORY)
    counts = some[1:] & (seen[:-1] > 0)
    variance = past.variance[scale]
    for each, weight in zip(ratio, counts / pairs[:-1], strict=True):
        variance = variance + (np.minimum(each, CAP * np.maximum(variance, 1)) - variance) * weight
    return variance, last, seen[-1]


def _squared_difference(before: Floats, after: Floats) -> Floats:
    """Squared difference of two means (k, 2, channels) over its variance if rows were independent.

    The variance is pooled over both, so that a drifted share does not look like dependence.
    """
    rows_before, rows_after = np.maximum(before[:, :1], TINY), np.maximum(after[:, :1], TINY)
    pooled = (before + after) / (rows_before + rows_after)
    unit = pooled[:, 3:] - pooled[:, 1:3] ** 2
    gap = after[:, 1:3] / rows_after - before[:, 1:3] / rows_before
    expected = (1 / rows_before + 1 / rows_after) * np.maximum(unit, TINY)
    squared: Floats = gap**2 / expected
    return squared
