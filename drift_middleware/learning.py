"""Learning: a baseline, or the outputs that one lacks, from the rows of traffic in the buffer.

The recorder says when; here it is said what may be learned, and it is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from drift_middleware.buffer import Transaction
from drift_middleware.capture.relevance import is_secret
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.levels import level
from drift_middleware.drift.tally import LONGEST_KEPT, numbers
from drift_middleware.privacy import is_private
from drift_middleware.watch import Progress, Watch

SOURCE = "learned from traffic"


def fit_baseline(tx: Transaction, progress: Progress, config: Config) -> Baseline:
    """Fit a baseline to the rows that were kept since `progress.first_row`.

    Raises
    ------
    BaselineError
        There is nothing in them to watch, such as only identifiers.
    """
    captured = progress.captured
    columns = read_columns(tx, list(captured), progress.first_row, config.learn_rows)
    answered = {name for name in columns if captured[name] == "prediction"}
    named = answered if config.predictions == "auto" else {*config.predictions}
    watched = {
        name: values
        for name, values in columns.items()
        if name not in config.ignore
        and not is_private(config, name)
        and (name in named or name not in answered)
    }
    return Baseline.fit(
        watched,
        predictions=[name for name in watched if name in named],
        ignore=[name for name in config.ignore if name == "joint"],
        kinds={name: kind for name, kind in config.kinds.items() if name in watched},
        timestamp=tx.read_times(progress.first_row, config.learn_rows),
        segment_by=config.segment_by,
        source=SOURCE,
    )


def fit_outputs(
    tx: Transaction, progress: Progress, config: Config, watch: Watch
) -> Baseline | None:
    """Fit the outputs that a baseline lacks; None while too few rows have any.

    Raises
    ------
    BaselineError
        They cannot be watched, such as a fresh id each.
    """
    names = [
        name
        for name, role in progress.captured.items()
        if role == "prediction" and is_learnable(config, watch, name)
    ]
    columns = read_columns(tx, names, progress.first_row, config.keep_rows)
    answered = [
        row for row in zip(*columns.values(), strict=True) if any(v is not None for v in row)
    ]
    if len(answered) < config.learn_rows:
        return None
    values = zip(*answered[: config.learn_rows], strict=True)
    learned = {name: list(column) for name, column in zip(columns, values, strict=True)}
    kinds = {name: kind for name, kind in config.kinds.items() if name in learned}
    return Baseline.fit(learned, predictions=list(learned), kinds=kinds, source=SOURCE)


def is_learnable(config: Config, watch: Watch, output: str) -> bool:
    """Say whether an output that the baseline lacks is to become a signal."""
    named = config.predictions
    return (
        (named == "auto" or output in named)
        and output not in config.ignore
        and output not in watch.baseline.columns
        and not is_secret(output)
        and not is_private(config, output)
    )


def learnable(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Take of captured columns what may be kept, and can be: no secrets, no lists of texts."""
    kept = {name: plain(values) for name, values in columns.items() if not is_secret(name)}
    return {
        name: values
        for name, values in kept.items()
        if not (list in map(type, columns[name]) and all(value is None for value in values))
    }


def plain(column: list[Any]) -> list[Any]:
    """Turn values that nobody has read yet into what a database can hold; a vector into bytes."""
    return [_plain_value(value) for value in column]


def _plain_value(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else numbers([value]).item()
    if isinstance(value, list | np.ndarray):
        return _packed(value)
    return value if type(value) is float else level(value, LONGEST_KEPT)


def _packed(value: Any) -> bytes | None:
    try:
        vector = np.asarray(value, np.float32).ravel()
    except (TypeError, ValueError):  # no numbers, or lists of different lengths
        return None
    return vector.tobytes() if len(vector) > 1 else None


def read_columns(
    tx: Transaction, names: list[str], after: int, limit: int
) -> Mapping[str, list[Any]]:
    """Read the oldest rows numbered above `after`, by column, as traffic sent their values."""
    columns = tx.read_rows(names, after, limit)
    return {name: [_unpacked(value) for value in values] for name, values in columns.items()}


def _unpacked(value: Any) -> Any:
    return np.frombuffer(value, np.float32) if isinstance(value, bytes) else value
