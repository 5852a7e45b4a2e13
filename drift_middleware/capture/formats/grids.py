"""Tables and arrays: CSV, .npy, Parquet, Arrow, and JSON Lines, which is one row a line."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.decoded import Decoded, content_type, shape
from drift_middleware.capture.records import CONTAINERS, kinds, unwrapped
from drift_middleware.schemas import Exchange, Rows

SIGNS = ((b"npy", b"\x93NUMPY"), (b"parquet", b"PAR1"), (b"arrow", b"ARROW1"))


def read_npy(decoded: Decoded) -> Rows | None:
    """Give a row for each of the first dimension; one dimension may be one row."""
    return _read(decoded, "npy")


def read_parquet(decoded: Decoded) -> Rows | None:
    """Give the rows by name."""
    return _read(decoded, "parquet")


def read_arrow(decoded: Decoded) -> Rows | None:
    """Give the rows by name."""
    return _read(decoded, "arrow")


def read_csv(decoded: Decoded) -> Rows | None:
    """Give the rows; whether the first line is a header, the number of answers may settle."""
    grid = _settled(decoded)
    return decoded.rows("csv", _rows(decoded, grid))


def read_lines(decoded: Decoded) -> Rows | None:
    """Give a row for each line."""
    lines = list(map(unwrapped, decoded.request))
    # A scalar on each line is a row of its own.
    shape(lines)
    return decoded.rows("jsonlines", lines)


def _read(decoded: Decoded, name: str) -> Rows | None:
    if not decoded.told and _kind(decoded.exchange) != name:
        return None
    return decoded.rows(name, _rows(decoded, decoded.request))


def _kind(exchange: Exchange) -> str:
    told = content_type(exchange.request_headers)
    for name, magic in SIGNS:
        if name in told or exchange.request_body.startswith(magic):
            return name.decode()
    return "csv"


def _rows(decoded: Decoded, grid: Grid) -> list[Any]:
    if grid.names is not None:
        names = grid.names
        return [dict(zip(names, row, strict=False)) for row in grid.rows]
    if grid.rows and kinds(grid.rows).isdisjoint(CONTAINERS):
        return decoded.settle(grid.rows)
    return grid.rows


def _settled(decoded: Decoded) -> Grid:
    """Take a header as a row, or the first row as the header, if only so the answers fit."""
    grid: Grid = decoded.request
    names, rows = grid.names, grid.rows
    if not rows or decoded.answers(len(rows)):
        return grid
    if names is not None and decoded.answers(len(rows) + 1):
        return Grid(None, [names, *rows])
    if names is None and len(rows) > 1 and decoded.answers(len(rows) - 1):
        return Grid(list(map(str, rows[0])), rows[1:])
    return grid
