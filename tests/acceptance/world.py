"""Fifteen columns of many kinds, drawn from normal latent scores, and counted as traffic is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, pdtr, stdtrit

from drift_middleware.drift.cells import Cells, cut_levels, cut_numbers
from drift_middleware.drift.signals import Layout, Signal
from drift_middleware.schemas import Role

Latent = NDArray[np.float64]
SLICES = 10
GRID = np.linspace(-6, 6, 4001)
SHARES = np.array([0.45, 0.3, 0.15, 0.07, 0.03])
ZIPF = (1 / np.arange(1, 3001)) / (1 / np.arange(1, 3001)).sum()


class Column(NamedTuple):
    """A column is what its `draw` makes of normal scores: numbers, or codes of levels."""

    name: str
    draw: Callable[[Latent], NDArray]
    levels: int = 0
    role: Role = "feature"


def _levels(shares) -> Callable[[Latent], NDArray]:
    edges = np.cumsum(shares)[:-1]
    return lambda z: np.searchsorted(edges, ndtr(z))


def _quantiles(quantile: Callable[[NDArray], NDArray]) -> Callable[[Latent], NDArray]:
    values = quantile(ndtr(GRID))
    return lambda z: np.interp(z, GRID, values)


COLUMNS = (
    Column("normal", lambda z: z),
    Column("height", lambda z: 170 + 8 * z),
    Column("income", np.exp),
    Column("wait", lambda z: -np.log(ndtr(-z))),
    Column("noise", lambda z: 1e-3 * z),
    Column("t3", _quantiles(lambda u: stdtrit(3, u))),
    Column("gamma", _quantiles(lambda u: gammaincinv(2, u))),
    Column("spent", lambda z: np.maximum(-np.log(ndtr(-z) / 0.6), 0)),
    Column("plan", _levels(SHARES), levels=5),
    Column("score", lambda z: 1 / (1 + np.exp(-z)), role="prediction"),
    Column("visits", lambda z: np.searchsorted(pdtr(np.arange(40), 5), ndtr(z)).astype(float)),
    Column("city", _levels(ZIPF), levels=3000),
    Column("member", _levels([0.7, 0.3]), levels=2),
    Column("fixed", lambda z: np.full(z.shape, 5.0)),
    Column("altitude", lambda z: np.round(6 * z - 20)),
)
NAMES = [column.name for column in COLUMNS]


class World:
    """A baseline of `rows` rows (or of these `latent` ones), and traffic counted in its cells.

    `extra` names columns that appear again, as columns of their own.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        rows: int = 5000,
        latent: Latent | None = None,
        columns: Sequence[Column] = COLUMNS,
    ) -> None:
        self.rng, self.columns = rng, columns
        self.baseline = rng.normal(size=(rows, len(columns))) if latent is None else latent
        self.signals = [
            Signal(column.name, column.name, column.role, self._cut(column, z))
            for column, z in zip(columns, self.baseline.T, strict=True)
        ]
        self.layout = Layout(self.signals)

    def _cut(self, column: Column, z: Latent) -> Cells:
        values = column.draw(z)
        if column.levels:
            return cut_levels([str(code) for code in values])
        return cut_numbers(values, self.rng)

    def places(self, latent: Latent) -> NDArray[np.intp]:
        """Place rows (rows, columns) of latent scores in the flat tally."""
        found = np.empty(latent.shape, np.intp)
        for i, (column, signal) in enumerate(zip(self.columns, self.signals, strict=True)):
            cell = self._cells(column, signal.cells, column.draw(latent[:, i]))
            found[:, i] = self.layout.starts[i] + cell
        return found

    def _cells(self, column: Column, cells: Cells, values: NDArray) -> NDArray[np.intp]:
        last = len(cells) - 1
        if column.levels:
            cell_of = np.full(column.levels, last)
            for i, name in enumerate(cells.values):
                cell_of[int(name)] = min(i, 10)
            return cell_of[values]
        if not cells.edges:
            known = np.array(cells.values, float)
            at = np.minimum(np.searchsorted(known, values), len(known) - 1)
            return np.where(known[at] == values, at, last)
        edges = np.array(cells.edges)
        at = np.searchsorted(edges, values)
        tied = edges[np.minimum(at, len(edges) - 1)] == values
        draws = self.rng.random(len(values))
        return np.searchsorted(np.array(cells.keys), np.where(tied, at + draws, at))

    def tallies(self, places: NDArray[np.intp], rows_per_check: int) -> NDArray[np.int64]:
        """Count placed rows (rows, columns) as (checks, slices, size)."""
        each = rows_per_check // SLICES
        parts = len(places) // each
        where = places + self.layout.size * (np.arange(len(places)) // each)[:, None]
        counts = np.bincount(where.ravel(), minlength=parts * self.layout.size)
        return counts.reshape(-1, SLICES, self.layout.size)

    def blocks(self, number: int) -> NDArray[np.int64]:
        """Tally the baseline itself, in so many blocks of time."""
        places = self.places(self.baseline)
        return np.array(
            [
                np.bincount(part.ravel(), minlength=self.layout.size)
                for part in np.array_split(places, number)
            ]
        )

    def replace(self, places: NDArray[np.intp], name: str, what: str, share: float) -> None:
        """Make a share of the placed rows `missing`, or `unseen`, in one column; in place."""
        i = [column.name for column in self.columns].index(name)
        chosen = self.rng.random(len(places)) < share
        cells = self.signals[i].cells
        places[chosen, i] = self.layout.starts[i] + len(cells) - (what == "unseen")
