"""Where rows, tallies, checks and detector state live, shared by every worker."""

from drift_middleware.buffer.packing import pack, pack_slices
from drift_middleware.buffer.reading import SqliteReader
from drift_middleware.buffer.rows import SqliteRows, Stretch
from drift_middleware.buffer.sqlite import SqliteStore
from drift_middleware.buffer.store import (
    Counted,
    DamagedError,
    Letter,
    Reader,
    Sliced,
    Store,
    Transaction,
)

__all__ = [
    "Counted",
    "DamagedError",
    "Letter",
    "Reader",
    "Sliced",
    "SqliteReader",
    "SqliteRows",
    "SqliteStore",
    "Store",
    "Stretch",
    "Transaction",
    "pack",
    "pack_slices",
]
