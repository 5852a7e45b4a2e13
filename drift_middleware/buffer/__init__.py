"""Where rows, tallies, checks and detector state live, shared by every worker."""

from drift_middleware.buffer.sqlite import SqliteStore
from drift_middleware.buffer.store import Store, Transaction

__all__ = ["SqliteStore", "Store", "Transaction"]
