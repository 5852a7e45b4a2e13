"""Inbox: the bounded queue between those who serve requests and the one thread that reads them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drift_middleware.schemas import Rows
from drift_middleware.tee import Seen, weigh

if TYPE_CHECKING:
    from starlette.types import Message, Scope

PATIENCE = 10
"rounds without any traffic, after which the reader sleeps until it is woken"
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
        self._was_taken = False
        self._rounds_without = 0

    def see(
        self, scope: Scope, path: str, route: str, asked: Any, start: Message, answer: Any
    ) -> None:
        """Queue an exchange that went by, or count it dropped.  In the request: never waits."""
        try:
            query, headers = scope["query_string"], scope["headers"]
            size = len(asked["body"]) + len(answer["body"]) + OVERHEAD
        except (KeyError, TypeError):  # in pieces, without a body, or not read at all
            query, headers = scope.get("query_string", b""), scope.get("headers", ())
            size = weigh(asked) + weigh(answer) + OVERHEAD
        # No lock: it costs a tenth of all that we add to a request.  Without one two threads that
        # serve requests may at worst miscount `_bytes`, which `take` sets right when it can.
        held = self._bytes + size
        if held > self._max_bytes:
            self.dropped += 1
            return
        self._bytes = held
        self._items.append(
            Seen(
                scope["method"],
                path,
                route,
                query,
                headers,
                asked,
                start,
                answer,
                size,
            )
        )
        if self._is_idle:
            self._wake_up()

    def put(self, rows: Rows) -> None:
        """Queue what is rows already, or the reason why there are none, or count it dropped."""
        if self._bytes + OVERHEAD > self._max_bytes:
            self.dropped += 1
            return
        self._bytes += OVERHEAD
        self._items.append(rows)
        if self._is_idle:
            self._wake_up()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Say whether what comes next would be dropped, and room can be waited for."""
        return bool(self._items) and self._bytes + OVERHEAD > self._max_bytes

    def take(self, limit: int, now: float) -> list[Seen | Rows]:
        """Remove up to so many of the oldest items."""
        items = self._items
        self._was_taken |= bool(items)
        taken = [items.popleft() for _ in range(min(limit, len(items)))]
        self._bytes -= sum(item.size if isinstance(item, Seen) else OVERHEAD for item in taken)
        if not items:
            self._bytes = 0
            self._emptied_at = now
        return taken

    def hurry(self) -> None:
        """Wake the reader at once."""
        self._is_urgent = True
        self._wake_up()

    def wait(self, idle: float, gather: float) -> None:
        """Sleep for `gather` seconds; when nothing came for a while, up to `idle` till it does.

        To wake a thread costs a request 20 us and more: while there is traffic, nobody does.
        """
        self._rounds_without = 0 if self._was_taken else self._rounds_without + 1
        self._was_taken = False
        if self._rounds_without > PATIENCE:
            self._is_idle = True
            # Looked at after the flag is up: what comes in between finds it, or is seen here.
            if not self._items and not self._is_urgent:
                self._wake.wait(idle)
            self._is_idle = False
            self._wake.clear()
        if not self._is_urgent:
            self._wake.wait(gather)
        self._wake.clear()
        self._is_urgent = False

    def rest(self) -> None:
        """Note that the reader has gone: the next item calls for one."""
        self._is_idle = True

    def lag_seconds(self, now: float) -> float:
        """Return how long something may have waited: since the queue was last found empty."""
        return max(now - self._emptied_at, 0.0) if self._items else 0.0

    def _wake_up(self) -> None:
        self._is_idle = False
        self._wake.set()
        self._rouse()
