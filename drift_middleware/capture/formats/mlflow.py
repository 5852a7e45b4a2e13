"""MLflow: data frames by column names or as records, and tensors under `inputs`."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import split
from drift_middleware.schemas import Rows

KEYS = frozenset({"dataframe_records", "dataframe_split", "inputs"})


def read(decoded: Decoded) -> Rows | None:
    """Give the rows of exactly one of these; `params` are no features."""
    body = decoded.request
    held = [(name, body[name]) for name in KEYS if type(body.get(name)) in (dict, list)]
    if len(held) != 1:
        return None
    ((name, value),) = held
    if name == "dataframe_split":
        rows = split(value) if type(value) is dict else None
    else:
        rows = _of_list(decoded, value) if type(value) is list else None
    if rows is None:
        raise SkipError(Reason.NOT_A_PREDICTION)
    return decoded.rows("mlflow", rows)


def _of_list(decoded: Decoded, values: list[Any]) -> list[Any]:
    return decoded.settle(values) if shape(values) == "flat" else values
