from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture.bodies import Binary, Fields, Grid
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError

FORM = [(b"content-type", b"application/x-www-form-urlencoded")]
texts = st.text(st.characters(exclude_categories=["Cs"]))
names = texts.filter(bool)


def multipart(**parts):
    """Encode as httpx does."""
    request = httpx.Request("POST", "http://a", **parts)
    request.read()
    return request.content, [(b"content-type", request.headers["content-type"].encode())]


@given(st.dictionaries(texts, texts, min_size=1))
def test_a_form_comes_back(fields):
    assert decode(urlencode(fields).encode(), FORM) == Fields(fields)


def test_a_name_that_comes_again_has_a_list():
    assert decode(b"a=1&b=&a=2", FORM) == Fields(a=["1", "2"], b="")


def test_a_form_holds_json_as_text():
    assert decode(b"json=%7B%22a%22%3A1%7D", FORM) == Fields(json='{"a":1}')


@given(
    st.dictionaries(st.text("abcé \"\\;'=", min_size=1), texts, min_size=1),
    st.binary(max_size=200),
)
def test_parts_come_back(fields, data):
    body, headers = multipart(data=fields, files={"file": ("a;name=b.png", data, "image/png")})
    found = decode(body, headers)
    assert found.pop("file") == Binary(len(data), "image/png")
    # A browser and httpx write quotes as %22.
    assert {name.replace("%22", '"'): value for name, value in found.items()} == fields


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (b'{"a": 1}', "application/json", {"a": 1}),
        (b"a,b\n1,2\n", "text/csv", Grid(["a", "b"], [[1, 2]])),
        (b"hello", "text/plain; charset=latin-1", "hello"),
        ("città".encode("latin-1"), "text/plain; charset=latin-1", "città"),
        (b"{bad", "application/json", Binary(4, "application/json")),
        (b"1,2\n1,2,3", "text/csv", Binary(9, "text/csv")),
        (b'{"a": 1}', "application/octet-stream", Binary(8, "application/octet-stream")),
        (b"", "text/csv", Binary(0, "text/csv")),
    ],
)
def test_a_file_is_decoded_where_its_type_says_how(content, content_type, expected):
    body, headers = multipart(files={"f": ("name", content, content_type)})
    assert decode(body, headers) == Fields(f=expected)


@pytest.mark.parametrize(
    "content_type", [b"multipart/form-data; boundary=other", b"multipart/form-data", b""]
)
def test_the_first_line_is_the_boundary_where_the_content_type_lies(content_type):
    body, _ = multipart(files={"f": ("name", b"\r\n--", "image/png")})
    assert decode(body, [(b"content-type", content_type)]) == Fields(f=Binary(4, "image/png"))


@pytest.mark.parametrize("quoted", [b'"b c"', b"b"])
def test_a_body_cut_short_keeps_its_parts(quoted):
    boundary = quoted.strip(b'"')
    body = b"preamble\r\n--%s\r\nContent-Disposition: form-data; name=a\r\n\r\n1" % boundary
    headers = [(b"Content-Type", b"Multipart/Form-Data; Boundary=" + quoted)]
    assert decode(body, headers) == Fields(a="1")


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"&".join([b"a=1"] * 2000), FORM, Reason.UNREADABLE),
        (b"hello", FORM, Reason.UNREADABLE),
        (b"--x\r\n\r\n" * 2000, [(b"content-type", b"multipart/form-data; boundary=x")], "many"),
        (b"--x--\r\n", [(b"content-type", b"multipart/form-data; boundary=x")], "none"),
        (b"--x\r\nno head", [(b"content-type", b"multipart/form-data; boundary=x")], "none"),
        (b"hello", [(b"content-type", b"multipart/form-data; boundary=x")], "none"),
    ],
    ids=["many fields", "no field", "many parts", "no part", "no head", "no boundary"],
)
def test_a_form_that_is_none_is_refused(body, headers, reason):
    with pytest.raises(SkipError) as caught:
        decode(body, headers)
    expected = {"many": Reason.TRUNCATED, "none": Reason.UNREADABLE}.get(reason, reason)
    assert caught.value.reason == expected
