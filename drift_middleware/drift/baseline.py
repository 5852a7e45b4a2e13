"""Baselines: the cut cells of all that is watched, fitted once from a table, saved as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from drift_middleware.drift import saved
from drift_middleware.drift.columns import Columns
from drift_middleware.drift.description import describe, reaches
from drift_middleware.drift.fitting import FitOptions, fit, parts_of, variation_of
from drift_middleware.drift.joint import Joint
from drift_middleware.drift.kinds import Described
from drift_middleware.drift.roles import Predictions, check_known, names_in, roles_of
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.sources import load_columns
from drift_middleware.drift.tally import JOINT
from drift_middleware.errors import BaselineError
from drift_middleware.schemas import ColumnKind, Role

if TYPE_CHECKING:
    from pandas import DataFrame

    Table = str | Path | DataFrame | Mapping[str, Sequence[Any]]

# With fewer rows a shift of one standard deviation could not be noticed at any delay.
FEWEST = 20
# 40 time blocks of 5 rows.
FEWEST_ORDERED = 200


class Baseline(Struct, frozen=True, dict=True, kw_only=True):
    """What traffic is compared with.  Equal data give an equal baseline in every process."""

    type: str = saved.TYPE
    format: int = saved.FORMAT
    source: str
    "where it came from, for people"
    rows: int
    columns: tuple[str, ...]
    "all columns of the table, in its order; positional payloads are named by them"
    signals: tuple[Signal, ...]
    descriptors: dict[str, Described] = {}
    "of the columns whose signals are parts"
    joint: Joint | None = None
    "what the signal `joint` is made of"
    segments: dict[str, Baseline] = {}
    "of the rows with each of the most frequent values of one column"
    left_out: dict[str, str] = {}
    "columns that are not watched, and why"
    kept: dict[str, str] = {}
    "columns that are compared with the baseline before this one still, and why"
    shrink: dict[str, float] = {}
    "of each signal: how many rows of the baseline say as much as one independent row"
    tolerance: dict[str, float] = {}
    "of `signal:channel`: how far it moves by itself; added to the thresholds"

    @classmethod
    def fit(  # noqa: PLR0913  # the options of a table, each with its default
        cls,
        data: Table,
        *,
        predictions: Predictions = "auto",
        ignore: str | Collection[str] = (),
        kinds: Mapping[str, ColumnKind] | None = None,
        timestamp: str | Sequence[float] | None = None,
        segment_by: str | None = None,
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
        kinds
            What columns hold, where their values would tell otherwise: `{"zip": "category"}`.
        timestamp
            The column that says when each row happened, which is not watched; or these times,
            seconds since the epoch.  Other times are then watched by their age, too.
        segment_by
            The column whose most frequent values get a baseline of their own, each from its rows.
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
        options = FitOptions(
            predictions=predictions,
            ignore=names_in(ignore),
            kinds=dict(kinds or {}),
            timestamp=timestamp,
            segment_by=segment_by,
            ordered=ordered,
            seed=seed,
        )
        return _fit(load_columns(data), source or _origin(data), options)

    @classmethod
    def open(  # noqa: PLR0913  # as `fit`
        cls,
        source: Baseline | Table,
        *,
        predictions: Predictions = "auto",
        ignore: str | Collection[str] = (),
        kinds: Mapping[str, ColumnKind] | None = None,
        timestamp: str | None = None,
        segment_by: str | None = None,
        ordered: bool = False,
    ) -> Baseline:
        """Load a saved baseline (`.json`) or fit one from a table; options as in `fit`.

        A saved one takes other `predictions` and more to `ignore`; `ordered`, `kinds` and
        `timestamp` it must have been fitted with.
        """
        if isinstance(source, str | Path) and str(source).lower().endswith(".json"):
            source = cls.load(source)
        if not isinstance(source, Baseline):
            return cls.fit(
                source,
                predictions=predictions,
                ignore=ignore,
                kinds=kinds,
                timestamp=timestamp,
                segment_by=segment_by,
                ordered=ordered,
            )
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
        return saved.read(Path(path).expanduser(), cls)

    def save(self, path: str | Path) -> None:
        """Write it as JSON; whoever reads meanwhile sees the old file or the new one, whole."""
        saved.write(Path(path).expanduser(), msgspec.json.encode(self))

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
        told: list[Any] = [counted]
        if self.descriptors or self.joint:
            told += [self.descriptors, self.joint]
        if self.segments:
            told.append({name: part.fingerprint for name, part in self.segments.items()})
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]

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
            descriptors={**other.descriptors, **self.descriptors},
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
        segments = {name: part.with_roles(roles) for name, part in self.segments.items()}
        return msgspec.structs.replace(self, signals=signals, segments=segments)

    def without(self, columns: Collection[str]) -> Baseline:
        """Leave more columns out."""
        check_known("ignore", columns, (*self.columns, JOINT), self.source)
        without_joint = _without_joint_of(self, columns)
        signals = tuple(one for one in without_joint.signals if one.column not in columns)
        if not signals:
            msg = f"{self.source}: ignoring {', '.join(columns)} leaves nothing to watch."
            raise BaselineError(msg)
        return msgspec.structs.replace(
            without_joint,
            signals=signals,
            left_out={**dict.fromkeys(columns, "ignored"), **self.left_out},
            descriptors={k: v for k, v in self.descriptors.items() if k not in columns},
            segments={
                name: part.without(columns)
                for name, part in self.segments.items()
                if not part.roles.keys() <= {*columns, JOINT}
            },
        )

    def describe(self) -> str:
        """Say what is watched, how finely, and what is not, as text for people."""
        return describe(self)

    def __repr__(self) -> str:
        return f"Baseline({self.source!r}, {self.rows} rows, {len(self.signals)} signals)"


def _without_joint_of(baseline: Baseline, columns: Collection[str]) -> Baseline:
    """Leave out the joint signal if it would wait for any of these columns."""
    joint = baseline.joint
    if joint is None or {JOINT, *joint.columns}.isdisjoint(columns):
        return baseline
    signals = tuple(signal for signal in baseline.signals if signal.column != JOINT)
    return msgspec.structs.replace(baseline, signals=signals, joint=None)


def _origin(data: Table) -> str:
    if isinstance(data, str | Path):
        return str(data)
    return "columns" if isinstance(data, Mapping) else "data frame"


def _fit(columns: Columns, origin: str, options: FitOptions) -> Baseline:
    rows = len(next(iter(columns.values()), ()))
    _check_rows(rows, origin, ordered=options.ordered)
    fitted = fit(columns, origin, options)
    if not fitted.signals:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in fitted.left_out.items())
        msg = f"{origin}: no column is left to watch ({reasons})."
        raise BaselineError(msg)
    watched = {name: values for name, values in columns.items() if name != options.timestamp}
    shrink, tolerance = variation_of(fitted, watched, options.seed) if options.ordered else ({}, {})
    return Baseline(
        source=origin,
        rows=rows,
        columns=tuple(watched),
        signals=fitted.signals,
        descriptors=fitted.descriptors,
        joint=fitted.joint,
        segments={
            name: _fit(part, f"{origin}, {options.segment_by}={name}", fitted.of_segment(options))
            for name, part in parts_of(columns, options.segment_by).items()
        },
        left_out=fitted.left_out,
        shrink=shrink,
        tolerance=tolerance,
    )


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
