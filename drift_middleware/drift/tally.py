"""Tallies: rows become counts of cells.  A row is placed once; the rest is counting and adding."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.cells import FEW, LARGEST, Cells, Floats
from drift_middleware.drift.levels import level
from drift_middleware.drift.signals import Layout, Signal
from drift_middleware.schemas import Table, Tally

Places = NDArray[np.intp]
SLICES = 10
"time slices of a check, from which the dependence of its rows is learned"


class Counter:
    """Places the rows of a table among the cells of all signals.

    Parameters
    ----------
    signals
        What is watched; their order is that of the tally.
    rng
        Draws a uniform for every value that equals an edge.
    """

    def __init__(self, signals: Sequence[Signal], rng: np.random.Generator) -> None:
        self.layout = Layout(signals)
        self._signals = signals
        self._rng = rng
        self._levels = [_lookup(signal.cells) for signal in signals]
        self._edges = [
            np.array(signal.cells.edges or signal.cells.values, float)
            if signal.cells.ordered
            else np.empty(0)
            for signal in signals
        ]
        self._keys = [np.array(signal.cells.keys) for signal in signals]
        # Of a value between two edges: the keys below it, which are those of all lower edges.
        self._below = [
            np.searchsorted(keys, np.arange(len(edges) + 1))
            for keys, edges in zip(self._keys, self._edges, strict=True)
        ]

    def place(self, table: Table, captured: Collection[str]) -> tuple[Places, dict[str, list[Any]]]:
        """Find the place of every row in every signal.

        Parameters
        ----------
        table
            Rows by column; columns that are not watched are passed over.
        captured
            Columns that traffic has shown so far.  Any other column counts nothing: that nobody
            sent it yet says nothing of drift.

        Returns
        -------
        places : (signals, rows) int
            Index into the flat tally; `layout.size` where a row does not count.
        values : dict of column -> list
            The watched columns, clean: numbers, NaN where missing; or level names, None where
            missing.
        """
        places = np.full((len(self._signals), table.rows), self.layout.size)
        values: dict[str, list[Any]] = {}
        unpredicted = ~np.array(table.predicted, bool)
        for i, signal in enumerate(self._signals):
            if signal.column not in captured:
                continue
            column = table.columns.get(signal.column)
            if column is None:
                places[i] = self.layout.starts[i] + len(signal.cells)
            else:
                cells, values[signal.column] = self._assign(i, column)
                places[i] = self.layout.starts[i] + cells
            if signal.role == "prediction":
                places[i, unpredicted] = self.layout.size
        return places, values

    def count(self, places: Places) -> NDArray[np.intp]:
        """Return the (size,) counts of any part of the places."""
        return np.bincount(places.ravel(), minlength=self.layout.size + 1)[:-1]

    def _assign(self, i: int, column: list[Any]) -> tuple[Places, list[Any]]:
        cells = self._signals[i].cells
        if not cells.ordered:
            return _assign_levels(column, self._levels[i], len(cells))
        x = numbers(column)
        found = self._at_ranks(i, x) if cells.edges else self._at_values(i, x)
        missing = np.isnan(x)
        if missing.any():
            found[missing] = len(cells)
        return found, x.tolist()

    def _at_ranks(self, i: int, x: Floats) -> Places:
        edges, keys = self._edges[i], self._keys[i]
        at = np.searchsorted(edges, x)
        tied = edges[np.minimum(at, len(edges) - 1)] == x
        cells = self._below[i][at]
        if tied.any():
            draws = self._rng.random(int(tied.sum()))
            cells[tied] = np.searchsorted(keys, at[tied] + draws)
        return cells

    def _at_values(self, i: int, x: Floats) -> Places:
        known, last = self._edges[i], len(self._signals[i].cells) - 1
        if not len(known):
            return np.full(len(x), last)
        at = np.minimum(np.searchsorted(known, x), len(known) - 1)
        return np.where(known[at] == x, at, last)


def numbers(column: list[Any]) -> Floats:
    """Read a column as numbers: NaN for what is none, the largest number for an infinity."""
    try:
        x = np.array(column, float)
    except (TypeError, ValueError, OverflowError):
        x = np.array([_number(value) for value in column])
    if x.ndim != 1:  # every value is a list of the same length
        return np.full(len(column), np.nan)
    if np.isfinite(x).all():
        return x
    clipped: Floats = np.clip(x, -LARGEST, LARGEST)
    return clipped


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return LARGEST if value > 0 else -LARGEST
    except (TypeError, ValueError):
        return float("nan")


def _lookup(cells: Cells) -> dict[Any, int]:
    """Map every known level to its cell, in each form in which a payload may give it."""
    if cells.ordered:
        return {}
    found: dict[Any, int] = {}
    for i, name in enumerate(cells.values):
        found[name] = min(i, FEW)
        if name in ("true", "false"):
            # True, 1 and 1.0 are one key in Python: a flag sent as a number is the same flag.
            found |= dict.fromkeys((name == "true", str(int(name == "true"))), min(i, FEW))
            found |= dict.fromkeys((str(name).title(), str(name).upper()), min(i, FEW))
    return found


def _assign_levels(
    column: list[Any], lookup: dict[Any, int], width: int
) -> tuple[Places, list[str | None]]:
    """Find cells and level names, once for each distinct value: a column repeats few of them."""
    try:
        distinct = set(column)
    except TypeError:  # a list or dict among the values: no level, hence missing
        column = [level(value) for value in column]
        distinct = set(column)
    names = {value: level(value) for value in distinct}
    cells = {
        value: width if name is None else lookup.get(value, lookup.get(name, width - 1))
        for value, name in names.items()
    }
    return np.array([cells[value] for value in column]), [names[value] for value in column]


def tallies(
    counter: Counter, places: Places, requests: Sequence[int], *, since: int, check_every: int
) -> Iterator[Tally]:
    """Count the rows of some captured requests, one tally for each time slice that they touch.

    Parameters
    ----------
    places : (signals, rows) int
        Rows of these requests, in order.
    requests
        Rows of each request; they sum to the rows of `places`.
    since
        Requests captured since the last check, before these.
    check_every
        Requests between checks: a slice is a tenth of it.
    """
    ends = [0, *accumulate(requests)]
    slices = [min((since + i) * SLICES // check_every, SLICES - 1) for i in range(len(requests))]
    first = 0
    for last in range(1, len(requests) + 1):
        if last == len(requests) or slices[last] != slices[first]:
            part = places[:, ends[first] : ends[last]]
            yield Tally(
                slice=slices[first],
                requests=last - first,
                rows=part.shape[1],
                counts=counter.count(part).tolist(),
            )
            first = last
