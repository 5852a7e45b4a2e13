"""What the headers of a body say of it, which need not be true."""

from __future__ import annotations

import codecs
import re

import msgspec

from drift_middleware.schemas import Headers

# Any other name would choose one of Python's codecs, and some of these are slow or no text at all.
CHARSETS = frozenset(
    {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii", "iso8859-1", "cp1252"}
)
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Declared(msgspec.Struct, frozen=True, gc=False):
    """The headers that tell how to decode a body, and how much it may unfold to."""

    content_type: bytes
    encoding: bytes
    head: bytes
    "size of the JSON that binary tensors follow"
    limit: int
    "bytes"

    @property
    def kind(self) -> bytes:
        """Give the content type in lower case, without parameters."""
        return essence(self.content_type)

    def parameter(self, name: bytes) -> bytes:
        """Give a parameter of the content type, or nothing."""
        return parameter(self.content_type, name)


def declared(headers: Headers, limit: int) -> Declared:
    """Pick the headers that matter here."""
    content_type = encoding = head = b""
    for name, value in headers:
        # Names come in any case; their length is the cheaper test.
        size = len(name)
        if size == 12 and name.lower() == b"content-type":
            content_type = value
        elif size == 16 and name.lower() == b"content-encoding":
            encoding = value
        elif size == 31 and name.lower() == b"inference-header-content-length":
            head = value
    return Declared(content_type, encoding, head, limit)


def essence(content_type: bytes) -> bytes:
    """Give a content type in lower case, without parameters.

    >>> essence(b"Text/CSV; charset=utf-8")
    b'text/csv'
    """
    return content_type.partition(b";")[0].strip().lower()


def parameter(value: bytes, name: bytes) -> bytes:
    r"""Give one parameter of a header's value, without its quotes, or nothing.

    >>> parameter(b'form-data; filename="a;name=b"; name="c \\"d\\""', b"name")
    b'c "d"'
    """
    for found in _PARAMETER.finditer(value):
        if found[1].lower() == name:
            return found[3] if found[2] is None else re.sub(rb"\\(.)", rb"\1", found[2])
    return b""


_PARAMETER = re.compile(rb';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))')


def to_text(body: bytes, charset: bytes = b"") -> str:
    """Decode text by its byte order mark, then its declared charset; UTF-8 is the default."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body.decode(encoding, "replace")
    try:
        known = codecs.lookup(charset.decode("ascii")).name
    except (LookupError, ValueError):
        known = ""
    return body.decode(known if known in CHARSETS else "utf-8", "replace")
