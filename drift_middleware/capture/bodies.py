"""What a decoded body can be, besides the plain objects of JSON: what codecs hand to formats.

JSON and msgpack give dicts, lists and scalars, plain text a str, Open Inference Protocol tensors
the JSON object that says the same.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Lines(list[Any]):
    """JSON Lines: one object a line."""


class Events(list[Any]):
    """Server-sent events: the data of each, decoded where it is JSON, a str where it is not."""


class Grid(Struct, gc=False):
    """A table or an array: rows of values, by position."""

    names: list[str] | None
    "None where nothing names the columns"
    rows: list[Any]
    "lists; numbers where an array has one dimension"


class Fields(dict[str, Any]):
    """A form: text, an object or a Binary for each name; a list of these where it comes again."""


class Binary(Struct, frozen=True, gc=False):
    """Bytes that are no table and no text: counted, never kept."""

    size: int
    type: str
    "their content type"
