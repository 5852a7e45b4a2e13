"""Compression: gzip, deflate, and br and zstd where something installed reads them.

Whatever a body unfolds to, no more of it than the limit is ever made.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import Any

from drift_middleware.capture.codecs.declared import Declared
from drift_middleware.capture.reasons import Reason, SkipError

GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"
# Nobody compresses more often, and each time may unfold a thousandfold.
MOST_ENCODINGS = 2
MOST_MEMBERS = 16
MOST_WINDOW = 1 << 23  # what RFC 8878 asks a decoder to bear


def decompress(body: bytes, said: Declared) -> bytes:
    """Undo the encodings that the headers name, or that the first bytes show."""
    # A framework may have undone them and left the header: then the body has not their magic.
    names = [name for each in said.encoding.split(b",") if (name := each.strip().lower())]
    if len(names) > MOST_ENCODINGS:
        raise SkipError(Reason.ENCODING)
    for name in reversed(names):
        body = _undo(name, body, said.limit)
    return _inflate(body, said.limit) if not names and body.startswith(GZIP) else body


def _undo(name: bytes, body: bytes, limit: int) -> bytes:
    if name in {b"gzip", b"x-gzip"}:
        return _inflate(body, limit) if body.startswith(GZIP) else body
    if name == b"deflate":
        # Some servers leave out the two bytes of zlib's own header.
        is_raw = body[0] & 0x0F != zlib.DEFLATED or int.from_bytes(body[:2]) % 31
        return _inflate(body, limit, -zlib.MAX_WBITS if is_raw else zlib.MAX_WBITS)
    if name == b"zstd":
        return _zstd(body, limit) if body.startswith(ZSTD) else body
    if name == b"br":
        return _brotli(body, limit)
    if name == b"identity":
        return body
    raise SkipError(Reason.ENCODING)


def _inflate(body: bytes, limit: int, window: int = 16 + zlib.MAX_WBITS) -> bytes:
    whole = b""
    for _ in range(MOST_MEMBERS):
        unit = zlib.decompressobj(window)
        whole += unit.decompress(body, limit + 1 - len(whole))
        if len(whole) > limit:
            raise SkipError(Reason.TRUNCATED)
        body = unit.unused_data
        if unit.eof and not body:
            return whole
    raise SkipError(Reason.UNREADABLE)


def _zstd(body: bytes, limit: int) -> bytes:
    module = _installed("compression.zstd", "zstandard")
    try:
        if module.__name__ == "zstandard":
            unit = module.ZstdDecompressor(max_window_size=MOST_WINDOW)
            return _whole(unit.stream_reader(body).read(limit + 1), limit)
        return _whole(module.ZstdDecompressor().decompress(body, limit + 1), limit)
    except module.ZstdError:
        raise SkipError(Reason.UNREADABLE) from None


def _brotli(body: bytes, limit: int) -> bytes:
    module = _installed("brotli", "brotlicffi")
    unit = module.Decompressor()
    try:
        whole = _whole(unit.process(body, output_buffer_limit=limit + 1), limit)
    except TypeError:
        # Versions before 1.2 know no limit.
        raise SkipError(Reason.ENCODING) from None
    except module.error:
        raise SkipError(Reason.UNREADABLE) from None
    if not unit.is_finished():
        raise SkipError(Reason.UNREADABLE)
    return whole


def _whole(found: bytes, limit: int) -> bytes:
    if len(found) > limit:
        raise SkipError(Reason.TRUNCATED)
    return found


def _installed(*names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise SkipError(Reason.ENCODING)
