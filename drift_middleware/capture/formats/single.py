"""Rows under one name that says nothing of them: LitServe, Ray Serve, BentoML and their like."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.capture.records import CONTAINERS, PARAMETERS, by_index, kinds, unwrapped
from drift_middleware.schemas import Rows

INPUT = frozenset({"input"})
# Under the last four a list of numbers is a feature as often.
PLAIN = frozenset({"X", "array", "data", "records", "rows", "x"})
KEYS = PLAIN | {"batch", "features", "items", "samples"}


def read_input(decoded: Decoded) -> Rows | None:
    """Give the rows of `{"input": ...}`; a scalar is a feature of that name."""
    return _read(decoded, "litserve", "input")


def read(decoded: Decoded) -> Rows | None:
    """Give the rows under any such name."""
    names = [name for name in decoded.request if name in KEYS]
    return _read(decoded, "single", names[0]) if len(names) == 1 else None


def _read(decoded: Decoded, format_: str, name: str) -> Rows | None:
    body = decoded.request
    value = body[name]
    others = body.keys() - {name} - PARAMETERS
    if not value or not decoded.columns_miss(body):
        return None
    if type(value) is dict:
        return None if others else decoded.rows(format_, _of_record(body, value))
    if type(value) is not list:
        return None
    if kinds(value).isdisjoint(CONTAINERS):
        is_feature = others or name not in PLAIN | INPUT
        return None if is_feature else decoded.rows(format_, decoded.settle(value))
    return _of_rows(decoded, format_, value, is_sole=not others)


def _of_record(body: dict[str, Any], value: dict[str, Any]) -> list[Any]:
    inner = unwrapped(body)
    return [inner] if type(inner) is list else by_index(value) or [value]


def _of_rows(decoded: Decoded, format_: str, values: list[Any], *, is_sole: bool) -> Rows | None:
    many = decoded.answers(len(values))
    if not many and not is_sole:
        return None  # a record, one of whose features is such a list
    if shape(values) == "matrix" and not many and decoded.answers(1):
        return decoded.rows(format_, [values])  # an image, or a sequence
    return decoded.rows(format_, list(map(unwrapped, values)))
