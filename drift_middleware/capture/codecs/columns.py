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
    """Decode the columns of a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    meta = parquet.read_metadata(pa.BufferReader(body))
    texts = []
    values = size = 0
    for group in map(meta.row_group, range(meta.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            values += abs(column.num_values)
            size += abs(column.total_uncompressed_size)
            if column.physical_type == "BYTE_ARRAY":
                texts.append(column.path_in_schema)
    _bound(values, size, said.limit)
    # Texts stay in their dictionary: each is made once, however many rows have it.
    file = parquet.ParquetFile(pa.BufferReader(body), read_dictionary=list(dict.fromkeys(texts)))
    widths = [
        int(found[1]) for kind in file.schema_arrow.types if (found := _bytes_each(str(kind)))
    ]
    _bound(values, sum(widths) * meta.num_rows, said.limit)
    names = [field.name for field in file.schema_arrow if _is_column(field)]
    return _grid(file.read(columns=names, use_threads=False))


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
    names = [i for i, field in enumerate(schema) if _is_column(field)]
    return _grid(pa.Table.from_batches(batches, schema).select(names))


def _bound(values: int, size: int, limit: int) -> None:
    if size > limit or values * BYTES_A_VALUE > limit:
        raise SkipError(Reason.TRUNCATED)


def _is_column(field: Any) -> bool:
    return bool(_is_read(str(field.type))) and not _is_index(field.name)


def _grid(table: Any) -> Grid:
    columns = map(_values, table.columns)
    return Grid(list(table.column_names), list(map(list, zip(*columns, strict=True))))


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    kind = str(column.type)
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
