"""What would be captured of recorded exchanges: as a server reads them, with nothing stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from drift_middleware.capture import tabulate
from drift_middleware.capture.reader import Reader
from drift_middleware.capture.relevance import is_about
from drift_middleware.config import Config
from drift_middleware.opening import open_baseline
from drift_middleware.recorder import UNRELATED
from drift_middleware.schemas import EndpointReport, Exchange, Rows
from drift_middleware.tee import CAPTURED_METHODS
from drift_middleware.watch import Watch

OTHER_METHOD = "neither POST nor PUT"
OTHER_PATH = "not of the option paths"


class Inspected(Struct, kw_only=True):
    """What would be captured of one exchange."""

    method: str
    path: str
    status: int
    format: str | None = None
    rows: int = 0
    fields: list[str] = []
    predictions: list[str] = []
    "names of what is predicted"
    unaligned: bool = False
    "there are predictions, but not one for each row"
    skipped: str | None = None
    "why there are no rows"
    values: list[dict[str, Any]] | None = None


class Inspection(Struct, kw_only=True):
    """What would be captured of all of them."""

    exchanges: list[Inspected]
    captured: int
    rows: int
    skipped: dict[str, int]
    endpoints: list[EndpointReport]
    not_captured: list[str] | None
    "columns of the baseline that none of them has; null without a baseline"


def inspected(exchanges: Sequence[Exchange], config: Config, *, with_values: bool) -> Inspection:
    """Read exchanges one after the other, with the options' baseline and endpoints.

    Raises
    ------
    ConfigError, BaselineError
        The options are impossible.
    """
    baseline = open_baseline(config)
    watch = None if baseline is None else Watch(baseline, config)
    reader = Reader(watch.features if watch else (), endpoints=config.endpoint)
    batch = [_read(reader, exchange, config.paths) for exchange in exchanges]
    _leave_out_unrelated(batch, exchanges, watch)
    lines = []
    for exchange, rows in zip(exchanges, batch, strict=True):
        line = Inspected(method=exchange.method, path=exchange.path, status=exchange.status)
        _describe(line, rows, watch, with_values=with_values)
        lines.append(line)
    reasons = Counter(line.skipped for line in lines if line.skipped)
    missing = None
    if watch is not None:
        seen = tabulate(batch, at=[0.0] * len(batch), **_watched(watch)).columns
        missing = [name for name in (*watch.features, *watch.predictions) if name not in seen]
    return Inspection(
        exchanges=lines,
        captured=sum(line.skipped is None for line in lines),
        rows=sum(line.rows for line in lines),
        skipped=dict(reasons.most_common()),
        endpoints=reader.report(),
        not_captured=missing,
    )


def _read(reader: Reader, exchange: Exchange, paths: Sequence[str]) -> Rows:
    if exchange.method not in CAPTURED_METHODS:
        return Rows(skipped=OTHER_METHOD)
    if paths and not any(fnmatchcase(exchange.path, pattern) for pattern in paths):
        return Rows(skipped=OTHER_PATH)
    return reader.read(exchange)


def _leave_out_unrelated(
    batch: list[Rows], exchanges: Sequence[Exchange], watch: Watch | None
) -> None:
    """Do as a server that has a baseline: other routes of its app are not the model's."""
    related: set[str] = set()
    for i, (rows, exchange) in enumerate(zip(batch, exchanges, strict=True)):
        if watch is None or rows.skipped is not None:
            continue
        path = exchange.endpoint
        if path not in related and not is_about(rows, watch.features, watch.vectors):
            batch[i] = Rows(skipped=UNRELATED)
        else:
            related.add(path)


def _watched(watch: Watch | None) -> dict[str, Any]:
    if watch is None:
        return {"features": None, "predictions": None}
    return {
        "features": watch.features,
        "predictions": watch.predictions or None,
        "vectors": watch.vectors,
    }


def _describe(line: Inspected, rows: Rows, watch: Watch | None, *, with_values: bool) -> None:
    line.skipped = rows.skipped
    if rows.skipped is not None:
        return
    found = tabulate([rows], at=[0.0], **_watched(watch))
    line.format, line.rows, line.unaligned = rows.format, found.rows, rows.unaligned
    line.fields = [name for name in found.columns if name not in found.outputs]
    line.predictions = [name for name in found.columns if name in found.outputs]
    if with_values:
        columns = found.columns
        lined_up = zip(*columns.values(), strict=True)
        line.values = [dict(zip(columns, row, strict=True)) for row in lined_up]
