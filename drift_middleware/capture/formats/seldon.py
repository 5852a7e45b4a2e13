"""Seldon Core V1: named arrays, tensors, text, JSON or bytes, in the question and the answer."""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import Any

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.capture.outputs import NO_ANSWER
from drift_middleware.capture.records import CONTAINERS, bounded, kinds, sized, text_row
from drift_middleware.schemas import Rows

ARRAYS = frozenset({"ndarray", "tensor", "tftensor"})
KEYS = frozenset({"binData", "data", "jsonData", "strData"})
# The lists that hold a tftensor's values, by type: tensorflow/core/framework/tensor.proto
VALUES = ("float", "double", "int", "int64", "bool", "string", "uint32", "uint64", "half")


def read(decoded: Decoded) -> Rows | None:
    """Give a row for each of the array; text, JSON and bytes are one."""
    body = decoded.request
    if type(text := body.get("strData")) is str:
        return decoded.rows("seldon_v1", [text_row(text)], _answer(decoded.answer))
    if type(blob := body.get("binData")) is str:
        return decoded.rows("seldon_v1", [{"size": sized(blob)}], _answer(decoded.answer))
    if type(held := body.get("jsonData")) in CONTAINERS:
        answer = _answer(decoded.answer)
        return decoded.rows("seldon_v1", _of_json(decoded, held, answer), answer)
    if _is_array(body.get("data")):
        return decoded.rows("seldon_v1", _array(body["data"]), _answer(decoded.answer))
    return None


def _is_array(data: Any) -> bool:
    return type(data) is dict and not data.keys().isdisjoint(ARRAYS)


def _of_json(decoded: Decoded, held: Any, answer: Any) -> list[Any]:
    if type(held) is dict:
        return [held] if held else []
    settled = Decoded(held, answer, decoded.exchange, decoded.columns)
    return settled.settle(held) if shape(held) == "flat" else held


def _answer(answer: Any) -> Any:
    if type(answer) is not dict:
        return answer
    if _is_array(answer.get("data")):
        return _array(answer["data"])
    for key in ("strData", "jsonData"):
        if key in answer:
            return answer[key]
    return NO_ANSWER if "binData" in answer or answer.keys() <= {"meta"} else answer


def _array(data: dict[str, Any]) -> list[Any]:
    """Give the rows of an array, by name where each value of a row has one."""
    rows = data.get("ndarray")
    if type(tensor := data.get("tensor")) is dict:
        rows = _shaped(tensor.get("values"), tensor.get("shape"))
    elif type(tensor := data.get("tftensor")) is dict:
        rows = _of_tftensor(tensor)
    if type(rows) is not list:
        return []
    names = data.get("names")
    if type(names) is not list or not names:
        return rows
    texts = tuple(map(str, names))
    if kinds(rows) == {list} and set(map(len, rows)) == {len(texts)}:
        return [dict(zip(texts, row, strict=True)) for row in rows]
    return [{texts[0]: row} for row in rows] if len(texts) == 1 else rows


def _of_tftensor(tensor: dict[str, Any]) -> list[Any] | None:
    outer = tensor.get("tensorShape", tensor.get("tensor_shape"))
    dims = outer.get("dim") if type(outer) is dict else None
    if type(dims) is not list:
        return None
    sizes = [_integer(dim.get("size")) for dim in dims if type(dim) is dict]
    held = [tensor.get(f"{kind}{ending}") for kind in VALUES for ending in ("Val", "_val")]
    values = list(chain.from_iterable(one for one in held if type(one) is list))
    return _shaped([_integer(value) for value in values] if "int64Val" in tensor else values, sizes)


def _integer(value: Any) -> Any:
    """Read an integer of 64 bits, which protocol buffers write as a text."""
    is_integer = type(value) is str and len(value) <= 20 and value.removeprefix("-").isdecimal()
    return int(value) if is_integer else value


def _shaped(values: Any, sizes: Any) -> list[Any] | None:
    if type(values) is not list or type(sizes) is not list or not sizes:
        return None
    if any(type(size) is not int or size < 1 for size in sizes) or prod(sizes) != len(values):
        return None
    for size in reversed(sizes[1:]):
        bounded(len(values) // size)
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return list(values)
