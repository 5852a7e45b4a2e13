"""What rows and answers are made of: scalars, lists, and records that may be nested."""

from __future__ import annotations

from typing import Any

CONTAINERS = frozenset({dict, list})
# Bounds on what is taken from payloads that nobody described: levels of nesting, columns in all.
DEEPEST = 5
MOST_COLUMNS = 500


def kinds(items: list[Any]) -> set[type]:
    """Tell what a list holds: `{dict}`, `{list}`, only scalars, or a mixture."""
    return set(map(type, items))


def has_scalar(record: dict[str, Any]) -> bool:
    """Tell whether a record, or one within it, has a value that is no list."""
    for value in record.values():
        if type(value) not in CONTAINERS:
            return True  # nearly always the first one
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
    if len(record) <= MOST_COLUMNS and dict not in map(type, record.values()):
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
            flat.setdefault(f"{prefix}{key}", value)


def transposed(columns: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Turn a record of lists of one length into a list of records; None if it is anything else.

    >>> transposed({"age": [31, 54], "city": ["Paris", "Oslo"]})
    [{'age': 31, 'city': 'Paris'}, {'age': 54, 'city': 'Oslo'}]
    """
    if kinds(list(columns.values())) != {list} or len(set(map(len, columns.values()))) != 1:
        return None
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
