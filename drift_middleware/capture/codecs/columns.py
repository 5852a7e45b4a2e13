"""Tables by column: Parquet and Arrow IPC, where pyarrow is installed.

A few bytes of these can stand for millions of values or of copies of one long text.  So they are
counted before they are made, and columns of types that could hide them are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.codecs.declared import Declared
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import bounded

PARQUET = b"PAR1"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"
# A value becomes an object of four times its size.
BYTES_A_VALUE = 8

# Types by the names that pyarrow prints: values of a few bytes, texts, and lists of numbers.
NUMBER = r"(?:u?int\d+|halffloat|float|double)"
TIME = r"(?:date\d+|time\d+|timestamp)\[.*\]"
DECIMAL = r"decimal\d+\(.*\)"
TEXT = r"(?:large_)?(?:string|binary)"
FLAT = rf"(?:{NUMBER}|{TIME}|{DECIMAL}|{TEXT}|fixed_size_binary\[\d+\]|bool|null)"
VECTOR = rf"(?:large_|fixed_size_)?list<[^:<>]*: {NUMBER}(?: not null)?>(?:\[\d+\])?"
_is_read = re.compile(rf"{FLAT}|{VECTOR}|dictionary<values={FLAT}, .*>").fullmatch
_is_vector = re.compile(VECTOR).fullmatch
_is_text = re.compile(TEXT).fullmatch
_is_plain = re.compile(rf"{NUMBER}|bool").fullmatch
_is_time = re.compile(TIME).fullmatch
_is_decimal = re.compile(DECIMAL).fullmatch
_bytes_each = re.compile(r"fixed_size_binary\[(\d+)\]").fullmatch
# What pandas writes beside the columns.
_is_index = re.compile(r"__index_level_\d+__").fullmatch


@contextmanager
def _arrow() -> Iterator[None]:
    """Refuse what Arrow refuses, in a function that this decorates."""
    import pyarrow as pa  # type: ignore[import-untyped]  # it has no types

    try:
        yield
    except pa.ArrowException:
        raise SkipError(Reason.UNREADABLE) from None


@_arrow()
def read_parquet(body: bytes, said: Declared) -> Grid:
    """Decode the flat columns of a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    # To ask for the metadata of one column of a damaged file ends the process: pyarrow has no
    # handler there.  So those of the row groups must do.
    meta = parquet.read_metadata(pa.BufferReader(body))
    groups = list(map(meta.row_group, range(meta.num_row_groups)))
    _bound(0, sum(group.total_byte_size for group in groups), said.limit)
    schema = meta.schema.to_arrow_schema()
    kinds = {field.name: str(field.type) for field in schema if _is_column(field)}
    names = [name for name, kind in kinds.items() if not _is_vector(kind)]
    wide = sum(int(found[1]) for kind in kinds.values() if (found := _bytes_each(kind)))
    if not names:
        raise SkipError(Reason.UNREADABLE)
    most = said.limit // (BYTES_A_VALUE * len(names) + wide)
    # Texts stay in their dictionary: each is made once, however many rows have it.
    texts = [name for name in names if _is_text(kinds[name])]
    file = parquet.ParquetFile(pa.BufferReader(body), read_dictionary=texts)
    # What the file says of its rows need not be true: one more than may be is all that is read.
    batches = []
    rows = 0
    for batch in file.iter_batches(most + 1, columns=names, use_threads=False):
        rows += batch.num_rows
        if rows > most:
            raise SkipError(Reason.TRUNCATED)
        batches.append(batch)
    return _grid(pa.Table.from_batches(batches)) if batches else Grid(names, [])


@_arrow()
def read_arrow(body: bytes, said: Declared) -> Grid:
    """Decode the columns of an Arrow IPC stream or file."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(use_threads=False)
    if body.startswith(ARROW_FILE):
        file = pa.ipc.open_file(body, options=options)
        found = map(file.get_batch, range(file.num_record_batches))
        schema = file.schema
    else:
        found = stream = pa.ipc.open_stream(body, options=options)
        schema = stream.schema
    batches = []
    values = size = 0
    for batch in found:
        values += batch.num_rows * max(1, batch.num_columns)
        size += batch.get_total_buffer_size()
        _bound(values, size, said.limit)
        # Offsets may point anywhere: to look at a value, or even to ask for `nbytes`, is a crash.
        batch.validate(full=True)
        batches.append(batch)
    places = [i for i, field in enumerate(schema) if _is_column(field)]
    if not places:
        raise SkipError(Reason.UNREADABLE)
    return _grid(pa.Table.from_batches(batches, schema).select(places))


def _bound(values: int, size: int, limit: int) -> None:
    if size > limit or values * BYTES_A_VALUE > limit:
        raise SkipError(Reason.TRUNCATED)


def _is_column(field: Any) -> bool:
    return bool(_is_read(str(field.type))) and not _is_index(field.name)


def _grid(table: Any) -> Grid:
    bounded(table.num_rows)
    columns = map(_values, table.columns)
    return Grid(list(table.column_names), list(map(list, zip(*columns, strict=True))))


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    kind = str(column.type)
    if _is_text(kind) or (_is_plain(kind) and not column.null_count):
        # An object each, in a tenth of the time that `to_pylist` takes.
        return list(column.to_numpy(zero_copy_only=False).tolist())
    if kind.startswith("dictionary"):
        return [value for chunk in column.chunks for value in _looked_up(chunk)]
    if _is_decimal(kind):
        column = column.cast(pa.float64())
    elif _is_time(kind):
        # Nanoseconds would need pandas.
        column = column.cast(pa.string())
    return list(column.to_pylist())


def _looked_up(chunk: Any) -> list[Any]:
    import pyarrow as pa

    known = _values(pa.chunked_array([chunk.dictionary]))
    return [None if place is None else known[place] for place in chunk.indices.to_pylist()]
