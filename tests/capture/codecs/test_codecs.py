import gzip
import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drift_middleware.capture.bodies import Binary, Fields, Grid, Lines
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError

JSON = [(b"content-type", b"application/json")]


def refusal(body, headers=JSON):
    with pytest.raises(SkipError) as caught:
        decode(body, headers)
    return caught.value.reason


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"application/problem+json",
        b"text/json",
        b"text/plain",
        b"*/*",
        b"application/octet-stream",
        b"application/x-www-form-urlencoded",
        b"",
    ],
    ids=bytes.decode,
)
@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b"[1]", b"0.93", b'"cat"', b"null"], ids=bytes.decode
)
def test_json_is_decoded_under_the_content_types_it_travels_with(content_type, body):
    assert decode(body, [(b"content-type", content_type)]) == json.loads(body)


@pytest.mark.parametrize(
    "name", [b"content-type", b"Content-Type", b"CONTENT-TYPE"], ids=bytes.decode
)
def test_header_names_come_in_any_case(name):
    assert refusal(b"0", [(name, b"text/html")]) == Reason.CONTENT_TYPE


def test_a_body_without_headers_is_recognised_by_its_beginning():
    assert decode(b" \n0.5", []) == 0.5
    assert refusal(b"<html>", []) == Reason.CONTENT_TYPE


def test_a_scalar_under_another_content_type_is_not_json():
    assert decode(b"0", [(b"content-type", b"text/csv")]) == Grid(None, [[0]])
    assert decode(b"0", [(b"content-type", b"Image/PNG; a=b")]) == Binary(1, "image/png")


def test_an_object_is_json_even_where_the_content_type_lies():
    assert decode(b'{"a": 1}', [(b"content-type", b"text/html")]) == {"a": 1}


def test_the_identity_encoding_changes_nothing():
    assert decode(b"1", [*JSON, (b"content-encoding", b"Identity")]) == 1


def test_nan_and_infinity_tokens_are_read():
    nan, high, low, huge = decode(b"[NaN, Infinity, -Infinity, 1e999]", JSON)
    assert math.isnan(nan)
    assert (high, low, huge) == (math.inf, -math.inf, math.inf)


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**30])
def test_integers_past_64_bits_stay_exact(number):
    assert decode(json.dumps({"a": number}).encode(), JSON) == {"a": number}


def test_an_integer_of_more_digits_than_python_reads_is_refused():
    assert refusal(b'{"a": ' + b"1" * 5000 + b"}") == Reason.NOT_JSON


@pytest.mark.parametrize("number", [b"1", b"NaN"], ids=["msgspec", "stdlib"])
def test_the_last_of_duplicate_keys_wins(number):
    assert decode(b'{"b": %s, "a": 1, "a": 2}' % number, JSON)["a"] == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_byte_order_marks_and_wide_encodings_are_read(encoding):
    assert decode('{"città": "Zoë"}'.encode(encoding), JSON) == {"città": "Zoë"}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"a": "x\ud800y"}', "x?y"),
        (rb'{"a": "\uDC00"}', "?"),
        (rb'{"a": "\ud83d\ude00"}', "\N{GRINNING FACE}"),
        (rb'{"b": NaN, "a": "\ud83d\ude00"}', "\N{GRINNING FACE}"),
    ],
    ids=["high", "low", "pair", "pair in the fallback"],
)
def test_lone_surrogates_become_question_marks_and_pairs_one_character(body, text):
    value = decode(body, JSON)["a"]
    assert value == text
    assert value.encode().decode() == text


@pytest.mark.parametrize(
    "body",
    [
        b"{bad",
        b"[1,]",
        b"{'a': 1}",
        b'{"a": 1} {"a": 2}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\x00",
        b" ",
    ],
    ids=["word", "trailing comma", "quotes", "two", "latin-1", "raw surrogate", "null", "space"],
)
def test_malformed_json_is_refused(body):
    assert refusal(body) == Reason.NOT_JSON


def test_an_empty_body_is_refused():
    assert refusal(b"") == Reason.EMPTY


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def arrow(table, new):
    stream = io.BytesIO()
    with new(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def parquet(table):
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


TABLE = pa.table({"a": [1, 2], "b": [0.5, 1.5]})
FORM = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
UNMISTAKABLE = {
    "npy": (npy(np.array([[1, 2]])), Grid(None, [[1, 2]])),
    "parquet": (parquet(TABLE), Grid(["a", "b"], [[1, 0.5], [2, 1.5]])),
    "arrow stream": (arrow(TABLE, pa.ipc.new_stream), Grid(["a", "b"], [[1, 0.5], [2, 1.5]])),
    "arrow file": (arrow(TABLE, pa.ipc.new_file), Grid(["a", "b"], [[1, 0.5], [2, 1.5]])),
    "multipart": (FORM, Fields(a="1")),
    "gzip": (gzip.compress(b'{"a": 1}'), {"a": 1}),
    "gzip of npy": (gzip.compress(npy(np.array([[1, 2]]))), Grid(None, [[1, 2]])),
}


@pytest.mark.parametrize(
    "content_type",
    [b"", b"*/*", b"application/octet-stream", b"application/json", b"image/png", b"text/csv"],
    ids=bytes.decode,
)
@pytest.mark.parametrize("kind", UNMISTAKABLE)
def test_what_the_first_bytes_say_is_believed_where_the_content_type_lies(kind, content_type):
    body, expected = UNMISTAKABLE[kind]
    assert decode(body, [(b"content-type", content_type)]) == expected


@pytest.mark.parametrize("content_type", [b"", b"application/x-www-form-urlencoded", b"text/plain"])
def test_lines_of_numbers_are_a_table_where_the_content_type_says_nothing(content_type):
    headers = [(b"content-type", content_type)]
    assert decode(b"5.1,3.5\n6.7,3\n", headers) == Grid(None, [[5.1, 3.5], [6.7, 3]])
    assert decode(b"a,b\n1,2\n", headers) == Grid(["a", "b"], [[1, 2]])


@pytest.mark.parametrize("text", ["hello", "5 stars", "Dear all,\nwe came", "a=1", "\N{SNOWMAN}"])
def test_plain_text_is_a_string(text):
    assert decode(text.encode(), [(b"content-type", b"text/plain; charset=utf-8")]) == text


@pytest.mark.parametrize("content_type", [b"", b"application/octet-stream", b"audio/wav"])
def test_what_is_of_no_known_kind_is_counted_and_not_kept(content_type):
    body = b"\xff\xd8\xff\xe0 an image"
    found = decode(body, [(b"content-type", content_type)])
    assert found == Binary(len(body), content_type.decode())


@pytest.mark.parametrize("body", [b"<html>", b" <?xml?>"])
@pytest.mark.parametrize("content_type", [b"", b"text/html", b"application/xml"])
def test_a_page_is_refused(content_type, body):
    assert refusal(body, [(b"content-type", content_type)]) == Reason.CONTENT_TYPE


def test_one_line_of_json_lines_is_a_line():
    assert decode(b'{"a": 1}\n', [(b"content-type", b"application/jsonlines")]) == Lines([{"a": 1}])
    assert decode(b"[5.1, 3.5]\n", [(b"content-type", b"application/jsonlines")]) == Lines(
        [[5.1, 3.5]]
    )


def test_the_reason_is_that_of_the_declared_type():
    assert refusal(b"x", JSON) == Reason.NOT_JSON
    assert refusal(b"x", [(b"content-type", b"application/x-npy")]) == Reason.UNREADABLE
