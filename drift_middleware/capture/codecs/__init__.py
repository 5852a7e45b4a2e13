"""Bytes to objects.  A codec is chosen by the content type, or by a look at the body.

To add one, write its decoder in a file here and one entry in `CODECS`.
"""

from __future__ import annotations

import csv
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from drift_middleware.capture.bodies import Binary
from drift_middleware.capture.codecs.columns import (
    ARROW_FILE,
    ARROW_STREAM,
    PARQUET,
    read_arrow,
    read_parquet,
)
from drift_middleware.capture.codecs.declared import Declared, declared, essence, to_text
from drift_middleware.capture.codecs.documents import (
    REFUSED,
    bound_containers,
    fast_json,
    read_json,
    read_lines,
    read_msgpack,
)
from drift_middleware.capture.codecs.encodings import decompress
from drift_middleware.capture.codecs.events import read_events
from drift_middleware.capture.codecs.forms import read_form, read_multipart
from drift_middleware.capture.codecs.tables import looks_csv, read_csv
from drift_middleware.capture.codecs.tensors import NPY, read_npy, read_open_inference
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.schemas import Headers

# A compressed body may unfold to so many bytes.
LIMIT = 4 << 20

# What libraries raise for bytes that they cannot read.
MALFORMED = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    OSError,
    SyntaxError,
    NotImplementedError,
    csv.Error,
    struct.error,
    zlib.error,
    msgspec.MsgspecError,
)


class Codec(msgspec.Struct, frozen=True):
    """How one kind of body is recognised and decoded."""

    decode: Callable[[bytes, Declared], Any]
    "raises SkipError, or one of MALFORMED"
    types: frozenset[bytes] = frozenset()
    "content types, in lower case, without parameters"
    suffixes: tuple[bytes, ...] = ()
    "content types that end so are of this kind too"
    magic: Callable[[bytes], object] = lambda _body: False
    "tells the kind by its first bytes, whatever its content type says"
    looks: Callable[[bytes], object] = lambda _body: False
    "tells that it may be of this kind, where its content type says nothing"


JSON = Codec(
    read_json,
    types=frozenset({b"application/json", b"text/json", b"application/x-json"}),
    suffixes=(b"+json",),
    looks=re.compile(rb'(?:\xef\xbb\xbf)?\s*[\[{"\-0-9tfnNI]').match,
)
LINES = Codec(
    read_lines,
    types=frozenset(
        {
            b"application/jsonlines",
            b"application/jsonl",
            b"application/x-jsonlines",
            b"application/x-ndjson",
            b"application/ndjson",
            b"application/x-jsonl",
        }
    ),
)
OPEN_INFERENCE = Codec(read_open_inference)
CODECS = (
    JSON,
    LINES,
    Codec(read_csv, types=frozenset({b"text/csv", b"application/csv"}), looks=looks_csv),
    Codec(
        read_npy,
        types=frozenset({b"application/x-npy", b"application/npy"}),
        magic=re.compile(re.escape(NPY)).match,
    ),
    Codec(
        read_parquet,
        types=frozenset(
            {
                b"application/vnd.apache.parquet",
                b"application/x-parquet",
                b"application/parquet",
            }
        ),
        magic=lambda body: body.startswith(PARQUET) and body.endswith(PARQUET),
    ),
    Codec(
        read_arrow,
        types=frozenset(
            {
                b"application/vnd.apache.arrow.stream",
                b"application/vnd.apache.arrow.file",
                b"application/x-apache-arrow-stream",
            }
        ),
        magic=lambda body: body.startswith((ARROW_FILE, ARROW_STREAM)),
    ),
    Codec(
        read_msgpack,
        types=frozenset(
            {b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack"}
        ),
    ),
    Codec(
        read_multipart,
        types=frozenset({b"multipart/form-data"}),
        magic=re.compile(
            rb"--[^\r\n]{1,70}\r\ncontent-disposition: *form-data", re.IGNORECASE
        ).match,
    ),
    Codec(read_form, types=frozenset({b"application/x-www-form-urlencoded"})),
    Codec(
        read_events,
        types=frozenset({b"text/event-stream"}),
        looks=re.compile(rb"(?:event|data|id|retry|): ?.*\r?\n").match,
    ),
)

# Servers and clients that set no type send these: a proxy of Vertex the stars, curl the form.
SAYS_NOTHING = frozenset(
    {
        b"",
        b"*/*",
        b"text/plain",
        b"application/octet-stream",
        b"binary/octet-stream",
        b"application/x-www-form-urlencoded",
    }
)


def decode(body: bytes, headers: Headers, *, limit: int = LIMIT) -> Any:
    """Decode a body, or raise SkipError; a RecursionError is the caller's to name.

    A body may unfold to `limit` bytes, or to its own size.
    """
    if not body:
        raise SkipError(Reason.EMPTY)
    if body[0] == 0x7B and body[-1] == 0x7D:
        # Nothing else parses as {...}, whatever the headers say of it.
        bound_containers(body)
        try:
            return fast_json(body)
        except REFUSED:
            pass
    said = declared(headers, max(limit, len(body)))
    try:
        body = decompress(body, said)
    except MALFORMED:
        raise SkipError(Reason.UNREADABLE) from None
    return _decoded(body, said)


def _decoded(body: bytes, said: Declared) -> Any:
    if not body:
        raise SkipError(Reason.EMPTY)
    certain = list(_certain(body, said))
    possible = [each for each in CODECS if each.looks(body)] if said.kind in SAYS_NOTHING else []
    failed = None
    for each in (*certain, *possible):
        try:
            return each.decode(body, said)
        except SkipError as skip:
            failed = failed or skip.reason
        except ImportError:
            failed = failed or Reason.CONTENT_TYPE
        except MALFORMED:
            failed = failed or Reason.UNREADABLE
    if failed and certain:
        raise SkipError(failed)
    return _otherwise(body, said)


def _certain(body: bytes, said: Declared) -> Iterator[Codec]:
    """Give what a body says of itself, then what is said of it: content types lie."""
    codec = _declared(said.content_type)
    if said.head:
        yield OPEN_INFERENCE
    if body[0] in b"{[" and codec is not LINES:
        yield JSON
    yield from (each for each in CODECS if each.magic(body))
    if codec:
        yield codec


# A service sees a handful of content types; the rest (multipart boundaries) fall out of the cache.
@lru_cache(maxsize=64)
def _declared(content_type: bytes) -> Codec | None:
    kind = essence(content_type)
    for codec in CODECS:
        if kind in codec.types or kind.endswith(codec.suffixes):
            return codec
    return None


def _otherwise(body: bytes, said: Declared) -> Any:
    if said.kind == b"text/plain":
        return to_text(body, said.parameter(b"charset"))
    if said.kind.startswith(b"text/") or body.lstrip()[:1] == b"<":
        raise SkipError(Reason.CONTENT_TYPE)  # a page, mostly
    return Binary(len(body), said.kind.decode("ascii", "replace"))
