"""Inbox: the bounded queue between those who serve requests and the one thread that reads them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from drift_middleware.schemas import Exchange, Rows

MAX_ITEMS = 50_000


class Item(Protocol):
    """Something that becomes rows, later and elsewhere."""

    at: float
    "arrival, seconds since the epoch"
    size: int
    "bytes that it holds"

    def unpack(self) -> Exchange | Rows:
        """Give what it holds.  Called once, on the thread."""
        ...


class Inbox:
    """A queue with two bounds, which wakes its reader only when that sleeps.

    Parameters
    ----------
    max_bytes
        Bodies that may wait.  Past it, or past `MAX_ITEMS`, the newest item is dropped and counted.
    """

    def __init__(self, max_bytes: int) -> None:
        self.dropped = 0
        self._max_bytes = max_bytes
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_idle = False
        self._is_urgent = False

    def put(self, item: Item) -> None:
        """Queue an item, or count it dropped.  Never waits for the reader, never raises."""
        with self._lock:
            if self._bytes + item.size > self._max_bytes or len(self._items) >= MAX_ITEMS:
                self.dropped += 1
                return
            self._items.append(item)
            self._bytes += item.size
            if self._is_idle:
                self._is_idle = False
                self._wake.set()

    def take(self, limit: int) -> list[Item]:
        """Remove up to so many of the oldest items."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            self._bytes -= sum(item.size for item in taken)
        return taken

    def hurry(self) -> None:
        """Wake the reader at once."""
        with self._lock:
            self._is_urgent = True
            self._is_idle = False
        self._wake.set()

    def wait(self, idle: float, gather: float) -> None:
        """Sleep until there is something, `idle` seconds at most; then let more come for `gather`.

        A wake-up costs the server's thread 20 us: one for a whole handful of requests is cheap.
        """
        with self._lock:
            self._is_idle = not self._items and not self._is_urgent
            is_idle = self._is_idle
        if is_idle:
            self._wake.wait(idle)
            self._wake.clear()
        if not self._is_urgent and self._items:
            self._wake.wait(gather)
            self._wake.clear()
        with self._lock:
            self._is_urgent = self._is_idle = False

    def lag_seconds(self, now: float) -> float:
        """Return the age of the oldest item."""
        with self._lock:
            return max(now - self._items[0].at, 0.0) if self._items else 0.0
