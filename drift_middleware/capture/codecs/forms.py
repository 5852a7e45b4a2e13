"""Forms: multipart and urlencoded.  Files are decoded where they are a table or text."""

from __future__ import annotations

import csv
from typing import Any
from urllib.parse import parse_qsl

from drift_middleware.capture.bodies import Binary, Fields
from drift_middleware.capture.codecs.declared import Declared, essence, parameter, to_text
from drift_middleware.capture.codecs.documents import read_json, read_lines
from drift_middleware.capture.codecs.tables import read_csv
from drift_middleware.capture.reasons import Reason, SkipError

MOST_FIELDS = 1000
# Each costs a seventh of a microsecond.
MOST_ESCAPES = 250_000
MOST_HEAD = 4096

PARTS = {
    b"application/json": read_json,
    b"application/jsonlines": read_lines,
    b"application/x-ndjson": read_lines,
    b"text/csv": read_csv,
}


def read_form(body: bytes, _said: Declared) -> Fields:
    """Decode a urlencoded form.  curl says that a body is one, where nobody says what it is."""
    if b"=" not in body or body.lstrip()[:1] in {b"{", b"[", b'"'}:
        raise SkipError(Reason.UNREADABLE)
    if body.count(b"%") > MOST_ESCAPES:
        raise SkipError(Reason.TOO_MANY)
    text = body.decode("ascii", "replace")
    return _gathered(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))


def read_multipart(body: bytes, said: Declared) -> Fields:
    """Decode the parts of RFC 7578, also of a body that was cut short."""
    delimiter = b"\r\n--" + said.parameter(b"boundary")
    whole = b"\r\n" + body
    if len(delimiter) == 4 or delimiter not in whole:
        # The first line is the boundary, where the header lies.
        delimiter = whole[: whole.find(b"\r\n", 2)]
    parts = whole.split(delimiter, MOST_FIELDS + 1)[1:]
    if len(parts) > MOST_FIELDS:
        raise SkipError(Reason.TRUNCATED)
    # What follows the last delimiter is no part: it begins with two dashes.
    found = [_part(part, said.limit) for part in parts if not part.startswith(b"--")]
    if not found:
        raise SkipError(Reason.UNREADABLE)
    return _gathered(found)


def _part(part: bytes, limit: int) -> tuple[str, Any]:
    head, separator, content = part.partition(b"\r\n\r\n")
    if not separator or len(head) > MOST_HEAD:
        raise SkipError(Reason.UNREADABLE)
    headers = {}
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    disposition = headers.get(b"content-disposition", b"")
    content_type = headers.get(b"content-type", b"")
    is_file = parameter(disposition, b"filename") or parameter(disposition, b"filename*")
    kind = essence(content_type) or (b"application/octet-stream" if is_file else b"text/plain")
    return to_text(parameter(disposition, b"name")), _content(content, kind, content_type, limit)


def _content(content: bytes, kind: bytes, content_type: bytes, limit: int) -> Any:
    if kind in PARTS and content:
        try:
            return PARTS[kind](content, Declared(content_type, b"", b"", limit))
        except (SkipError, ValueError, csv.Error):
            pass  # the rest of the form may still be of use
    elif kind == b"text/plain":
        return to_text(content, parameter(content_type, b"charset"))
    return Binary(len(content), kind.decode("ascii", "replace"))


def _gathered(pairs: list[tuple[str, Any]]) -> Fields:
    fields: dict[str, list[Any]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return Fields((name, held if len(held) > 1 else held[0]) for name, held in fields.items())
