"""Forms and query strings: one row of named texts.  Files are no features."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.bodies import Binary
from drift_middleware.capture.decoded import Decoded, content_type
from drift_middleware.schemas import Rows


class Query(dict[str, Any]):
    """The parameters of a query string, where there is no body."""


def read_multipart(decoded: Decoded) -> Rows | None:
    """Give one row, which is empty if there is nothing but files."""
    declared = content_type(decoded.exchange.request_headers)
    is_multipart = decoded.told or declared.startswith(b"multipart/")
    return _read(decoded, "multipart") if is_multipart else None


def read_form(decoded: Decoded) -> Rows | None:
    """Give one row."""
    return _read(decoded, "form")


def read_query(decoded: Decoded) -> Rows | None:
    """Give one row if there is one answer to it: its values are texts, whatever they say."""
    row = dict(decoded.request)
    return decoded.rows("query", [row]) if row and decoded.answers(1) else None


def _read(decoded: Decoded, name: str) -> Rows | None:
    if not decoded.request:
        return None
    row = {field: value for field, value in decoded.request.items() if not _has_files(value)}
    return decoded.rows(name, [row])


def _has_files(value: Any) -> bool:
    return type(value) is Binary or (type(value) is list and Binary in map(type, value))
