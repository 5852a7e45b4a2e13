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
from drift_middleware.drift.ranks import Places, Ranks
from drift_middleware.drift.signals import Layout, Signal
from drift_middleware.schemas import Table, Tally

if TYPE_CHECKING:
    from drift_middleware.drift.joint import Joint

Counts = NDArray[np.int64]
NO_PAIRS: Counts = np.empty(0, np.int64)
JOINT = "joint"
"name of the signal, and of the column that it is said to be of"
LONGEST_KEPT = 10_000
"characters of a text"
AT_ONCE = 1 << 16
"numbers that are placed together"
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
        self._starts = np.array(self.layout.starts)
        self.joint = joint
        self._signals = signals
        self._rng = rng
        self._descriptors = descriptors or {}
        self._of_column: dict[str, list[int]] = {}
        for i, signal in enumerate(signals):
            self._of_column.setdefault(signal.column, []).append(i)
        self._levels = [_lookup(signal.cells) for signal in signals]
        self._kept = dict.fromkeys(
            signal.name if self._is_kept(signal) else signal.column for signal in signals
        )
        self._ranks = Ranks([signal.cells for signal in signals])
        self._known = [
            np.array(cells.values if cells.ordered else (), float)
            for cells in (signal.cells for signal in signals)
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
        ordered: dict[int, Floats] = {}
        for name, signals in self._of_column.items():
            if name not in captured or name == JOINT:
                continue
            column = table.columns.get(name)
            if column is None:
                for i in signals:
                    places[i] = self.layout.starts[i] + len(self._signals[i].cells)
            else:
                ordered |= self._place_column(placed, name, column, table)
        self._place_numbers(placed, ordered)
        if self.joint is not None and JOINT in captured:
            self._place_joint(placed, table)
        if not all(table.predicted):
            outputs = np.array([signal.role == "prediction" for signal in self._signals])
            unpredicted = ~np.array(table.predicted, bool)
            places[np.ix_(outputs, unpredicted)] = self.layout.size
        values = {name: placed.values[name] for name in self._kept if name in placed.values}
        return placed._replace(values=values)

    def _place_column(
        self, placed: Placed, name: str, column: list[Any], table: Table
    ) -> dict[int, Floats]:
        """Place one column's levels; return its numbers, by signal."""
        descriptor, ordered = self._descriptors.get(name), {}
        parts: Mapping[str, Part | list[Any]] = {"": column}
        if descriptor is not None:
            at = np.repeat(table.at, table.requests).tolist() if table.at else None
            parts = descriptor.describe(column, at)
            if not descriptor.is_nested:
                placed.values[name] = _scalars(column)
        for i in self._of_column[name]:
            signal = self._signals[i]
            part = parts[signal.part]
            if signal.cells.ordered:
                ordered[i] = read_numbers(part)
                continue
            levels = part if isinstance(part, list) else part.tolist()
            cells, clean = _assign_levels(levels, self._levels[i], len(signal.cells))
            placed.places[i] = self.layout.starts[i] + cells
            if self._is_kept(signal):
                placed.values[signal.name] = clean
            if self._is_joined(signal):
                placed.numbers[name] = np.asarray(clean, float)
        return ordered

    def _place_numbers(self, placed: Placed, ordered: Mapping[int, Floats]) -> None:
        """Place the numbers of some signals, as many at once as a processor has at hand."""
        signals = list(ordered)
        most = max(AT_ONCE // max(placed.places.shape[1], 1), 1)
        for begin in range(0, len(signals), most):
            which = signals[begin : begin + most]
            x = bounded(np.stack([ordered[i] for i in which]))
            placed.places[which] = self._find(which, x) + self._starts[which, None]
            for i, clean in zip(which, x, strict=True):
                signal = self._signals[i]
                if self._is_kept(signal):
                    placed.values[signal.name] = clean.tolist()
                if self._is_joined(signal):
                    placed.numbers[signal.column] = clean

    def _is_kept(self, signal: Signal) -> bool:
        """Say whether the values of a signal are kept: a column's own, or parts of what is not."""
        descriptor = self._descriptors.get(signal.column)
        if signal.column == JOINT:
            return False
        return not signal.part or (descriptor is not None and descriptor.is_nested)

    def _is_joined(self, signal: Signal) -> bool:
        joint = self.joint
        return joint is not None and not signal.part and signal.column in joint.columns

    def _place_joint(self, placed: Placed, table: Table) -> None:
        assert self.joint is not None  # noqa: S101  # asked by the caller
        for name in self.joint.columns:
            if name not in placed.numbers:
                column = table.columns.get(name)
                absent = np.full(table.rows, np.nan)
                placed.numbers[name] = absent if column is None else numbers(column)
        (i,) = self._of_column[JOINT]
        self._place_numbers(placed, {i: self.joint.describe(placed.numbers)})

    def count_runs(self, placed: Placed, ends: Sequence[int]) -> Counts:
        """Count runs of rows, apart: the cells of all signals.

        Parameters
        ----------
        ends : (runs,)
            Where each run of rows ends, and the next begins; the last one is the number of rows.

        Returns
        -------
        (runs, layout.size) int64
        """
        width = self.layout.size + 1  # and one for what does not count
        of_run = np.repeat(np.arange(len(ends)) * width, np.diff(ends, prepend=0))
        counts = np.bincount((placed.places + of_run).ravel(), minlength=len(ends) * width)
        return counts.reshape(len(ends), width)[:, :-1]

    def count_pairs(self, placed: Placed) -> Counts:
        """Count the pairs of the joint signal, in all rows; empty where there is none."""
        return NO_PAIRS if self.joint is None else self.joint.same_side(placed.numbers)

    def _find(self, which: Sequence[int], x: Floats) -> Places:
        """Find the cells (signals, rows) of numbers."""
        found = self._ranks.place(which, x, self._rng)
        for row, i in enumerate(which):
            if not self._signals[i].cells.edges:
                found[row] = self._at_values(i, x[row])
        missing = np.isnan(x)
        if missing.any():
            widths = np.array([len(self._signals[i].cells) for i in which])
            return np.where(missing, widths[:, None], found)
        return found

    def _at_values(self, i: int, x: Floats) -> Places:
        known, last = self._known[i], len(self._signals[i].cells) - 1
        if not len(known):
            return np.full(len(x), last)
        at = np.minimum(np.searchsorted(known, x), len(known) - 1)
        return np.where(known[at] == x, at, last)


def numbers(column: Sequence[Any] | Floats) -> Floats:
    """Read a column as numbers: NaN for what is none, the largest number for an infinity."""
    return bounded(read_numbers(column))


def read_numbers(column: Sequence[Any] | Floats) -> Floats:
    """Read a column as numbers: NaN for what is none."""
    try:
        x = np.array(column, float)
    except (TypeError, ValueError, OverflowError):
        x = np.array([_number(value) for value in column])
    # Of more dimensions: every value is a list of the same length.
    return x if x.ndim == 1 else np.full(len(column), np.nan)


def bounded(x: Floats) -> Floats:
    """Give the largest number for an infinity."""
    if np.isfinite(x).all():
        return x
    clipped: Floats = np.clip(x, -LARGEST, LARGEST)
    return clipped


def _scalars(column: list[Any]) -> list[Any]:
    """Keep values as they came, a long text in part, and nothing of what is nested."""
    are_numbers = {int, float, bool, type(None)}.issuperset(map(type, column))
    return column if are_numbers else list(map(_scalar, column))


def _scalar(value: Any) -> Any:
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
    # No bytecode is run per value.
    places = np.fromiter(map(cells.__getitem__, column), np.intp, len(column))
    return places, list(map(names.__getitem__, column))


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
            counts=np.concatenate([counts, pairs]),
        )
        pairs, before = NO_PAIRS, (i + 1, rows)


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
