"""Inbox: the bounded queue between those who serve requests and the one thread that reads them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from drift_middleware.schemas import Rows
from drift_middleware.tee import Seen

OVERHEAD = 1000
"bytes that a waiting exchange takes beside its bodies"


class Inbox:
    """A queue bounded by the bytes it holds, which wakes its reader only when that sleeps.

    Parameters
    ----------
    max_bytes
        Past it the newest item is dropped and counted.
    rouse
        Called when there is something for a reader that sleeps, or was never started.
    """

    def __init__(self, max_bytes: int, rouse: Callable[[], None]) -> None:
        self.dropped = 0
        self._rouse = rouse
        self._max_bytes = max_bytes
        self._items: deque[Seen | Rows] = deque()
        self._bytes = 0
        self._emptied_at = 0.0
        self._wake = threading.Event()
        self._is_idle = True
        self._is_urgent = False

    def put(self, item: Seen | Rows) -> None:
        """Queue an exchange, or what is rows already, or count it dropped.  Never waits."""
        # No lock: it costs a tenth of all that we add to a request.  Without one two threads that
        # serve requests may at worst miscount `_bytes`, which `take` sets right when it can.
        held = self._bytes + item.size + OVERHEAD
        if held > self._max_bytes:
            self.dropped += 1
            return
        self._bytes = held
        self._items.append(item)
        if self._is_idle:
            self._is_idle = False
            self._wake.set()
            self._rouse()

    def take(self, limit: int, now: float) -> list[Seen | Rows]:
        """Remove up to so many of the oldest items."""
        items = self._items
        taken = [items.popleft() for _ in range(min(limit, len(items)))]
        self._bytes -= sum(item.size + OVERHEAD for item in taken)
        if not items:
            self._bytes = 0
            self._emptied_at = now
        return taken

    def hurry(self) -> None:
        """Wake the reader at once."""
        self._is_urgent = True
        self._is_idle = False
        self._wake.set()
        self._rouse()

    def wait(self, idle: float, gather: float) -> None:
        """Sleep until there is something, `idle` seconds at most; then let more come for `gather`.

        To wake a thread costs the server 20 us: once for a handful of requests is cheap.
        """
        self._is_idle = True
        # Looked at after the flag is up: what comes in between finds it, or is seen here.
        if not self._items and not self._is_urgent:
            self._wake.wait(idle)
        self._is_idle = False
        self._wake.clear()
        if self._items and not self._is_urgent:
            self._wake.wait(gather)
            self._wake.clear()
        self._is_urgent = False

    def lag_seconds(self, now: float) -> float:
        """Return how long something may have waited: since the queue was last found empty."""
        return max(now - self._emptied_at, 0.0) if self._items else 0.0
