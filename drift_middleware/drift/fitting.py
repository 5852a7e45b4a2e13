"""Fitting: which columns of a table are watched, as what, and how each is cut."""

from __future__ import annotations

import hashlib
from collections import Counter as Counted
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.cells import Cells, Floats, cut_levels, cut_numbers
from drift_middleware.drift.columns import Column, Columns
from drift_middleware.drift.descriptors.times import read_times
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.joint import Joint
from drift_middleware.drift.kinds import (
    Described,
    UnwatchableError,
    as_kind,
    descriptor_of,
    kind_of,
)
from drift_middleware.drift.levels import level
from drift_middleware.drift.natural import natural_variation
from drift_middleware.drift.roles import Predictions, check_known, roles_of
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import JOINT, Counter, numbers
from drift_middleware.errors import BaselineError
from drift_middleware.schemas import ColumnKind, Role, Table

# Of which every other one is learned from.
BLOCKS = 20
# The largest segments of a table, and the rows without which one tells too little.
MOST_SEGMENTS = 10
FEWEST_IN_SEGMENT = 200


class FitOptions(NamedTuple):
    """How a table is read; each as in `Baseline.fit`."""

    predictions: Predictions
    ignore: tuple[str, ...]
    kinds: dict[str, ColumnKind]
    timestamp: str | Sequence[float] | None
    segment_by: str | None
    ordered: bool
    seed: int
    is_segment: bool = False
    "a part of a table: `kinds` are those of the whole, and some columns may be empty"


class Fitted(NamedTuple):
    """What is watched of a table, and how."""

    signals: tuple[Signal, ...]
    left_out: dict[str, str]
    "columns that are not watched, and why"
    kinds: dict[str, ColumnKind]
    descriptors: dict[str, Described]
    joint: Joint | None
    at: Floats | None
    "(rows,) when each row happened, seconds since the epoch"

    def counter(self, signal: Signal, seed: int) -> Counter:
        """Make a counter of one signal."""
        joint = self.joint if signal.column == JOINT else None
        return Counter([signal], _rng(signal.name, seed), self.descriptors, joint)

    def of_segment(self, options: FitOptions) -> FitOptions:
        """Give the options for a part of the same table."""
        by = (options.segment_by,) if options.segment_by else ()
        outputs = [signal.column for signal in self.signals if signal.role == "prediction"]
        return options._replace(
            predictions=list(dict.fromkeys(outputs)),
            ignore=(*options.ignore, *by),
            kinds=self.kinds,
            segment_by=None,
            is_segment=True,
        )


def fit(columns: Columns, origin: str, options: FitOptions) -> Fitted:
    """Cut every column that can be watched; of the others, say why not.

    The draws that order equal values start with a column's name: another column changes nothing.

    Parameters
    ----------
    columns
        Plain columns, as `sources.load_columns` gives them.
    origin
        What to call the table in errors.

    Raises
    ------
    BaselineError
        An option names a column that is not there, or is not what it is said to be.
    """
    _check_options(columns, origin, options)
    roles = roles_of(columns, options.predictions, origin)
    at, seed = _times(options.timestamp, columns, origin), options.seed
    fitted = Fitted((), {}, {}, {}, None, at)
    signals: list[Signal] = []
    for name, values in columns.items():
        try:
            kind, values = _read(name, values, options)  # noqa: PLW2901  # the same, as its kind
        except UnwatchableError as reason:
            fitted.left_out[name] = str(reason)
            continue
        fitted.kinds[name] = kind
        half = _half(len(values))
        column = _Column(name, roles[name], values, half, _rng(name, seed))
        some = values[half].tolist()
        known = descriptor_of(kind, column.role, some, column.rng, has_age=at is not None)
        if known is None:
            signals.append(column.signal(values, is_number=kind == "number"))
        else:
            fitted.descriptors[name] = known
            signals += _parts(column, known, at)
    if JOINT not in {*columns, *options.ignore}:
        numeric = [signal for signal in signals if signal.role == "feature" and not signal.part]
        names = [signal.column for signal in numeric if signal.cells.edges]
        joint = _joint({name: numbers(columns[name]) for name in names}, _rng(JOINT, seed))
        if joint is not None:
            return fitted._replace(signals=(*signals, joint[1]), joint=joint[0])
    return fitted._replace(signals=tuple(signals))


class _Column(NamedTuple):
    """One column on its way to be cut."""

    name: str
    role: Role
    values: Column
    half: NDArray[np.bool_]
    "(rows,) those from which something is learned"
    rng: np.random.Generator

    def signal(self, values: Column, part: str = "", *, is_number: bool) -> Signal:
        """Cut what is watched of it."""
        cells = cut_numbers(values, self.rng) if is_number else _cut_levels(values)
        name = f"{self.name}.{part}" if part else self.name
        return Signal(name=name, column=self.name, role=self.role, cells=cells, part=part)


def _parts(column: _Column, descriptor: Described, at: Floats | None) -> Iterator[Signal]:
    """Cut the parts of a column.  What was learned from one half is cut on the other."""
    when = None if at is None else at.tolist()
    for part, described in descriptor.describe(column.values.tolist(), when).items():
        is_number = isinstance(described, np.ndarray)
        values: Column = np.array(described, float if is_number else object)
        if part in descriptor.learned:
            values = values[~column.half]
        has_any = not np.isnan(values).all() if is_number else any(v is not None for v in values)
        if has_any:  # no text in English has no sentiment
            yield column.signal(values, part, is_number=is_number)


def _joint(numeric: dict[str, Floats], rng: np.random.Generator) -> tuple[Joint, Signal] | None:
    """Learn the dependence of the numeric features from one half, and cut it on the other."""
    if len(numeric) < 2:
        return None
    half = _half(len(next(iter(numeric.values()))))
    joint = Joint.learn({name: values[half] for name, values in numeric.items()}, rng)
    others = {name: numeric[name][~half] for name in joint.columns}
    cells = cut_numbers(joint.describe(others), rng)
    signal = Signal(JOINT, JOINT, "feature", cells, made_of=joint.columns)
    return joint, signal


def _check_options(columns: Columns, origin: str, options: FitOptions) -> None:
    check_known("ignore", options.ignore, (*columns, JOINT), origin)
    check_known("kinds", options.kinds, columns, origin)
    if isinstance(options.timestamp, str):
        check_known("timestamp", [options.timestamp], columns, origin)
    for name, kind in {} if options.is_segment else options.kinds.items():
        try:
            as_kind(kind, columns[name])
        except UnwatchableError as reason:
            msg = f"kinds: {origin}: {name!r} cannot be {kind}: {reason}."
            raise BaselineError(msg) from None


def _read(name: str, values: Column, options: FitOptions) -> tuple[ColumnKind, Column]:
    if not name.strip():
        raise UnwatchableError("it has no name")
    if name in options.ignore:
        raise UnwatchableError("ignored")
    if name == options.timestamp:
        raise UnwatchableError("it says when each row happened")
    if name in options.kinds:
        return options.kinds[name], as_kind(options.kinds[name], values)
    return kind_of(name, values), values


def _times(timestamp: str | Sequence[float] | None, columns: Columns, origin: str) -> Floats | None:
    """Read when each row happened, if anybody says so."""
    if not isinstance(timestamp, str):
        return None if timestamp is None else np.asarray(timestamp, float)
    at = read_times(columns[timestamp].tolist(), by_name="timestamp")
    if at is None:
        msg = f"timestamp: column {timestamp!r} of {origin} holds no times."
        raise BaselineError(msg)
    return at


def parts_of(columns: Columns, by: str | None) -> dict[str, Columns]:
    """Split a table by the most frequent values of one of its columns, if it has that."""
    if by is None or by not in columns:
        return {}
    names = np.array([level(value) for value in columns[by].tolist()], object)
    counted = Counted(name for name in names if name is not None).most_common(MOST_SEGMENTS)
    return {
        name: {column: values[names == name] for column, values in columns.items()}
        for name, rows in counted
        if rows >= FEWEST_IN_SEGMENT
    }


def variation_of(
    fitted: Fitted, columns: Columns, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Learn `shrink` and `tolerance`, see `natural_variation`, from rows in time order."""
    rows, at = len(next(iter(columns.values()))), fitted.at
    table = Table(
        rows,
        {name: values.tolist() for name, values in columns.items()},
        predicted=[True] * rows,
        requests=[1] * rows if at is not None else [],
        at=[] if at is None else at.tolist(),
    )
    fine, coarse = (
        np.concatenate([_blocks(fitted, s, table, seed, count) for s in fitted.signals], axis=1)
        for count in (40, 20)
    )
    return natural_variation(Detector(fitted.signals), fine, coarse)


def _blocks(
    fitted: Fitted, signal: Signal, table: Table, seed: int, count: int
) -> NDArray[np.int64]:
    """Tally one signal in each of `count` time blocks."""
    counter = fitted.counter(signal, seed + 1)
    placed = counter.place(table, [signal.column])
    ends = np.cumsum([len(block) for block in np.array_split(np.arange(table.rows), count)])
    return counter.count_runs(placed, ends.tolist())


def _half(rows: int) -> NDArray[np.bool_]:
    """Choose the rows from which something is learned; it is cut on the others.

    By blocks, for rows that repeat each other lie together: with some of them in each half, the
    others would look more usual to what was learned than any new rows can.
    """
    half: NDArray[np.bool_] = np.arange(rows) * BLOCKS // rows % 2 == 0
    return half


def _rng(name: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8])])


def _cut_levels(values: Column) -> Cells:
    # Nothing is known of a column that is all missing: as levels, whatever appears is something.
    return cut_levels([level(value) for value in values.tolist()])
