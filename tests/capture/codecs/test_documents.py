import datetime
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture.bodies import Lines
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import MOST_ROWS

LINES = [(b"content-type", b"application/jsonlines")]
MSGPACK = [(b"content-type", b"application/msgpack")]

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
objects = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(objects)
def test_json_with_nan_and_infinity_comes_back(value):
    # NaN is equal to nothing, so what is printed is compared.
    assert repr(decode(json.dumps(value).encode(), [])) == repr(value)


@given(st.lists(objects, min_size=2))
def test_json_lines_come_back(values):
    body = "\n".join(map(json.dumps, values)).encode()
    found = decode(body, LINES)
    assert type(found) is Lines
    assert repr(found) == repr(values)


@pytest.mark.parametrize("key", [None, "instances", 7])
@pytest.mark.parametrize("row", [[], [1], {}, {"a": 1}, [0] * 20], ids=str)
def test_msgpack_of_too_many_rows_is_refused_and_of_as_many_values_is_not(key, row):
    def wrap(rows):
        return rows if key is None else {"a": 1, key: rows}

    with pytest.raises(SkipError) as caught:
        decode(msgspec.msgpack.encode(wrap([row] * (MOST_ROWS + 1))), MSGPACK)
    assert caught.value.reason is Reason.TOO_MANY
    for fine in (wrap([row] * 9), wrap([1.5] * (MOST_ROWS + 1)), wrap(["x" * MOST_ROWS])):
        expected = {str(key): value for key, value in fine.items()} if key is not None else fine
        assert decode(msgspec.msgpack.encode(fine), MSGPACK) == expected


@given(objects)
def test_msgpack_comes_back(value):
    assert repr(decode(msgspec.msgpack.encode(value), MSGPACK)) == repr(value)


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1}\n{"a": 2}', b'{"a": 1}\r\n{"a": 2}\r\n', b'\n{"a": 1}\n\n{"a": 2}\n\n'],
    ids=["lines", "windows", "blank lines"],
)
@pytest.mark.parametrize("content_type", [b"application/x-ndjson", b"application/json", b""])
def test_json_lines_are_told_from_json(body, content_type):
    assert decode(body, [(b"content-type", content_type)]) == Lines([{"a": 1}, {"a": 2}])


def test_json_lines_may_have_nan_and_a_byte_order_mark():
    first, second = decode(b"\xef\xbb\xbf[NaN]\n[1]\n", LINES)
    assert math.isnan(first[0])
    assert second == [1]


@pytest.mark.parametrize("body", [b"{bad\n1", b"1,2\nNaN", b"\xff\n1"])
def test_lines_that_are_not_json_are_refused(body):
    with pytest.raises(SkipError) as caught:
        decode(body, LINES)
    assert caught.value.reason == Reason.NOT_JSON


def test_keys_of_msgpack_are_text_and_times_are_as_in_json():
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    body = msgspec.msgpack.encode({1: now, "b": b"\xff", "e": msgspec.msgpack.Ext(5, b"x")})
    assert decode(body, MSGPACK) == {"1": "2026-01-02T00:00:00Z", "b": b"\xff", "e": b"x"}


@pytest.mark.parametrize(
    "body",
    [b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xa1\xff", b"\x81\xc4\x01a\x01", b"\x01\x01"],
    ids=["reserved", "four billion items", "text", "bytes for a key", "more follows"],
)
def test_malformed_msgpack_is_refused(body):
    with pytest.raises(SkipError) as caught:
        decode(body, MSGPACK)
    assert caught.value.reason == Reason.UNREADABLE
