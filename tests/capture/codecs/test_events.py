import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture.bodies import Events
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError

STREAM = [(b"content-type", b"text/event-stream; charset=utf-8")]
values = st.dictionaries(st.text(), st.integers() | st.text()) | st.lists(st.booleans())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "mac"])
@pytest.mark.parametrize("field", ["data:", "data: ", "event: token\nid: 7\n: note\ndata: "])
@given(found=st.lists(values, min_size=1))
def test_events_come_back(field, end, found):
    stream = "".join(f"{field}{json.dumps(each)}\n\n" for each in found).replace("\n", end)
    assert decode(stream.encode(), STREAM) == Events(found)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: [DONE]\n\n", []),
        (b"data: a\n\ndata:b\n\ndata: [DONE]\n\n", ["a", "b"]),
        (b'data: {\ndata: "a": 1}\n\n', [{"a": 1}]),
        (b"data: one\ndata: two\n\n", ["one\ntwo"]),
        (b"data\n\n", [""]),
        (b"data: 5\n\ndata: 5 stars\n\ndata:  x\n\n", [5, "5 stars", " x"]),
        (b": ping\n\nretry: 3\n\ndata: 1", [1]),
        (b"\xef\xbb\xbfdata: caf\xc3\xa9\n\n", ["café"]),
        (b"Hello world", ["Hello world"]),
    ],
)
def test_what_a_stream_says(stream, expected):
    assert decode(stream, STREAM) == Events(expected)


def test_a_stream_without_a_type_is_told_by_its_first_line():
    assert decode(b'data: {"a": 1}\n\ndata: [DONE]\n\n', []) == Events([{"a": 1}])


def test_more_events_than_a_model_sends_are_refused():
    with pytest.raises(SkipError) as caught:
        decode(b"data:1\n\n" * 30_000, STREAM)
    assert caught.value.reason == Reason.TRUNCATED
