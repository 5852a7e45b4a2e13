"""Objects as they are: JSON, JSON Lines, msgpack."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import numpy as np

from drift_middleware.capture.bodies import Lines
from drift_middleware.capture.codecs.declared import Declared
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import MOST_ROWS, bounded

fast_json = msgspec.json.Decoder().decode
# What msgspec raises is a ValueError in its newer versions only; what text raises always is.
REFUSED = (msgspec.DecodeError, ValueError)

_fast_lines = msgspec.json.Decoder().decode_lines
# An extension is bytes of somebody's own meaning.
_fast_msgpack = msgspec.msgpack.Decoder(ext_hook=lambda _code, data: bytes(data)).decode
_raw_msgpack = msgspec.msgpack.Decoder(dict[Any, msgspec.Raw]).decode
# https://github.com/msgpack/msgpack/blob/master/spec.md: a list of more than 65,535 begins with
# this and the number of them, in four bytes.
ARRAY, ARRAY_HEAD = 0xDD, 5
MSGPACK_CONTAINERS = frozenset((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
_escaped_surrogate = re.compile(r"\\u[dD][89a-fA-F]").search
_many_lines = re.compile(rb"[}\]][ \t]*[\r\n]\s*[{\[]").search


def bound_containers(body: bytes) -> None:
    """Refuse JSON of too many lists and objects."""
    # Each takes three bytes, or two where it is the last one: in fewer there are hardly too many.
    if len(body) > 3 * MOST_ROWS:
        # `bytes.count` takes five times as long where there are many.
        octets = np.frombuffer(body, np.uint8)
        bounded(int(sum(np.count_nonzero(octets == opening) for opening in b"[{")))


def read_json(body: bytes, _said: Declared) -> Any:
    """Decode JSON, or the JSON Lines that are sent as it."""
    bound_containers(body)
    try:
        return fast_json(body)
    except REFUSED:
        pass
    try:
        return _slow_json(body)
    except SkipError:
        if _many_lines(body):
            return _lines(body)
        raise


def _slow_json(body: bytes) -> Any:
    """Read what is not quite JSON: UTF-16, a byte order mark, NaN, Infinity, 1e999."""
    try:
        text = body.decode(json.detect_encoding(body))
        decoded = json.loads(text)
        if _escaped_surrogate(text):
            # A lone surrogate has no UTF-8, so no database would take it: it becomes "?".
            whole = json.dumps(decoded, ensure_ascii=False).encode(errors="replace")
            decoded = json.loads(whole)
    except ValueError:
        raise SkipError(Reason.NOT_JSON) from None
    return decoded


def read_lines(body: bytes, _said: Declared) -> Any:
    """Decode JSON Lines."""
    bound_containers(body)
    return _lines(body)


def _lines(body: bytes) -> Lines:
    try:
        return Lines(_fast_lines(body))
    except REFUSED:
        pass
    lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    # One list costs a tenth of as many documents as there are lines.
    found = _slow_json(b"[" + b",".join(lines) + b"]")
    if len(found) != len(lines):
        raise SkipError(Reason.NOT_JSON)
    return Lines(found)


def _msgpack_values(body: bytes) -> list[bytes | msgspec.Raw]:
    """Give a body, or the values of one that is an object, without making objects of them."""
    try:
        return list(_raw_msgpack(body).values())
    except REFUSED:
        return [body]


def _rows_of_msgpack(data: memoryview) -> int:
    """Say how many lists or objects a list says that it has, if these are many and all it has."""
    if len(data) <= ARRAY_HEAD or data[0] != ARRAY:
        return 0
    first = data[ARRAY_HEAD]
    return int.from_bytes(data[1:ARRAY_HEAD]) if first in MSGPACK_CONTAINERS else 0


def read_msgpack(body: bytes, _said: Declared) -> Any:
    """Decode msgpack as if it were JSON, where keys are text; bytes stay bytes."""
    if len(body) > MOST_ROWS:
        for held in _msgpack_values(body):
            bounded(_rows_of_msgpack(memoryview(held)))
    found = _fast_msgpack(body)
    return msgspec.to_builtins(found, str_keys=True, builtin_types=(bytes,))
