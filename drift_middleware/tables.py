"""Tables: the `[[endpoint]]` of the options as people write them, and what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from drift_middleware.schemas import Endpoint

KEYS = Endpoint.__struct_encode_fields__
LISTS = ("request.features", "request.ignore", "response.classes")
CHOICES = {
    "align": "'index', 'none', 'key:/...'",
    "kind": "'classification', 'regression'",
}
_place = re.compile(r"`\$\.endpoint\[(\d+)\](?:\.([\w.]+))?").match
_unknown = re.compile(r"unknown field `(.*)`").search


def dotted(table: Any) -> Any:
    """Write the keys of a table with a point, and one name for a list of one.

    >>> dotted({"path": "/", "request": {"rows": "/a", "ignore": "id"}})
    {'path': '/', 'request.rows': '/a', 'request.ignore': ['id']}
    """
    if not isinstance(table, Mapping):
        return table
    flat: dict[str, Any] = {}
    for key, value in table.items():
        inner = value if isinstance(value, Mapping) else {}
        flat |= {f"{key}.{name}": each for name, each in inner.items()} or {key: value}
    return {
        key: [value] if key in LISTS and isinstance(value, str) else value
        for key, value in flat.items()
    }


def parsed(text: str) -> Any:
    """Read tables out of the text of a variable, which is JSON; what is none stays a text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def impossible(what: str, where: str, tables: Sequence[Any]) -> str:
    """Say what a converter found wrong: in which table, of which key, and what is allowed."""
    found = _place(where)
    number, key = (int(found[1]), found[2]) if found else (0, None)
    table = dotted(tables[number])
    path = table.get("path") if isinstance(table, Mapping) else None
    place = f"endpoint[{number}]" + (f" ({path})" if path else "")
    unknown = _unknown(what)
    if unknown:
        near = get_close_matches(unknown[1], KEYS, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{place}: unknown key {unknown[1]!r}.{hint} Known: {', '.join(KEYS)}."
    what = f"{what[:1].lower()}{what[1:]}"
    if key is None:
        return f"{place} is impossible: {what}."
    allowed = f"; allowed: {CHOICES[key]}" if key in CHOICES else ""
    return f"{place}: {key}={table.get(key)!r} is impossible: {what}{allowed}."
