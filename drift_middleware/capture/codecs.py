"""Bytes to objects.  A codec is chosen by the content type, or by a look at the body.

To add one, write its decoder and one line in `CODECS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.schemas import Headers


class Codec(msgspec.Struct, frozen=True):
    """How one kind of body is recognised and decoded."""

    types: frozenset[bytes]
    "content types, in lower case, without parameters"
    suffixes: tuple[bytes, ...]
    "content types that end so are of this kind too"
    looks: re.Pattern[bytes]
    "how the body begins, where its content type says nothing"
    decode: Callable[[bytes, Headers], Any]
    "raises SkipError"


_fast = msgspec.json.Decoder().decode
# What msgspec raises is a ValueError in its newer versions only; what text raises always is.
REFUSED = (msgspec.DecodeError, ValueError)
_escaped_surrogate = re.compile(r"\\u[dD][89a-fA-F]").search


def _json(body: bytes, _headers: Headers) -> Any:
    try:
        return _fast(body)
    except REFUSED:
        pass
    try:
        # Bytes may be UTF-16 or begin with a byte order mark; NaN, Infinity and 1e999 are read.
        text = body.decode(json.detect_encoding(body))
        decoded = json.loads(text)
        if _escaped_surrogate(text):
            # A lone surrogate has no UTF-8, so no database would take it: it becomes "?".
            whole = json.dumps(decoded, ensure_ascii=False).encode(errors="replace")
            decoded = json.loads(whole)
    except ValueError:
        raise SkipError(Reason.NOT_JSON) from None
    return decoded


CODECS = (
    Codec(
        types=frozenset({b"application/json", b"text/json", b"application/x-json"}),
        suffixes=(b"+json",),
        looks=re.compile(rb'(?:\xef\xbb\xbf)?\s*[\[{"\-0-9tfnNI]'),
        decode=_json,
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


def decode(body: bytes, headers: Headers) -> Any:
    """Decode a body, or raise SkipError; a RecursionError is the caller's to name."""
    if not body:
        raise SkipError(Reason.EMPTY)
    if body[0] in b"{[":
        # Nothing else parses as a whole JSON object or list, whatever the headers say of it.
        try:
            return _fast(body)
        except REFUSED:
            pass
    return _chosen(body, headers).decode(body, headers)


def _chosen(body: bytes, headers: Headers) -> Codec:
    content_type = encoding = b""
    for name, value in headers:
        # Names come in any case; their length is the cheaper test.
        size = len(name)
        if size == 12 and name.lower() == b"content-type":
            content_type = value
        elif size == 16 and name.lower() == b"content-encoding":
            encoding = value
    if encoding and encoding.strip().lower() != b"identity":
        raise SkipError(Reason.ENCODING)
    return _declared(content_type) or _recognised(content_type, body)


# A service sees a handful of content types; the rest (multipart boundaries) fall out of the cache.
@lru_cache(maxsize=64)
def _declared(content_type: bytes) -> Codec | None:
    essence = _essence(content_type)
    for codec in CODECS:
        if essence in codec.types or essence.endswith(codec.suffixes):
            return codec
    return None


def _recognised(content_type: bytes, body: bytes) -> Codec:
    if _essence(content_type) in SAYS_NOTHING:
        for codec in CODECS:
            if codec.looks.match(body):
                return codec
    raise SkipError(Reason.CONTENT_TYPE)


def _essence(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()
