import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError

TEXT = (b"content-type", b"text/plain")


def raw_deflate(data):
    unit = zlib.compressobj(wbits=-15)
    return unit.compress(data) + unit.flush()


ENCODERS = {
    b"gzip": gzip.compress,
    b"X-GZIP": gzip.compress,
    b"deflate": zlib.compress,
    b" Deflate ": raw_deflate,
    b"identity": bytes,
    b"deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
}


def refusal(body, encoding, **options):
    with pytest.raises(SkipError) as caught:
        decode(body, [TEXT, (b"Content-Encoding", encoding)], **options)
    return caught.value.reason


@pytest.mark.parametrize("encoding", ENCODERS)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=500).map("x: {}".format))
def test_a_compressed_body_comes_back(encoding, text):
    body = ENCODERS[encoding](text.encode())
    assert decode(body, [TEXT, (b"content-encoding", encoding)]) == text


@pytest.mark.parametrize("name", ["brotli", "zstandard"])
def test_what_is_installed_is_used(name):
    library = pytest.importorskip(name)
    text = b"a text, " * 100
    body = library.compress(text)
    encoding = {"brotli": b"br", "zstandard": b"zstd"}[name]
    assert decode(body, [TEXT, (b"content-encoding", encoding)]) == text.decode()
    assert refusal(library.compress(b"x" * (5 << 20)), encoding) == Reason.TRUNCATED
    assert refusal(body[:-3], encoding) in {Reason.UNREADABLE, Reason.EMPTY}


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_a_bomb_is_refused(encoding):
    body = ENCODERS[encoding](b"0" * (64 << 20))
    assert refusal(body, encoding) == Reason.TRUNCATED


def test_the_limit_is_what_a_body_may_unfold_to():
    body = gzip.compress(b"x" * 1000)
    assert decode(body, [TEXT], limit=1000) == "x" * 1000
    assert refusal(body, b"gzip", limit=999) == Reason.TRUNCATED


def test_members_of_gzip_are_one_body():
    assert decode(gzip.compress(b"[1, ") + gzip.compress(b"2]"), []) == [1, 2]


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd", b"identity"])
def test_a_header_may_outlive_the_encoding(encoding):
    assert decode(b"[1, 2]", [(b"content-encoding", encoding)]) == [1, 2]


@pytest.mark.parametrize("encoding", [b"compress", b"aes128gcm", b"gzip, gzip, gzip"])
def test_an_unknown_encoding_is_named(encoding):
    assert refusal(b"\x01\x02", encoding) == Reason.ENCODING


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"hello")[:-9], gzip.compress(b"hello") + b"x", gzip.compress(b"") * 100],
    ids=["cut short", "more follows", "many members"],
)
def test_a_damaged_body_is_refused(body):
    assert refusal(body, b"gzip") == Reason.UNREADABLE


def test_a_compressed_nothing_is_empty():
    assert refusal(gzip.compress(b""), b"gzip") == Reason.EMPTY
