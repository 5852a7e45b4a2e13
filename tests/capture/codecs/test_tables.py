import csv
import io
import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError

words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Nd"]), min_size=1).filter(
    lambda text: text == text.strip() and text.lower().strip("+-") not in {"nan", "inf", "infinity"}
)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)


def read(text, content_type=b"text/csv"):
    body = text if type(text) is bytes else text.encode()
    return decode(body, [(b"content-type", content_type)])


def written(rows):
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(numbers, min_size=n, max_size=n), min_size=1)
    )
)
def test_numbers_come_back_without_a_header(rows):
    assert read(written(rows)) == Grid(None, rows)


@given(st.data(), st.integers(1, 5))
def test_a_header_is_told_by_the_numbers_below_it(data, width):
    names = data.draw(st.lists(words, min_size=width, max_size=width))
    row = st.lists(numbers | words | st.none(), min_size=width, max_size=width)
    rows = data.draw(st.lists(row, min_size=1))
    assume(any(isinstance(value, int | float) for row in rows for value in row))
    assume(not names[0].startswith("\ufeff"))
    found = read(written([names, *rows]))
    assert found == Grid(names, rows)


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("5.1,3.5\n6.7,3\n", None, [[5.1, 3.5], [6.7, 3]]),
        ("5.1,3.5\r\n6.7,3", None, [[5.1, 3.5], [6.7, 3]]),
        ("\ufeffa,b\r\n1,2\r\n\r\n", ["a", "b"], [[1, 2]]),
        ('"a, b",c\n1,2\n', ["a, b", "c"], [[1, 2]]),
        ('"a\nb",c\n"x ""y""",2\n', ["a\nb", "c"], [['x "y"', 2]]),
        ("city,color\nParis,red\n", None, [["city", "color"], ["Paris", "red"]]),
        ("Paris,5\nOslo,6\n", None, [["Paris", 5], ["Oslo", 6]]),
        ("city,n\nParis,5\nOslo,\n", ["city", "n"], [["Paris", 5], ["Oslo", None]]),
        ("a,b\n1\n2,3\n", ["a", "b"], [[1, None], [2, 3]]),
        (",a\n0,5\n", ["", "a"], [[0, 5]]),
        (",3\n1,2\n", None, [[None, 3], [1, 2]]),
        ("a,b,c,d\n,,,\n1,,,4\n", ["a", "b", "c", "d"], [[None] * 4, [1, None, None, 4]]),
        ("a,b\nx,1\ny,\nz,0.5\n", ["a", "b"], [["x", 1], ["y", None], ["z", 0.5]]),
        ("1\n2\n", None, [[1], [2]]),
        ("hello\n", None, [["hello"]]),
        ("-.5,+1,1.,1e3,007\n", None, [[-0.5, 1, 1.0, 1000.0, 7]]),
        ("a,b\n1_000,1 2\n5,2026-01-02\n", ["a", "b"], [["1_000", "1 2"], [5, "2026-01-02"]]),
        ("18446744073709551616,1e999\n", None, [[2**64, math.inf]]),
    ],
)
def test_what_a_table_says(text, names, rows):
    assert read(text) == Grid(names, rows)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/csv; header=present", Grid(["a", "1"], [["b", 2]])),
        (b"text/csv; header=absent", Grid(None, [["a", 1], ["b", 2]])),
    ],
)
def test_the_content_type_may_say_whether_there_is_a_header(content_type, expected):
    assert read("a,1\nb,2\n", content_type) == expected


def test_numbers_under_a_declared_header():
    assert read("1,2\n3,4\n", b"text/csv;header=present") == Grid(["1", "2"], [[3, 4]])


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "cp1252", "utf-8"])
def test_the_charset_is_that_of_the_content_type(charset):
    content_type = f"text/csv; charset={charset}".encode()
    assert read("città,1\n".encode(charset), content_type) == Grid(None, [["città", 1]])


@pytest.mark.parametrize("charset", [b"rot13", b"punycode", b"\xff", b"hex"])
def test_a_charset_that_is_none_is_utf_8(charset):
    assert read("città,1\n", b"text/csv; charset=" + charset) == Grid(None, [["città", 1]])


def test_nan_and_infinity_are_numbers_and_the_rest_of_the_column_is_not_lost():
    nan, low, word = (row[0] for row in read("nan,a\n-inf,b\nx,c\n").rows)
    assert math.isnan(nan)
    assert (low, word) == (-math.inf, "x")


@pytest.mark.parametrize(
    "body",
    [b"a,b\n1,2,3\n", b"\n\n", b"1" * 5000 + b",a_b\n", b'"' + b"x" * 200_000 + b'"\n'],
    ids=["a line too long", "blank", "5000 digits", "a field too long"],
)
def test_a_malformed_table_is_refused(body):
    with pytest.raises(SkipError) as caught:
        read(body)
    assert caught.value.reason == Reason.UNREADABLE


@example([["1", "2", "3"], ["1", "null", "7"], ["4", "5", "null"]])
@example([["1", "2", "null"]])
@given(
    st.lists(st.lists(words | numbers.map(str), min_size=3, max_size=3), min_size=1, max_size=90)
)
def test_a_column_reads_as_each_of_its_cells_would(rows):
    grid = read(written(rows), b"text/csv; header=absent")
    for row, cells in zip(grid.rows, rows, strict=True):
        for value, cell in zip(row, cells, strict=True):
            assert str(value) == cell or float(value) == float(cell)


@pytest.mark.parametrize(
    "body",
    [",".join("abcde" * 60_000), "1,2\n" * 70_000, "," * 700_000],
    ids=["cells", "rows", "gaps"],
)
def test_more_than_a_request_has_is_refused(body):
    with pytest.raises(SkipError) as caught:
        read(body)
    assert caught.value.reason == Reason.TOO_MANY
