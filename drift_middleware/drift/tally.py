"""Tallies: rows become counts of cells.  A row is placed once; the rest is counting and adding."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.cells import FEW, LARGEST, Cells, Floats
from drift_middleware.drift.descriptors import Descriptor, Part
from drift_middleware.drift.levels import level
from drift_middleware.drift.signals import Layout, Signal
from drift_middleware.schemas import Table, Tally

if TYPE_CHECKING:
    from drift_middleware.drift.joint import Joint

Places = NDArray[np.intp]
JOINT = "joint"
"name of the signal, and of the column that it is said to be of"
LONGEST_KEPT = 10_000
"characters of a text"
SLICES = 10
"time slices of a check, from which the dependence of its rows is learned"


class Placed(NamedTuple):
    """Where the rows of a table fell."""

    places: Places
    "(signals, rows) index into the flat tally; `layout.size` where a row does not count"
    values: dict[str, list[Any]]
    "what is kept of the rows: the watched columns, clean, or the parts of those that are nested"
    numbers: dict[str, Floats]
    "the columns of the joint signal"


class Counter:
    """Places the rows of a table among the cells of all signals.

    Parameters
    ----------
    signals
        What is watched; their order is that of the tally.
    rng
        Draws a uniform for every value that equals an edge.
    descriptors
        Of the columns whose signals are parts.
    joint
        What the signal of that name is made of, if there is one.
    """

    def __init__(
        self,
        signals: Sequence[Signal],
        rng: np.random.Generator,
        descriptors: Mapping[str, Descriptor] | None = None,
        joint: Joint | None = None,
    ) -> None:
        self.layout = Layout(signals)
        self.joint = joint
        self._signals = signals
        self._rng = rng
        self._descriptors = descriptors or {}
        self._of_column: dict[str, list[int]] = {}
        for i, signal in enumerate(signals):
            self._of_column.setdefault(signal.column, []).append(i)
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

    def place(self, table: Table, captured: Collection[str]) -> Placed:
        """Find the place of every row in every signal.

        Parameters
        ----------
        table
            Rows by column; columns that are not watched are passed over.
        captured
            Columns that traffic has shown so far.  Any other column counts nothing: that nobody
            sent it yet says nothing of drift.
        """
        places = np.full((len(self._signals), table.rows), self.layout.size)
        placed = Placed(places, {}, {})
        for name, signals in self._of_column.items():
            if name not in captured or name == JOINT:
                continue
            column = table.columns.get(name)
            if column is None:
                for i in signals:
                    places[i] = self.layout.starts[i] + len(self._signals[i].cells)
            else:
                self._place_column(placed, name, column, table)
        if self.joint is not None and JOINT in captured:
            self._place_joint(placed, table)
        if not all(table.predicted):
            outputs = np.array([signal.role == "prediction" for signal in self._signals])
            unpredicted = ~np.array(table.predicted, bool)
            places[np.ix_(outputs, unpredicted)] = self.layout.size
        return placed

    def _place_column(self, placed: Placed, name: str, column: list[Any], table: Table) -> None:
        descriptor, values = self._descriptors.get(name), placed.values
        parts: Mapping[str, Part | list[Any]] = {"": column}
        if descriptor is not None:
            at = np.repeat(table.at, table.requests).tolist() if table.at else None
            parts = descriptor.describe(column, at)
        for i in self._of_column[name]:
            signal = self._signals[i]
            cells, clean = self._assign(i, parts[signal.part])
            placed.places[i] = self.layout.starts[i] + cells
            if signal.part == "" or (descriptor and descriptor.is_nested):
                values[signal.name] = clean if isinstance(clean, list) else clean.tolist()
            if self.joint is not None and name in self.joint.columns and not signal.part:
                placed.numbers[name] = np.asarray(clean, float)
        if descriptor and not descriptor.is_nested and name not in values:
            values[name] = [_scalar(value) for value in column]

    def _place_joint(self, placed: Placed, table: Table) -> None:
        assert self.joint is not None  # noqa: S101  # asked by the caller
        for name in self.joint.columns:
            if name not in placed.numbers:
                column = table.columns.get(name)
                absent = np.full(table.rows, np.nan)
                placed.numbers[name] = absent if column is None else numbers(column)
        (i,) = self._of_column[JOINT]
        cells, _ = self._assign(i, self.joint.describe(placed.numbers))
        placed.places[i] = self.layout.starts[i] + cells

    def count_runs(self, placed: Placed, ends: Sequence[int]) -> list[list[int]]:
        """Count runs of rows, apart: the cells of all signals.

        Parameters
        ----------
        ends : (runs,)
            Where each run of rows ends, and the next begins; the last one is the number of rows.

        Returns
        -------
        (runs, layout.size) lists
        """
        width = self.layout.size + 1  # and one for what does not count
        of_run = np.repeat(np.arange(len(ends)) * width, np.diff(ends, prepend=0))
        counts = np.bincount((placed.places + of_run).ravel(), minlength=len(ends) * width)
        counted: list[list[int]] = counts.reshape(len(ends), width)[:, :-1].tolist()
        return counted

    def count_pairs(self, placed: Placed) -> list[int]:
        """Count the pairs of the joint signal, in all rows; empty where there is none."""
        joint = self.joint
        counts: list[int] = [] if joint is None else joint.same_side(placed.numbers).tolist()
        return counts

    def _assign(self, i: int, part: Part | list[Any]) -> tuple[Places, Floats | list[str | None]]:
        cells = self._signals[i].cells
        if not cells.ordered:
            column = part if isinstance(part, list) else part.tolist()
            return _assign_levels(column, self._levels[i], len(cells))
        x = numbers(part)
        found = self._at_ranks(i, x) if cells.edges else self._at_values(i, x)
        missing = np.isnan(x)
        if missing.any():
            found[missing] = len(cells)
        return found, x

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


def numbers(column: Sequence[Any] | Floats) -> Floats:
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


def _scalar(value: Any) -> Any:
    """Keep a value as it came, a long text in part, and nothing of what is nested."""
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, int | float) else level(value, LONGEST_KEPT)


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
    counter: Counter, placed: Placed, requests: Sequence[int], slices: Sequence[int]
) -> Iterator[Tally]:
    """Count the rows of some captured requests, one tally for each time slice that they touch.

    Pairs are only ever summed over slices: those of all rows come with the first tally.

    Parameters
    ----------
    placed
        Rows of these requests, in order.
    requests
        Rows of each request; they sum to the rows that were placed.
    slices
        Of each request, ascending.
    """
    if not requests:
        return
    last = [*np.flatnonzero(np.diff(slices)).tolist(), len(requests) - 1]
    ends = np.cumsum(requests)[last].tolist()
    pairs, before = counter.count_pairs(placed), (0, 0)
    for i, rows, counts in zip(last, ends, counter.count_runs(placed, ends), strict=True):
        yield Tally(
            slice=slices[i],
            requests=i + 1 - before[0],
            rows=rows - before[1],
            counts=counts + pairs,
        )
        pairs, before = [], (i + 1, rows)


def slices_of(requests: int, since: int, check_every: int, *, at_least: float = 0.0) -> list[int]:
    """Give each captured request its tenth of a check.

    Parameters
    ----------
    requests
        How many.
    since
        Requests captured since the last check, before these.
    check_every
        Requests between checks.
    at_least
        Share of the time between checks that has passed, where there are checks by time.
    """
    tenths = np.arange(since, since + requests) * SLICES // check_every
    last = SLICES - 1
    slices: list[int] = np.clip(tenths, min(int(at_least * SLICES), last), last).tolist()
    return slices
