"""Where rows, tallies, checks and detector state live, shared by every worker."""

from drift_middleware.buffer.packing import pack, pack_slices
from drift_middleware.buffer.reading import SqliteReader
from drift_middleware.buffer.sqlite import SqliteStore
from drift_middleware.buffer.store import (
    Counted,
    Letter,
    Reader,
    Sliced,
    Store,
    Transaction,
)

__all__ = [
    "Counted",
    "Letter",
    "Reader",
    "Sliced",
    "SqliteReader",
    "SqliteStore",
    "Store",
    "Transaction",
    "pack",
    "pack_slices",
]
