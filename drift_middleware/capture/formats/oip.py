"""Open Inference Protocol V2, of KServe, MLServer and Triton: named tensors of known shape."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from itertools import chain
from math import prod
from typing import Any

from drift_middleware.capture.decoded import AS_SENT, Decoded
from drift_middleware.capture.outputs import Scores
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import bounded, kinds, transposed
from drift_middleware.schemas import Rows

KEYS = frozenset({"inputs"})
TENSOR = frozenset({"name", "shape", "datatype"})
DEEPEST = 16
CLASS = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?:", re.IGNORECASE | re.ASCII)

Tensor = dict[str, Any]
Columns = dict[str, list[Any]]


def read(decoded: Decoded) -> Rows | None:
    """Give as many rows as the first dimension of most inputs; others are left out."""
    body = decoded.request
    if not are_tensors(body.get("inputs")):
        return None
    columns = _columns(body["inputs"], _content_type(body))
    if not columns:
        raise SkipError(Reason.NOT_A_PREDICTION)
    sizes = Counter(map(len, columns.values()))
    rows = sizes.most_common(1)[0][0]  # the first, of equally many
    columns = {name: values for name, values in columns.items() if len(values) == rows}
    return decoded.rows("oip_v2", transposed(columns) or [], _answer(decoded, rows))


def are_tensors(items: Any) -> bool:
    """Tell whether these are tensors, all of them."""
    return (
        type(items) is list
        and bool(items)
        and all(type(item) is dict and item.keys() >= TENSOR for item in items)
    )


def _answer(decoded: Decoded, rows: int) -> Any:
    answer = decoded.answer
    if type(answer) is not dict or not are_tensors(answer.get("outputs")):
        return AS_SENT
    asked = _classifications(decoded.request)
    columns: Columns = {}
    for tensor in answer["outputs"]:
        name = str(tensor["name"])
        values = (
            _classes(tensor, rows, asked[name])
            if name in asked
            else _rows(tensor, _content_type(answer))
        )
        if values is not None and len(values) == rows:
            columns[name] = values
    if not columns:
        return []  # no prediction for each row
    if len(answer["outputs"]) == 1:
        return next(iter(columns.values()))
    return transposed(columns)


def _columns(tensors: list[Tensor], content_type: str) -> Columns:
    found = ((str(tensor["name"]), _rows(tensor, content_type)) for tensor in tensors)
    return {name: values for name, values in found if values}


def _rows(tensor: Tensor, content_type: str) -> list[Any] | None:
    """Give what a tensor holds for each row; None if it holds not what its shape says."""
    shape, values = tensor["shape"], _flat(tensor.get("data"))
    if values is None or not _is_shape(shape) or len(values) != prod(shape):
        return None
    values = _typed(values, _content_type(tensor) or content_type)
    inner = [size for size in shape[1:] if size != 1]
    for size in reversed(inner):
        bounded(len(values) // size)
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


def _is_shape(shape: Any) -> bool:
    return (
        type(shape) is list
        and 0 < len(shape) <= DEEPEST
        and kinds(shape) == {int}
        and min(shape) > 0
    )


def _flat(data: Any) -> list[Any] | None:
    """Give the values of data that may be nested by its shape."""
    if type(data) is not list:
        return None
    values: list[Any] = data
    for _ in range(DEEPEST):
        if not values or type(values[0]) is not list:
            return values
        if kinds(values) != {list}:
            return None
        values = list(chain.from_iterable(values))
    return None


def _typed(values: list[Any], content_type: str) -> list[Any]:
    """Read values as MLServer does: https://mlserver.readthedocs.io, "Content Types"."""
    try:
        if content_type == "base64":
            return [base64.b64decode(value) for value in values]
        if content_type == "pd_json":
            return [json.loads(value) for value in values]
    except (TypeError, ValueError, binascii.Error):
        pass
    return values


def _content_type(holder: dict[str, Any]) -> str:
    parameters = holder.get("parameters")
    value = parameters.get("content_type") if type(parameters) is dict else None
    return value if type(value) is str else ""


def _classifications(body: dict[str, Any]) -> dict[str, int]:
    """Give the outputs that were asked for as classes, with how many."""
    outputs = body.get("outputs")
    if type(outputs) is not list:
        return {}
    return {
        str(output.get("name")): count
        for output in outputs
        if type(output) is dict
        and type(parameters := output.get("parameters")) is dict
        and type(count := parameters.get("classification")) is int
    }


def _classes(tensor: Tensor, rows: int, asked: int) -> list[Scores] | None:
    """Read Triton's `value:index[:label]`, the best classes of each row."""
    shape, values = tensor["shape"], _flat(tensor.get("data"))
    if not values or not _is_shape(shape) or len(values) != prod(shape):
        return None
    if not all(type(value) is str and CLASS.match(value) for value in values):
        return None
    is_by_row = shape[0] == rows and (len(shape) > 1 or asked == 1)
    if rows > 1 and not is_by_row:
        return None  # the classes of which row?
    size = len(values) // rows
    return [Scores(map(_class, values[i * size : (i + 1) * size])) for i in range(rows)]


def _class(text: str) -> tuple[str, float]:
    value, _, named = text.partition(":")
    index, _, label = named.partition(":")
    return label or index, float(value)
