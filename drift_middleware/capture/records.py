"""What rows and answers are made of: scalars, lists, and records that may be nested."""

from __future__ import annotations

import re
from typing import Any

from drift_middleware.capture.reasons import Reason, SkipError

CONTAINERS = frozenset({dict, list})
# Bounds on what is taken from payloads that nobody described: levels of nesting, columns in all.
DEEPEST = 5
MOST_COLUMNS = 500
# In one exchange.  A row, list or object costs as much as a dozen numbers, in memory too.
MOST_ROWS = 1 << 16
# What servers take beside the rows, and no model sees as a feature.
PARAMETERS = frozenset({"id", "params", "parameters", "signature_name"})
# `{"b64": "..."}` stands for bytes: https://www.tensorflow.org/tfx/serving/api_rest
BINARY = "b64"
# What a text is called where its server gives it no name.
TEXT = "text"
# A long text of the base64 alphabet alone is no words.
BLOB = re.compile(r"data:[\w.+-]+/[\w.+-]+[;,]|[A-Za-z0-9+/_-]{256,}={0,2}\s*$")


def kinds(items: list[Any]) -> set[type]:
    """Tell what a list holds: `{dict}`, `{list}`, only scalars, or a mixture."""
    return set(map(type, items))


def has_scalar(record: dict[str, Any]) -> bool:
    """Tell whether a record, or one within it, has a value that is no list."""
    for value in record.values():
        if type(value) not in CONTAINERS:
            return True  # nearly always the first one
    if dict not in map(type, record.values()):
        return False
    return any(type(value) is not list for value in dotted(record).values())


def is_numeric(value: Any) -> bool:
    """Tell a list of numbers, nested or not, by its first."""
    if type(value) is not list:
        return False
    while type(value) is list:
        if not value:
            return False
        value = value[0]
    return type(value) in (int, float)


def dotted(record: dict[str, Any]) -> dict[str, Any]:
    """Name the values of nested records `a.b`; what is too deep is left out.

    >>> dotted({"label": 0, "probabilities": {"0": 0.9, "1": 0.1}, "embedding": [0.2, 0.4]})
    {'label': 0, 'probabilities.0': 0.9, 'probabilities.1': 0.1, 'embedding': [0.2, 0.4]}
    """
    if (
        len(record) <= MOST_COLUMNS
        and dict not in map(type, record.values())
        and BINARY not in record
    ):
        return record
    flat: dict[str, Any] = {}
    _walk(record, "", 1, flat)
    return flat


def _walk(record: dict[str, Any], prefix: str, depth: int, flat: dict[str, Any]) -> None:
    for key, value in record.items():
        if len(flat) >= MOST_COLUMNS:
            return
        if type(value) is dict:
            if depth < DEEPEST:
                _walk(value, f"{prefix}{key}.", depth + 1, flat)
        else:
            flat.setdefault(f"{prefix}{key}", sized(value) if key == BINARY else value)


def sized(value: Any) -> Any:
    """Give the size of what a base64 text holds: a blob is nobody's category.

    >>> sized("aW1hZ2UgYnl0ZXM=")
    11
    """
    return len(value.rstrip("=")) * 3 // 4 if type(value) is str else value


def bounded(rows: int) -> None:
    """Refuse to make more rows, or other lists and objects, than one exchange may give."""
    if rows > MOST_ROWS:
        raise SkipError(Reason.TOO_MANY)


def height(columns: dict[str, Any]) -> int | None:
    """Tell how many values each column has; None if one is no list, or they differ."""
    if set(map(type, columns.values())) != {list} or len(set(map(len, columns.values()))) != 1:
        return None
    return len(next(iter(columns.values())))


def transposed(columns: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Turn a record of lists of one length into a list of records; None if it is anything else.

    >>> transposed({"age": [31, 54], "city": ["Paris", "Oslo"]})
    [{'age': 31, 'city': 'Paris'}, {'age': 54, 'city': 'Oslo'}]
    """
    rows = height(columns)
    if rows is None:
        return None
    bounded(rows)
    if len(columns) == 1:
        ((name, values),) = columns.items()
        return [{name: value} for value in values]
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def split(frame: dict[str, Any]) -> list[Any]:
    """Give the records of `{"columns": [...], "data": [[...]]}`, as pandas writes a data frame.

    >>> split({"columns": ["age", "city"], "data": [[31, "Paris"]]})
    [{'age': 31, 'city': 'Paris'}]
    """
    names, data = frame.get("columns"), frame.get("data")
    if type(data) is not list:
        raise SkipError(Reason.NOT_A_PREDICTION)
    if type(names) is not list:
        return data
    if len(names) == 1 and list not in kinds(data):
        data = [[value] for value in data]  # one column may be sent flat
    if kinds(data) != {list} or set(map(len, data)) != {len(names)}:
        raise SkipError(Reason.NOT_A_PREDICTION)
    bounded(len(data))
    named = [".".join(map(str, name)) if type(name) is list else str(name) for name in names]
    return [dict(zip(named, row, strict=True)) for row in data]


def by_index(columns: dict[str, Any]) -> list[Any] | None:
    """Give the records of `{column: {"0": value}}`, as `DataFrame.to_dict` writes them.

    >>> by_index({"age": {"0": 31, "1": 54}, "city": {"0": "Paris", "1": "Oslo"}})
    [{'age': 31, 'city': 'Paris'}, {'age': 54, 'city': 'Oslo'}]
    """
    values = list(columns.values())
    if not values or type(values[0]) is not dict or not values[0] or kinds(values) != {dict}:
        return None
    index = values[0].keys()
    if any(one.keys() != index for one in values[1:]) or not all(map(str.isdecimal, index)):
        return None
    bounded(len(index))
    return [{name: values[at] for name, values in columns.items()} for at in index]


def unwrapped(row: Any) -> Any:
    """Take a row out of `{"data": {"features": {"values": [...]}}}`, one of SageMaker's shapes."""
    for key in ("data", "features", "values"):
        if type(row) is not dict or key not in row:
            return row
        if type(row[key]) is list:
            return row[key] if key == "values" else row
        row = row[key]
    return row


def text_row(text: Any) -> dict[str, Any]:
    """Make a row of one text, or of the size of what is bytes written as text."""
    if type(text) is str and BLOB.match(text):
        return {"size": sized(text.rpartition(",")[2])}
    return {TEXT: text}
