import datetime
import decimal
import io
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError


def parquet(table, **options):
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def arrow(table, new=pa.ipc.new_stream, batch=None, **options):
    stream = io.BytesIO()
    with new(stream, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, batch)
    return stream.getvalue()


WRITERS = {
    "parquet": parquet,
    "parquet, no dictionary": lambda table: parquet(table, use_dictionary=False),
    "parquet, gzip": lambda table: parquet(table, compression="gzip"),
    "arrow stream": lambda table: arrow(table, batch=3),
    "arrow file": lambda table: arrow(table, pa.ipc.new_file, batch=3),
    "arrow, lz4": lambda table: arrow(table, compression="lz4"),
}
COLUMNS = {
    "double": (pa.float64(), st.floats(allow_nan=False)),
    "int": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "unsigned": (pa.uint8(), st.integers(0, 255)),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]))),
    "category": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from("abc")),
    "bytes": (pa.binary(), st.binary()),
    "vector": (pa.list_(pa.float64()), st.lists(st.floats(allow_nan=False))),
}


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 8))
    columns = {}
    for name in draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, unique=True)):
        kind, values = COLUMNS[name]
        held = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[name] = pa.array(held, kind)
    return pa.table(columns)


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=30)
@given(table=tables())
def test_a_table_comes_back(writer, table):
    if writer.startswith("parquet"):
        # A list there may hold a billion values in a few bytes.
        table = table.select([name for name in table.column_names if name != "vector"])
        assume(table.column_names)
    found = decode(WRITERS[writer](table), [])
    rows = [list(row.values()) for row in table.to_pylist()]
    assert found == Grid(table.column_names, rows)


@pytest.mark.parametrize("writer", WRITERS)
def test_times_and_decimals_become_what_json_has_for_them(writer):
    day = datetime.date(2026, 1, 2)
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "day": pa.array([day, None]),
            "at": pa.array([now, now], pa.timestamp("ns", "UTC")),
            "price": pa.array([decimal.Decimal("1.50"), None]),
        }
    )
    rows = decode(WRITERS[writer](table), []).rows
    assert rows[0] == ["2026-01-02", "2026-01-02 03:04:05.000000000Z", 1.5]
    assert rows[1] == [None, "2026-01-02 03:04:05.000000000Z", None]


def test_columns_of_other_types_and_the_index_of_pandas_are_left_out():
    table = pa.table(
        {
            "a": [1, 2],
            "nested": [{"b": 1}, {"b": 2}],
            "texts": [["x"], ["y"]],
            "__index_level_0__": [7, 8],
        }
    )
    assert decode(parquet(table), []) == Grid(["a"], [[1], [2]])
    assert decode(arrow(table), []) == Grid(["a"], [[1], [2]])


def test_a_table_without_a_column_that_is_read_is_refused():
    table = pa.table({"nested": [{"b": 1}]})
    for body in (parquet(table), arrow(table)):
        with pytest.raises(SkipError) as caught:
            decode(body, [])
        assert caught.value.reason == Reason.UNREADABLE


def test_half_precision_is_read():
    table = pa.table({"a": pa.array(np.array([0.5, 2], np.float16))})
    assert decode(arrow(table), []) == Grid(["a"], [[0.5], [2.0]])


def zeros():
    return pa.table({"a": np.zeros(10**6, np.int64)})


def copies():
    text = pa.array(["x" * 10**5])
    return pa.table({"a": pa.DictionaryArray.from_arrays(np.zeros(10**6, np.int8), text)})


BOMBS = {
    "rows": lambda: parquet(zeros(), compression="gzip"),
    "wide": lambda: parquet(pa.table({"a": pa.array([b"x" * 10**4] * 1000, pa.binary(10**4))})),
    "copies": lambda: parquet(copies(), compression="gzip"),
    "nulls": lambda: arrow(pa.table({"a": pa.nulls(10**9)})),
    "zeros": lambda: arrow(zeros(), compression="zstd"),
    "dictionary in each batch": lambda: arrow(copies().slice(0, 1000), batch=10),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_unfolds_to_too_much_is_refused_before_it_does(bomb):
    with pytest.raises(SkipError) as caught:
        decode(BOMBS[bomb](), [])
    assert caught.value.reason == Reason.TRUNCATED


def test_a_long_text_in_many_rows_is_made_once():
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 1000), pa.array(["x" * 100_000]))
    found = decode(parquet(pa.table({"a": rows}), compression="gzip"), []).rows
    assert len({id(row[0]) for row in found}) == 1


@pytest.mark.parametrize("body", [parquet(pa.table({"a": [1]})), arrow(pa.table({"a": [1]}))])
def test_without_pyarrow_these_types_are_not_supported(monkeypatch, body):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SkipError) as caught:
        decode(body, [(b"content-type", b"application/vnd.apache.parquet")])
    assert caught.value.reason == Reason.CONTENT_TYPE


@pytest.mark.parametrize("body", [parquet(pa.table({"a": [1]})), arrow(pa.table({"a": [1]}))])
def test_a_body_cut_short_is_refused(body):
    with pytest.raises(SkipError) as caught:
        decode(body[:-60], [(b"content-type", b"application/vnd.apache.parquet")])
    assert caught.value.reason == Reason.UNREADABLE
