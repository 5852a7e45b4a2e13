"""Writers: captured rows, batch by batch, as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import starmap
from typing import IO, Any, Protocol

from drift_middleware.period import written

Rows = Sequence[tuple[float, tuple[Any, ...]]]
"when each came, and its values"

# What spreadsheets take for a formula, or cut away before one (OWASP, CSV Injection); some take the
# full-width forms, too.
FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


class Writer(Protocol):
    """Where rows go."""

    def write(self, rows: Rows) -> None:
        """Add some."""
        ...

    def close(self) -> None:
        """Write the rest; the stream stays open."""
        ...


class CsvWriter:
    """CSV, UTF-8.  Unless it is to be `raw`, no text in it is a formula."""

    def __init__(self, stream: IO[bytes], names: Sequence[str], *, raw: bool) -> None:
        # Closed by hand: a wrapper that is collected would close the stream.
        self._text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=True)
        self._lines = csv.writer(self._text)  # whose lines end as RFC 4180 has it
        self._cell = _as_text if raw else _harmless
        self._lines.writerow(map(self._cell, names))

    def write(self, rows: Rows) -> None:
        """Add some."""
        cell = self._cell
        self._lines.writerows([_time(at), *map(cell, values)] for at, values in rows)

    def close(self) -> None:
        """Write the rest."""
        self._text.flush()
        self._text.detach()


class JsonWriter:
    """JSON Lines: an object a row."""

    def __init__(self, stream: IO[bytes], names: Sequence[str]) -> None:
        self._stream = stream
        self._names = names

    def write(self, rows: Rows) -> None:
        """Add some."""
        self._stream.writelines(starmap(self._line, rows))

    def close(self) -> None:
        """Write the rest."""
        self._stream.flush()

    def _line(self, at: float, values: tuple[Any, ...]) -> bytes:
        # Not msgspec's own JSON: to it, an infinity is null.
        row = dict(zip(self._names, [_time(at), *map(_plain, values)], strict=True))
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


class ParquetWriter:
    """Parquet: each column of one type, that of all its values.

    Parameters
    ----------
    kinds
        What each column holds, of `integer`, `real`, `text` and `blob`.

    Raises
    ------
    ImportError
        There is no pyarrow.
    """

    def __init__(
        self, stream: IO[bytes], names: Sequence[str], kinds: Sequence[Iterable[str]]
    ) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]  # it has no types
        from pyarrow import parquet

        types = [pa.timestamp("ms", tz="UTC"), *(_type({*kind}) for kind in kinds)]
        self._schema = pa.schema(list(zip(names, types, strict=True)))
        self._writer = parquet.ParquetWriter(stream, self._schema)

    def write(self, rows: Rows) -> None:
        """Add some."""
        import pyarrow as pa

        times = [round(at * 1000) for at, _ in rows]
        columns = [times, *map(list, zip(*(values for _, values in rows), strict=True))]
        arrays = [
            pa.array(_suited(column, kind), kind)
            for column, kind in zip(columns, self._schema.types, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the rest."""
        self._writer.close()


def _time(at: float) -> str:
    return written(datetime.fromtimestamp(at, UTC))


def _harmless(value: Any) -> Any:
    text = _as_text(value)
    return f"'{text}" if isinstance(value, str) and FORMULA.match(value) else text


def _as_text(value: Any) -> Any:
    return json.dumps(_plain(value)) if isinstance(value, bytes) else value


def _plain(value: Any) -> Any:
    """Give a vector as numbers, each as short as it can be; all else is plain."""
    if not isinstance(value, bytes):
        return value
    import numpy as np

    return [float(str(number)) for number in np.frombuffer(value, np.float32)]


def _type(kinds: set[str]) -> Any:
    """Find the type that holds all values of a column; only text holds those of several kinds."""
    import pyarrow as pa

    if kinds == {"blob"}:
        return pa.list_(pa.float32())
    if kinds == {"integer"}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {"integer", "real"} else pa.string()


def _suited(column: list[Any], kind: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return [_plain(value) for value in column]
    if pa.types.is_string(kind):
        return [_spelt(value) for value in column]
    return column


def _spelt(value: Any) -> str | None:
    """Spell a value as a level of its column is spelt."""
    from drift_middleware.drift.levels import level

    return value if isinstance(value, str) else level(_as_text(value), None)
