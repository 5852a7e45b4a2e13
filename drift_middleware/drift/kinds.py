"""Kinds: what the values of a column are, told from its baseline, and how each is described."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from drift_middleware.drift.cells import FEW, Floats
from drift_middleware.drift.columns import NESTED, Column
from drift_middleware.drift.descriptors import Descriptor
from drift_middleware.drift.descriptors.confidence import Confidence
from drift_middleware.drift.descriptors.texts import Text, has_extras, is_text
from drift_middleware.drift.descriptors.times import Time, read_times
from drift_middleware.drift.descriptors.vectors import Vector, read_vectors
from drift_middleware.drift.levels import level
from drift_middleware.drift.tally import numbers
from drift_middleware.schemas import ColumnKind, Role

Described = Text | Time | Vector | Confidence

# Rows from which values that are all different are taken for identifiers.
TELLING = 50
LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)


class UnwatchableError(Exception):
    """Raised for a column that cannot be watched, with the reason."""


def kind_of(name: str, values: Column) -> ColumnKind:
    """Tell what a plain column holds.

    Raises
    ------
    UnwatchableError
        Its values number the rows, identify them, or are no values.
    """
    if values.dtype.kind == "f":
        if read_times(values.tolist(), by_name=name) is not None:
            return "time"
        if _numbers_the_rows(values):
            raise UnwatchableError("its values number the rows")
        return "category" if np.isnan(values).all() else "number"
    plain = values.tolist()
    texts = [value for value in plain if isinstance(value, str)]
    if any(isinstance(value, NESTED) for value in plain) or _are_lists(texts):
        if read_vectors(plain) is not None:
            return "vector"
        if len(texts) < len(plain) and any(isinstance(value, NESTED) for value in plain):
            raise UnwatchableError("it holds lists of no vectors, objects or bytes")
    return _kind_of_texts(name, plain, texts)


def _kind_of_texts(name: str, values: list[Any], texts: list[str]) -> ColumnKind:
    if texts and read_times(values, by_name=name) is not None:
        return "time"
    if texts and is_text(texts):
        return "text"
    if len(texts) >= TELLING and len(set(texts)) == len(texts):
        raise UnwatchableError("its values are all different (identifiers)")
    return "category"


def as_kind(kind: ColumnKind, values: Column) -> Column:
    """Read a plain column as the kind that it was said to be.

    Raises
    ------
    UnwatchableError
        It holds none of that kind.
    """
    if kind == "number" and values.dtype.kind != "f":
        values = numbers(values.tolist())
    if kind == "category" and values.dtype.kind == "f":
        values = np.array([level(value) for value in values.tolist()], object)
    plain = values.tolist()
    is_such = {
        "number": lambda: not np.isnan(values).all(),
        "category": lambda: any(level(value) is not None for value in plain),
        "text": lambda: any(isinstance(value, str) for value in plain),
        "time": lambda: read_times(plain, by_name="time") is not None,
        "vector": lambda: read_vectors(plain) is not None,
    }
    if not is_such[kind]():
        msg = f"it holds no {kind}"
        raise UnwatchableError(msg)
    return values


def descriptor_of(
    kind: ColumnKind, role: Role, values: Sequence[Any], rng: np.random.Generator, *, has_age: bool
) -> Described | None:
    """Learn how a column is described, from a part of its rows; None: by its values themselves."""
    if kind == "text":
        return Text.learn(values, language=has_extras())
    if kind == "time":
        return Time.learn(values, has_age=has_age)
    if kind == "vector":
        return Vector.learn(values, rng)
    if kind == "number" and role == "prediction" and _is_confidence(numbers(values)):
        return Confidence.learn(values)
    return None


def _are_lists(texts: list[str]) -> bool:
    """Tell lists that were written as texts."""
    return bool(texts) and all(LIST.fullmatch(text) for text in texts)


def _is_confidence(values: Floats) -> bool:
    """Tell a probability or a share from labels and from measures of anything else."""
    known = values[~np.isnan(values)]
    return len(np.unique(known)) > FEW and bool(((known >= 0) & (known <= 1)).all())


def _numbers_the_rows(values: Floats) -> bool:
    """Tell a row number: whole, each one more than the last."""
    if len(values) < TELLING:
        return False
    with np.errstate(over="ignore", invalid="ignore"):  # of the largest numbers and infinities
        return bool(values[0] % 1 == 0) and bool((np.diff(values) == 1).all())


# For the type checker: each is what a `Descriptor` has to be.
_: tuple[type[Descriptor], ...] = (Text, Time, Vector, Confidence)
