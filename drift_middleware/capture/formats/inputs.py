"""`{"inputs": ...}`: TensorFlow Serving by column, and what MLflow takes under the same key."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import has_scalar, kinds, transposed
from drift_middleware.schemas import Rows

KEYS = frozenset({"inputs"})


def read(decoded: Decoded) -> Rows | None:
    """Give the rows of columns, of records, of a matrix or of one record."""
    body = decoded.request
    if type(body) is not dict or "inputs" not in body:
        return None
    inputs = body["inputs"]
    if type(inputs) is dict:
        return decoded.rows("tfs_columnar", _from_record(inputs))
    if type(inputs) is list:
        return decoded.rows("mlflow", _from_list(decoded, inputs))
    if type(inputs) is str:
        raise SkipError(Reason.FORMAT)
    return None


def _from_record(inputs: dict[str, Any]) -> list[Any]:
    rows = transposed(inputs)
    if rows:
        return rows
    if has_scalar(inputs):
        return [inputs]
    if rows is None and list in kinds(list(inputs.values())):
        # Tensors need not share their first dimension, and then nothing says what a row is.
        raise SkipError(Reason.AMBIGUOUS)
    raise SkipError(Reason.NOT_A_PREDICTION)


def _from_list(decoded: Decoded, inputs: list[Any]) -> list[Any]:
    if shape(inputs) != "flat":
        return inputs
    if str in kinds(inputs):
        raise SkipError(Reason.FORMAT)  # texts, or a pair of them
    return decoded.settle(inputs)
