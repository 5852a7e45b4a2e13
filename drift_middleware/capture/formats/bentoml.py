"""BentoML: the one argument of a method by its name, whatever that is, or the bare data frame."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.records import by_index, kinds
from drift_middleware.schemas import Rows


def read(decoded: Decoded) -> Rows | None:
    """Give the rows of a data frame, or of the argument; several arguments are a record."""
    rows = find(decoded)
    return None if rows is None else decoded.rows("bentoml", rows)


def find(decoded: Decoded) -> list[Any] | None:
    """Find rows under a name that is not theirs."""
    body = decoded.request
    rows = by_index(body)
    if rows is None and len(body) == 1 and decoded.columns_miss(body):
        (value,) = body.values()
        rows = _of_record(decoded, value) if type(value) is dict else _of_list(decoded, value)
    return rows


def _of_record(decoded: Decoded, value: dict[str, Any]) -> list[Any] | None:
    rows = by_index(value)
    if rows is None and decoded.columns and not decoded.columns_miss(value):
        return [value]  # the names say that it is the row
    return rows


def _of_list(decoded: Decoded, values: Any) -> list[Any] | None:
    if type(values) is not list or not any(values) or kinds(values) not in ({dict}, {list}):
        return None
    is_matrix = type(values[0]) is list
    if is_matrix and decoded.answers(1) and not decoded.answers(len(values)):
        return None  # an image, or a sequence
    return values
