"""Adopting: a baseline of the newest rows in the buffer, for `Recorder.adopt`.

No column is lost by it: one that cannot be made of these rows goes on as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from drift_middleware.buffer import Transaction
from drift_middleware.capture.mapping import is_part
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.columns import Columns
from drift_middleware.drift.descriptors.confidence import Confidence
from drift_middleware.drift.descriptors.texts import Text
from drift_middleware.drift.descriptors.times import Time
from drift_middleware.drift.kinds import UnwatchableError, as_kind
from drift_middleware.drift.sources import load_columns
from drift_middleware.drift.tally import JOINT, LONGEST_KEPT
from drift_middleware.errors import BaselineError, ConfigError
from drift_middleware.learning import is_learnable, read_columns
from drift_middleware.schemas import ColumnKind
from drift_middleware.watch import Progress, Watch

FEWEST, MOST = 200, 10_000
"rows: fewer tell too little, and more would keep other workers from writing for too long"


def baseline_of(
    tx: Transaction, progress: Progress, config: Config, watch: Watch, rows: int | None
) -> Baseline:
    """Fit a baseline to the newest rows.

    Parameters
    ----------
    rows
        How many; None: as many as one is learned from, or fewer if there are not so many.

    Raises
    ------
    ConfigError
        So many rows cannot be taken.
    BaselineError
        There are too few, or nothing in them can be watched.
    """
    old, held = watch.baseline, dict(_held(config, watch.baseline))
    after, times = _newest(tx, config, rows)
    outputs = [
        name
        for name, role in progress.captured.items()
        if role == "prediction" and is_learnable(config, watch, name)
    ]
    names = [name for name in old.columns if name in old.roles and name not in held]
    columns = dict(read_columns(tx, [*names, *outputs], after, len(times)))
    for name in _cut_short(old, columns):
        held[name] = "its texts are stored in part"
        del columns[name]
    if not columns:
        reasons = "; ".join(f"{name}: {why}" for name, why in held.items())
        msg = f"No watched column can be read back ({reasons or 'none was captured'})."
        raise BaselineError(msg)
    fitted = Baseline.fit(
        columns,
        predictions=[name for name in columns if old.roles.get(name, "prediction") != "feature"],
        ignore=[name for name in config.ignore if name == JOINT],
        kinds=dict(_kinds(config, old, load_columns(columns))),
        timestamp=times,
        segment_by=config.segment_by,
        ordered=config.ordered,
        source="traffic",
    )
    lost = [name for name in old.roles if name != JOINT and name not in fitted.roles]
    kept = {name: held.get(name) or fitted.left_out.get(name, "never captured") for name in lost}
    return _in_order(old, _with(fitted, old, kept))


def _newest(tx: Transaction, config: Config, rows: int | None) -> tuple[int, list[float]]:
    """Return after which row the newest begin, and when each of them arrived."""
    if rows is not None and not FEWEST <= rows <= MOST:
        msg = f"rows={rows} is impossible: give {FEWEST} to {MOST:,}."
        raise ConfigError(msg)
    if config.store == "tallies":
        raise BaselineError("store='tallies' keeps no rows that could become a baseline.")
    wanted = min(max(config.learn_rows, FEWEST), MOST) if rows is None else rows
    after = max(tx.last_row() - wanted, 0)
    times = tx.read_times(after, wanted)
    needed = FEWEST if rows is None else rows
    if len(times) < needed:
        msg = f"{len(times):,} rows are in the buffer, and {needed:,} are needed."
        raise BaselineError(msg)
    return tx.last_row() - len(times), times


def _held(config: Config, old: Baseline) -> Iterator[tuple[str, str]]:
    """Name the columns whose values are not in the buffer, and why."""
    for name in old.roles:
        known = old.descriptors.get(name)
        if is_part(name, config.redact):
            yield name, "redacted"
        elif is_part(name, config.hash):
            yield name, "stored as hashes"
        elif known is not None and known.is_nested:
            yield name, "lists are not stored"


def _cut_short(old: Baseline, columns: Mapping[str, list[Any]]) -> list[str]:
    """Name the texts of which the end is missing: their lengths would all look alike."""
    return [
        name
        for name, values in columns.items()
        if isinstance(old.descriptors.get(name), Text)
        and any(isinstance(one, str) and len(one) >= LONGEST_KEPT for one in values)
    ]


def _kinds(config: Config, old: Baseline, columns: Columns) -> Iterator[tuple[str, ColumnKind]]:
    """Say what columns hold, as before, where they still do."""
    for name, values in columns.items():
        kind = config.kinds.get(name) or (_kind(old, name) if name in old.roles else None)
        if kind is not None:
            with suppress(UnwatchableError):
                as_kind(kind, values)
                yield name, kind


def _kind(old: Baseline, name: str) -> ColumnKind:
    known = old.descriptors.get(name)
    told: Mapping[type, ColumnKind] = {Text: "text", Time: "time", Confidence: "number"}
    if known is not None:
        return told.get(type(known), "vector")
    is_ordered = next(one.cells.ordered for one in old.signals if one.column == name)
    return "number" if is_ordered else "category"


def _with(fitted: Baseline, old: Baseline, kept: dict[str, str]) -> Baseline:
    """Add the signals of the columns that stay as they were, in the whole and in each segment."""
    names = {name for name in kept if name in old.roles}
    if not names:
        return fitted
    others = {name for name in (*old.columns, JOINT) if name not in names}
    segments = {
        name: _with(part, old.segments[name], kept) if name in old.segments else part
        for name, part in fitted.segments.items()
    }
    extended = fitted.extended(old.without(others))
    return msgspec.structs.replace(extended, segments=segments, kept=kept)


def _in_order(old: Baseline, new: Baseline) -> Baseline:
    """Put columns and signals in the order of the old ones: values without names come in it."""
    columns = tuple(dict.fromkeys((*old.columns, *new.columns)))
    place = {name: i for i, name in enumerate(columns)}
    signals = sorted(new.signals, key=lambda signal: place.get(signal.column, len(place)))
    left_out = {k: why for k, why in old.left_out.items() if k not in new.roles}
    return msgspec.structs.replace(new, columns=columns, signals=tuple(signals), left_out=left_out)
