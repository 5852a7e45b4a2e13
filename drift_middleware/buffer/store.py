"""What a buffer must be able to do, whichever database holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from drift_middleware.errors import StoreError
from drift_middleware.schemas import Alert, Check, Role, Tally


class Counted(NamedTuple):
    """What one check counted."""

    number: int
    at: str
    requests: int
    rows: int
    counts: NDArray[np.integer[Any]]
    "(n,) one for each place of the layout of all signals"


class Sliced(NamedTuple):
    """What a replay needs of one check."""

    check: Check
    fingerprint: str
    slices: NDArray[np.integer[Any]]
    "(slices, n) the counts of each time slice, oldest first"
    captured: dict[str, Role]
    "the columns that traffic had shown by then"


class Letter(NamedTuple):
    """An alert on its way to one target: whoever has it may send it, until its lease ends."""

    id: int
    target: str
    payload: bytes
    attempts: int
    "this one included"
    at: float
    "when it was queued"


class DamagedError(StoreError):
    """The database was damaged, and was set aside: the next attempt begins another.

    Parameters
    ----------
    message
        What was damaged, and where it is now.
    remains
        Reads what is left of it; raises StoreError where that is too little.
    """

    def __init__(
        self, message: str, remains: Callable[[], AbstractContextManager[Transaction]]
    ) -> None:
        super().__init__(message)
        self.remains = remains


class Transaction(Protocol):
    """Everything that one flush does, or nothing of it.  One writer at a time, of all processes."""

    def get(self, key: str) -> bytes | None:
        """Read a piece of shared state."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Write a piece of shared state."""
        ...

    def count(self, counters: Mapping[str, int]) -> None:
        """Add to the counters."""
        ...

    def append_rows(
        self,
        at: Sequence[float],
        columns: Mapping[str, Sequence[Any]],
        types: Mapping[str, str] | None = None,
    ) -> None:
        """Keep rows, a list per column; a column that was never seen is added.

        `types` names those whose values are all `REAL` (or None) or all `TEXT`, now and later.
        """
        ...

    def last_row(self) -> int:
        """Return the number of the newest row, 0 if there never was one."""
        ...

    def read_rows(self, names: Sequence[str], after: int, limit: int) -> dict[str, list[Any]]:
        """Read the oldest rows numbered above `after`, a list per column that was ever kept."""
        ...

    def read_times(self, after: int, limit: int) -> list[float]:
        """Read when those rows arrived, seconds since the epoch."""
        ...

    def trim_rows(self) -> None:
        """Delete the oldest rows, beyond those that are kept."""
        ...

    def append_tallies(self, tallies: Sequence[Tally]) -> None:
        """Keep tallies for the next check."""
        ...

    def pending(self) -> tuple[int, int]:
        """Return the requests and rows tallied since the last check."""
        ...

    def pending_tallies(self) -> dict[str, list[Tally]]:
        """Return the tallies since the last check by segment, one per time slice, oldest first."""
        ...

    def forget_tallies(self) -> None:
        """Drop the tallies since the last check: their cells are not the baseline's any more."""
        ...

    def append_check(
        self, check: Check, fingerprint: str, counts: bytes, signals: bytes, slices: bytes
    ) -> None:
        """Write a check into the history, drop its tallies, and keep to the retention.

        `counts` and `slices` are as `pack` and `pack_slices` make them.
        """
        ...

    def last_check_number(self) -> int:
        """Return the number of the newest check, 0 if there never was one."""
        ...

    def put_baseline(self, fingerprint: str, source: str, document: bytes) -> None:
        """Keep a baseline, so that the history that used it can still be read."""
        ...

    def get_baseline(self, fingerprint: str) -> bytes | None:
        """Read a kept baseline."""
        ...

    def counters(self) -> dict[str, int]:
        """Read all counters."""
        ...

    def queue_alert(self, alert: Alert, targets: Sequence[str], at: float) -> None:
        """Queue an alert for each target, and forget what was settled long ago."""
        ...

    def give_up_alerts(self, before: float) -> int:
        """Give up those queued before that time, and the oldest of too many; say how many."""
        ...

    def claim_alert(self, targets: Sequence[str], now: float, until: float) -> Letter | None:
        """Take one that is due, the oldest of its target; until then nobody else gets it."""
        ...

    def settle_alert(
        self, letter: Letter, outcome: str | None, error: str | None, next_at: float
    ) -> bool:
        """Note what became of one: an outcome, or when to try again.

        Says whether the claim still held; if not, nothing is noted.
        """
        ...

    def pending_alerts(self, targets: Sequence[str]) -> tuple[int, float | None, str | None]:
        """Return how many wait, when one of these targets' is due, and the newest error."""
        ...


class Reader(Protocol):
    """What can be read of a buffer while others write.  From any thread; raises StoreError."""

    def size(self) -> int:
        """Return the bytes that the buffer takes; never raises."""
        ...

    def history(self, limit: int, before: int | None = None) -> list[Check]:
        """Read the newest checks (numbered below `before`), newest first."""
        ...

    def signal_history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Read what the newest checks said of one signal, newest first."""
        ...

    def counted(self, since: str, until: str | None = None) -> Iterator[Counted]:
        """Read what the checks of some time counted, oldest first; times as in `Check.at`."""
        ...

    def sliced(self) -> Iterator[Sliced]:
        """Read what a replay needs of every check, oldest first."""
        ...

    def get(self, key: str) -> bytes | None:
        """Read a piece of shared state."""
        ...

    def get_baseline(self, fingerprint: str) -> bytes | None:
        """Read a kept baseline."""
        ...


class Store(Reader, Protocol):
    """A buffer.  Every method raises StoreError, and only that, when the database fails."""

    def open(self) -> None:
        """Connect, and create or migrate the tables.  Safe from any number of processes at once."""
        ...

    def close(self) -> None:
        """Let go of the connection; `open` may follow."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin to write; commit at the end of the block, roll back on an exception.

        A closed store opens itself.  One whose database was removed or replaced says so, once.
        """
        ...

    def is_changed(self) -> bool:
        """Say whether others wrote since the last transaction.  Opens, and refuses, as above."""
        ...
