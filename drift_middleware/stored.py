"""The report of a buffer alone: as its server says it, without that server or its baseline's file.

It has nothing of what a server's process alone knows: endpoints, queue, lag, what it adds.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from drift_middleware.buffer import SqliteRows, Transaction
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.overview import overview, window_report
from drift_middleware.period import Period
from drift_middleware.recorder import PROGRESS, SEGMENTS, STATE
from drift_middleware.schemas import Report
from drift_middleware.segments import Segments, shared_by, unpack_states
from drift_middleware.watch import Progress, View, Watch


def stored_options(buffer: SqliteRows) -> Config:
    """Read the options that the server judges with; the others are as by default."""
    with buffer.moment() as tx:
        return _options(_progress(tx))


def stored_report(
    buffer: SqliteRows,
    *,
    learn_rows: int,
    asked: Period | None = None,
    segment: str | None = None,
) -> Report:
    """Build the report of the last check in a buffer.  Writes nothing.

    Parameters
    ----------
    buffer
        A server may be writing it meanwhile.
    learn_rows
        How many rows a baseline is learned from, which the buffer does not say.
    asked
        The stretch of the history to sum, too.
    segment
        Of which the signals are; of everything if not given.

    Raises
    ------
    ConfigError, StoreError
        There is no such segment; the buffer cannot be read.
    """
    from drift_middleware import __version__

    with buffer.moment() as tx:
        view = _view(tx)
    report = overview(view, learn_rows, segment)
    report.version = __version__
    report.capture.database_bytes = buffer.size()
    if asked is not None:
        report.window = window_report(view, buffer.counted(asked.since, asked.until))
    return report


def _view(tx: Transaction) -> View:
    """Put together what a worker sees after it has read all that is shared."""
    progress = _progress(tx)
    document = tx.get_baseline(progress.fingerprint)
    parts: dict[str, Any] = {}
    if document is None:
        parts["learned"] = tx.last_row() - progress.first_row
    else:
        watch = _watch(msgspec.json.decode(document, type=Baseline), progress)
        parts["watch"], parts["state"] = watch, watch.detector.start()
        with suppress(ValueError):  # of another version, or damaged: its server begins afresh too
            parts["state"] = watch.detector.restore(tx.get(STATE) or b"")
        parts["segments"] = _segments(tx, watch, progress)
        if not watch.predictions and progress.predicted:
            parts["learned"] = progress.predicted
    return View(progress, counters=tx.counters(), pending=tx.pending()[0], **parts)


def _progress(tx: Transaction) -> Progress:
    raw = tx.get(PROGRESS)
    return msgspec.json.decode(raw, type=Progress) if raw else Progress()


def _watch(baseline: Baseline, progress: Progress) -> Watch:
    captured, options = progress.captured.items(), _options(progress)
    baseline = baseline.with_roles({k: role for k, role in captured if role == "prediction"})
    return Watch(baseline, options, shared_by=shared_by(baseline, options))


def _segments(tx: Transaction, watch: Watch, progress: Progress) -> dict[str, Any]:
    options = _options(progress)
    if options.segment_by is None:
        return {}
    watches = Segments(watch, options, progress.segments).watches
    states = unpack_states(tx.get(SEGMENTS) or b"", watches)
    return {name: (one, states.get(name) or one.detector.start()) for name, one in watches.items()}


def _options(progress: Progress) -> Config:
    return msgspec.convert(progress.options, Config)
