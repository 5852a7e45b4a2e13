"""The joint signal: how unusual a row's numbers are together, whatever each is alone.

A change of dependence leaves every column's own distribution as it was.  What it moves is the
Mahalanobis distance of the columns' normal scores, a number for each row that is cut and counted
as any other; it is learned from one half of the baseline and cut on the other.  Which pair of
columns is behind it is told by counting: tallies of pairs add as all tallies do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.special import ndtri

from drift_middleware.drift.cells import Floats

Counts = NDArray[np.int64]

# Beyond these the distance drowns the change of a single pair.
MOST_COLUMNS = 32
# Rows that are learned from: scores and covariances are no better for more.
MOST_ROWS = 20_000
RANKS = np.array([0.005, 0.02, *np.arange(1, 10) / 10, 0.98, 0.995])
# Added to each variance: columns that repeat each other have a covariance without inverse.
RIDGE = 0.05


class PairMoved(NamedTuple):
    """The two columns whose dependence moved most."""

    first: str
    second: str
    baseline_share: float
    "of the baseline's rows, where both are above their middle or neither is"
    live_share: float
    baseline_correlation: float
    "what these shares are in normal columns; an estimate, for people"
    live_correlation: float


class Joint(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What is known of the numeric columns together.  Arrays are little-endian, as bytes."""

    columns: tuple[str, ...]
    knots: bytes
    "(columns, 13) float64, quantiles of each column, ascending"
    scores: bytes
    "(columns, 13) float64, normal scores at the knots, less the column's mean score"
    inverse: bytes
    "(columns, columns) float64, of the covariance of the scores"
    middles: bytes
    "(columns,) float64, the values that part each column most evenly: `above` and the others"
    above: bytes
    "(columns,) float64, share of the baseline's values above the middle"
    counts: bytes
    "(2 * pairs,) int64, what `same_side` gives for the baseline"

    @classmethod
    def learn(cls, columns: Mapping[str, Floats], rng: np.random.Generator) -> Self:
        """Learn from one half of the baseline; `describe` is to be cut on the other.

        Of more than 32 columns those are chosen that depend most on any other: what there is of
        dependence can be lost, and there the loss is largest.

        Parameters
        ----------
        columns : dict of (rows,) float64
            At least two, NaN where missing.
        rng
            Chooses the rows, if there are more than 20,000.
        """
        names, x = tuple(columns), np.array(list(columns.values()), float)
        if x.shape[1] > MOST_ROWS:
            x = x[:, rng.choice(x.shape[1], MOST_ROWS, replace=False)]
        knots, scores, covariance = _learn_scores(x)
        chosen = _most_dependent(covariance)
        ridge = RIDGE * np.eye(len(chosen))
        middles, above = np.transpose([_middle(values) for values in x[chosen]])
        joint = cls(
            columns=tuple(names[i] for i in chosen),
            knots=_pack(knots[chosen]),
            scores=_pack(scores[chosen]),
            inverse=_pack(np.linalg.inv(covariance[np.ix_(chosen, chosen)] + ridge)),
            middles=_pack(middles),
            above=_pack(above),
            counts=b"",
        )
        counts = joint.same_side({names[i]: x[i] for i in chosen})
        return replace(joint, counts=counts.astype("<i8").tobytes())

    def describe(self, values: Mapping[str, Floats]) -> Floats:
        """Measure how unusual rows are: the squared Mahalanobis distance of their normal scores.

        Parameters
        ----------
        values : dict of (rows,) float64
            Of the columns, NaN where missing.  A column that is not there is missing.

        Returns
        -------
        (rows,) float64
            From 0, about the number of columns on average.  A missing value counts as a usual one.

        Notes
        -----
        Normal scores: of a value's rank, by linear interpolation between 13 quantiles, clipped
        beyond the outermost.  So neither outliers nor the shapes of the columns matter.  Equal
        values have the score of their middle rank; a constant has none.
        """
        z = _normal(self._table(values), self._knots, self._scores)
        distance: Floats = np.einsum("ir,ir->r", z, self._inverse @ z)
        return distance

    def same_side(self, values: Mapping[str, Floats]) -> Counts:
        """Count, for each pair of columns, the rows where both are above their middle or neither.

        Parameters
        ----------
        values
            As in `describe`.

        Returns
        -------
        (2 * pairs,) int64
            Of each pair (first with second, with third, ...) the rows on the same side; then, of
            each pair, the rows where both have a value.  Adds over batches and workers.

        Notes
        -----
        A value that equals the middle is not above it.  The middle is the median, but where ties
        would put more than half of the rows on its side, the value that parts them most evenly.
        """
        x = self._table(values)
        side = np.where(x > self._middles[:, None], 1.0, -1.0)
        side[np.isnan(x)] = 0.0
        known = np.abs(side)
        rows, surplus = (known @ known.T)[self._pairs], (side @ side.T)[self._pairs]
        return np.concatenate([(rows + surplus) / 2, rows]).astype(np.int64)

    def most_moved(self, counts: Sequence[int] | Counts) -> PairMoved | None:
        """Name the pair that moved most, by standard errors; None if no rows were counted.

        Parameters
        ----------
        counts : (2 * pairs,)
            Sums of what `same_side` gave for the rows in question.
        """
        live_same, live_rows = np.reshape(np.asarray(counts, float), (2, -1))
        same, rows = np.reshape(np.frombuffer(self.counts, "<i8").astype(float), (2, -1))
        if not live_rows.any():
            return None
        pooled = (live_same + same + 0.5) / (live_rows + rows + 1)
        is_known = (live_rows > 0) & (rows > 0)
        live_rows, rows = np.maximum(live_rows, 1), np.maximum(rows, 1)
        live, baseline = live_same / live_rows, same / rows
        error = np.sqrt(pooled * (1 - pooled) * (1 / live_rows + 1 / rows))
        best = int(np.argmax(np.where(is_known, np.abs(live - baseline) / error, -1)))
        first, second = (int(part[best]) for part in self._pairs)
        shares = float(baseline[best]), float(live[best])
        above = np.frombuffer(self.above, "<f8")
        correlations = (correlation(share, above[first], above[second]) for share in shares)
        return PairMoved(self.columns[first], self.columns[second], *shares, *correlations)

    def _table(self, values: Mapping[str, Floats]) -> Floats:
        """Put the columns side by side, (columns, rows)."""
        rows = len(next(iter(values.values()), ()))
        absent = np.full(rows, np.nan)
        return np.array([values.get(name, absent) for name in self.columns], float)

    @cached_property
    def _knots(self) -> Floats:
        return _unpack(self.knots, len(self.columns), -1)

    @cached_property
    def _scores(self) -> Floats:
        return _unpack(self.scores, len(self.columns), -1)

    @cached_property
    def _inverse(self) -> Floats:
        return _unpack(self.inverse, len(self.columns), -1)

    @cached_property
    def _middles(self) -> Floats:
        return _unpack(self.middles, -1)

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        first, second = np.triu_indices(len(self.columns), 1)
        return first, second


def correlation(share: float, first_above: float = 0.5, second_above: float = 0.5) -> float:
    """Estimate the correlation of two normal columns from how often they are on the same side.

    Parameters
    ----------
    share
        Of rows where both are above where they were parted or neither is.
    first_above, second_above
        Share of each column above where it was parted.

    Returns
    -------
    float
        Exact for columns parted at their medians (Sheppard 1899: sin(pi/2 (2 share - 1)), the same
        as -cos(pi share)); elsewhere 2 share - 1 is replaced by the phi coefficient.  0 if all
        values of a column are on one side.

    Examples
    --------
    >>> [round(correlation(share), 3) for share in (0, 0.5, 2 / 3, 1)]
    [-1.0, 0.0, 0.5, 1.0]
    """
    p, q = first_above, second_above
    widest = 2 * np.sqrt(p * (1 - p) * q * (1 - q))
    if not widest:
        return 0.0
    phi = np.clip((share - p * q - (1 - p) * (1 - q)) / widest, -1, 1)
    return float(np.sin(np.pi / 2 * phi))


def _learn_scores(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Give the knots and scores of columns (columns, rows), and the scores' covariance."""
    tables = np.array([_knots_and_scores(values) for values in x])
    knots, scores = tables[:, 0], tables[:, 1]
    scores -= _normal(x, knots, scores).mean(axis=1, keepdims=True)
    z = _normal(x, knots, scores)
    return knots, scores, z @ z.T / z.shape[1]


def _knots_and_scores(values: Floats) -> tuple[Floats, Floats]:
    """Give quantiles of a column, and the normal scores of their middle ranks."""
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return np.zeros(len(RANKS)), np.zeros(len(RANKS))
    # Values of the column, never between two: those of the largest numbers overflow.
    knots = known[(RANKS * len(known)).astype(int)]
    below = np.searchsorted(known, knots, side="left")
    through = np.searchsorted(known, knots, side="right")
    middle = (below + through) / (2 * len(known))
    return knots, ndtri(np.clip(middle, RANKS[0], RANKS[-1]))


def _normal(x: Floats, knots: Floats, scores: Floats) -> Floats:
    """Score values (columns, rows) as normal ones; 0, the mean, where missing."""
    z = np.empty_like(x)
    for i, values in enumerate(x):
        z[i] = np.interp(values, knots[i], scores[i])
    z[np.isnan(z)] = 0.0
    # Between knots that differ in their last bit the slope is infinite, and so is what it gives.
    return np.clip(z, scores[:, :1], scores[:, -1:])


def _middle(values: Floats) -> tuple[float, float]:
    """Find the value that parts a column most evenly, and the share of its values above."""
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if not len(distinct):
        return 0.0, 0.0
    above = 1 - np.cumsum(counts) / counts.sum()
    best = np.argmin(np.abs(above - 0.5))
    return float(distinct[best]), float(above[best])


def _most_dependent(covariance: Floats) -> NDArray[np.intp]:
    """Choose columns, in their order, by their largest covariance with any other."""
    others = np.abs(covariance - np.diag(np.diag(covariance)))
    chosen = np.argsort(-others.max(axis=1), kind="stable")[:MOST_COLUMNS]
    return np.sort(chosen)


def _pack(array: NDArray[np.floating[Any]]) -> bytes:
    return array.astype("<f8").tobytes()


def _unpack(data: bytes, *shape: int) -> Floats:
    return np.frombuffer(data, "<f8").astype(float).reshape(shape)
