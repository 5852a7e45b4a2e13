"""Baselines: the cut cells of all that is watched, fitted once from a table, saved as JSON."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from drift_middleware.drift.description import describe, reaches
from drift_middleware.drift.fitting import (
    Predictions,
    check_known,
    names_in,
    roles_of,
    signals_of,
    variation_of,
)
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.sources import check_path, load_columns
from drift_middleware.errors import BaselineError
from drift_middleware.schemas import Role

if TYPE_CHECKING:
    from pandas import DataFrame

    Table = str | Path | DataFrame | Mapping[str, Sequence[Any]]

TYPE = "drift-middleware baseline"
FORMAT = 1
# With fewer rows a shift of one standard deviation could not be noticed at any delay.
FEWEST = 20
# 40 time blocks of 5 rows.
FEWEST_ORDERED = 200


class _Head(Struct):
    """What every format of a saved baseline begins with."""

    type: str = ""
    format: int = 0


class Baseline(Struct, frozen=True, dict=True, kw_only=True):
    """What traffic is compared with.  Equal data give an equal baseline in every process."""

    type: str = TYPE
    format: int = FORMAT
    source: str
    "where it came from, for people"
    rows: int
    columns: tuple[str, ...]
    "all columns of the table, in its order; positional payloads are named by them"
    signals: tuple[Signal, ...]
    left_out: dict[str, str] = {}
    "columns that are not watched, and why"
    shrink: dict[str, float] = {}
    "of each signal: how many rows of the baseline say as much as one independent row"
    tolerance: dict[str, float] = {}
    "of `signal:channel`: how far it moves by itself; added to the thresholds"

    @classmethod
    def fit(
        cls,
        data: Table,
        *,
        predictions: Predictions = "auto",
        ignore: str | Collection[str] = (),
        ordered: bool = False,
        source: str | None = None,
        seed: int = 0,
    ) -> Baseline:
        """Cut a table.

        Parameters
        ----------
        data
            A CSV or Parquet file, a DataFrame, or a mapping of column names to sequences.
        predictions
            The columns that the model puts out; `auto` goes by their names, see `role_of`.
        ignore
            Columns not to watch: keys, targets, times.
        ordered
            The rows are in time order: learn from them how far they move by themselves.
        source
            What to call the data, for people.
        seed
            Start of the draws that order equal values.

        Raises
        ------
        BaselineError
            The data cannot be read, are too few, lack a named column, or leave nothing to watch.
        """
        origin = source or _origin(data)
        columns = load_columns(data)
        rows = len(next(iter(columns.values()), ()))
        _check_rows(rows, origin, ordered=ordered)
        ignored = names_in(ignore)
        check_known("ignore", ignored, columns, origin)
        roles = roles_of(columns, predictions, origin)
        signals, left_out = signals_of(columns, roles, ignored, seed)
        if not signals:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            msg = f"{origin}: no column is left to watch ({reasons})."
            raise BaselineError(msg)
        shrink, tolerance = variation_of(signals, columns, seed) if ordered else ({}, {})
        return cls(
            source=origin,
            rows=rows,
            columns=tuple(columns),
            signals=signals,
            left_out=left_out,
            shrink=shrink,
            tolerance=tolerance,
        )

    @classmethod
    def open(
        cls,
        source: Baseline | Table,
        *,
        predictions: Predictions = "auto",
        ignore: str | Collection[str] = (),
        ordered: bool = False,
    ) -> Baseline:
        """Load a saved baseline (`.json`) or fit one from a table; options as in `fit`.

        A saved one takes other `predictions` and more to `ignore`; `ordered` it must have been
        fitted with.
        """
        if isinstance(source, str | Path) and str(source).lower().endswith(".json"):
            source = cls.load(source)
        if not isinstance(source, Baseline):
            return cls.fit(source, predictions=predictions, ignore=ignore, ordered=ordered)
        if ordered and not source.ordered:
            msg = (
                f"{source.source}: this baseline was fitted without ordered=True, and no longer "
                "has its rows; fit it again, with it, from them."
            )
            raise BaselineError(msg)
        baseline = source.without(names_in(ignore))
        if predictions == "auto":
            return baseline
        return baseline.with_roles(roles_of(baseline.columns, predictions, baseline.source))

    @classmethod
    def load(cls, path: str | Path) -> Baseline:
        """Read a baseline that `save` wrote.

        Raises
        ------
        BaselineError
            There is none, it is cut short, or a newer version of this package wrote it.
        """
        path = Path(path).expanduser()
        check_path(path)
        try:
            text = path.read_bytes()
            head = msgspec.json.decode(text, type=_Head)
            if head.type != TYPE:
                msg = f"{path}: is not a saved baseline; Baseline.fit(...).save(path) writes one."
                raise BaselineError(msg)
            if head.format > FORMAT:
                msg = (
                    f"{path}: has format {head.format} and this version reads up to {FORMAT}; "
                    "update drift-middleware or fit the baseline again."
                )
                raise BaselineError(msg)
            return msgspec.json.decode(text, type=cls)
        except OSError as error:
            msg = f"{path}: cannot be read ({error.strerror})."
            raise BaselineError(msg) from error
        except msgspec.DecodeError as error:
            msg = f"{path}: is not a whole saved baseline; save it again ({error})."
            raise BaselineError(msg) from error

    def save(self, path: str | Path) -> None:
        """Write it as JSON; whoever reads meanwhile sees the old file or the new one, whole."""
        path = Path(path).expanduser()
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
            unfinished.replace(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            msg = f"{path}: cannot be written ({error.strerror})."
            raise BaselineError(msg) from error

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, equal where rows fall in the same cells of the same signals."""
        # Not the means and spreads: their last bit depends on the processor.
        counted = [
            (
                *(signal.name, signal.column, cells.ordered, cells.edges, cells.keys),
                *(cells.values, cells.weights, cells.novel, cells.present, cells.missing),
            )
            for signal in self.signals
            for cells in [signal.cells]
        ]
        return hashlib.sha256(msgspec.json.encode(counted)).hexdigest()[:16]

    @property
    def ordered(self) -> bool:
        """Whether it was fitted from rows in time order."""
        return bool(self.shrink)

    @property
    def roles(self) -> dict[str, Role]:
        """Role of each watched column."""
        return {signal.column: signal.role for signal in self.signals}

    @cached_property
    def smallest_shift(self) -> float:
        """Smallest mean shift of one ordered signal that can ever be noticed, in sd."""
        reached = reaches(self)
        ordered = [signal.name for signal in self.signals if signal.cells.spread > 0]
        return min(reached[name].noticed for name in ordered or reached)

    def extended(self, other: Baseline) -> Baseline:
        """Add the other's signals, such as outputs that were learned later; own ones stay."""
        own = {signal.name for signal in self.signals}
        signals = (*self.signals, *(new for new in other.signals if new.name not in own))
        columns = dict.fromkeys((*self.columns, *other.columns))
        watched = {signal.column for signal in signals}
        left_out = {**other.left_out, **self.left_out}
        return msgspec.structs.replace(
            self,
            signals=signals,
            columns=tuple(columns),
            left_out={name: why for name, why in left_out.items() if name not in watched},
            shrink={**other.shrink, **self.shrink},
            tolerance={**other.tolerance, **self.tolerance},
        )

    def with_roles(self, roles: Mapping[str, Role]) -> Baseline:
        """Change what columns are, of those that are watched; the fingerprint stays."""
        signals = tuple(
            msgspec.structs.replace(signal, role=roles.get(signal.column, signal.role))
            for signal in self.signals
        )
        return msgspec.structs.replace(self, signals=signals)

    def without(self, columns: Collection[str]) -> Baseline:
        """Leave more columns out."""
        check_known("ignore", columns, self.columns, self.source)
        signals = tuple(signal for signal in self.signals if signal.column not in columns)
        if not signals:
            msg = f"{self.source}: ignoring {', '.join(columns)} leaves nothing to watch."
            raise BaselineError(msg)
        left_out = {**dict.fromkeys(columns, "ignored"), **self.left_out}
        return msgspec.structs.replace(self, signals=signals, left_out=left_out)

    def describe(self) -> str:
        """Say what is watched, how finely, and what is not, as text for people."""
        return describe(self)

    def __repr__(self) -> str:
        return f"Baseline({self.source!r}, {self.rows} rows, {len(self.signals)} signals)"


def _origin(data: Table) -> str:
    if isinstance(data, str | Path):
        return str(data)
    return "columns" if isinstance(data, Mapping) else "data frame"


def _check_rows(rows: int, origin: str, *, ordered: bool) -> None:
    fewest = FEWEST_ORDERED if ordered else FEWEST
    if rows < fewest:
        few = f"{rows} row" if rows == 1 else f"{rows} rows"
        why = (
            "to learn from their order how far they move by themselves"
            if ordered
            else "and some hundred to notice less than a shift of half a standard deviation"
        )
        msg = f"{origin}: has {few}; at least {fewest} are needed, {why}."
        raise BaselineError(msg)
