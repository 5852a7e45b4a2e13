"""Inbox: the bounded queue between those who serve requests and the one thread that reads them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import chain
from random import random
from typing import TYPE_CHECKING, Any

from drift_middleware.schemas import Exchange, Rows
from drift_middleware.tee import Item, Seen, seen, template

if TYPE_CHECKING:
    from starlette.types import Message, Scope

PATIENCE = 10
"rounds without any traffic, after which the reader sleeps until it is woken"
OVERHEAD = 3000
"bytes that a waiting exchange takes beside its bodies, no less: with a dozen headers"
BARE, EACH = 800, 120
"bytes that one without headers takes, and a header beside its name and value"
WEIGH = -1
"in place of the limit past which headers are weighed: all are"


class Inbox:
    """A queue bounded by the bytes it holds, which wakes its reader only when that sleeps.

    Parameters
    ----------
    max_bytes
        Past it the newest item is dropped and counted.
    rouse
        Called when there is something for a reader that sleeps, or was never started.
    max_per_second
        Of more exchanges than this, a random sample is queued.
    """

    def __init__(
        self, max_bytes: int, rouse: Callable[[], None], max_per_second: float | None = None
    ) -> None:
        self.dropped = 0
        self.sampled_out = 0
        "left out at random"
        self._max_per_second = max_per_second
        self._share = 1.0
        self._marks: list[tuple[float, int]] = []  # moments, and how many had come by then
        self._taken = 0
        self._rouse = rouse
        self._max_bytes = max_bytes
        self._items: deque[Item] = deque()
        self._bytes = 0
        # To weigh headers costs a tenth of all that we add to a request, and while the reader only
        # gathers, few come: not then.
        self._limit = WEIGH
        self._excess: dict[int, int] = {}  # bytes over OVERHEAD of what waits, by `id`
        self._clear_at = 0.0
        self.moment = 0.0
        "by when all that was taken last had come"
        self._noted: deque[tuple[int, float]] = deque()
        self._number_noted = 0
        self._wake = threading.Event()
        self._is_idle = True
        self._is_urgent = False
        self._was_taken = False
        self._rounds_without = 0

    def see(
        self, scope: Scope, path: str, route: str | None, asked: Any, start: Message, answer: Any
    ) -> None:
        """Queue an exchange that went by, or count it dropped.  In the request: never waits.

        `route` is the template that the app matched, None if nobody looked yet.
        """
        item: Exchange | Seen | None = None
        size = 0
        try:
            body, answered = asked["body"], answer["body"]
            size = len(body) + len(answered) + OVERHEAD
            if not asked["more_body"]:
                item = Exchange(
                    scope["method"],
                    path,
                    template(scope) if route is None else route,
                    scope["query_string"],
                    # Tuples: the garbage collector, which stops the process to look through all
                    # that lives, forgets those that hold nothing but bytes.
                    tuple(scope["headers"]),  # type: ignore[arg-type]  # lists again in `unpack`
                    body,
                    start["status"],
                    tuple(start["headers"]),  # type: ignore[arg-type]
                    answered,
                )
        # In pieces, without a body, not read at all; or with headers that raise when gone through.
        except Exception:  # noqa: BLE001, S110
            pass
        if item is None:
            item = seen(scope, path, route, asked, start, answer)
            size = item.size + OVERHEAD
        # No lock: it costs a tenth of all that we add to a request.  Without one two threads that
        # serve requests may at worst miscount `_bytes`, which `take` sets right when it can.
        held = self._bytes + size
        if held > self._limit:
            excess = _excess(item)
            held += excess
            if held > self._max_bytes:
                self.dropped += 1
                return
            if excess:
                self._excess[id(item)] = excess
        self._bytes = held
        self._items.append(item)
        if self._is_idle:
            self._wake_up()

    def _see_some(self, *of_exchange: Any) -> None:
        """Do as `see`, for a share of the exchanges: whichever they are."""
        if random() < self._share:  # noqa: S311  # no secret
            Inbox.see(self, *of_exchange)
        else:
            self.sampled_out += 1

    def pace(self, now: float) -> None:
        """Set the share of exchanges that is queued, by how many came in the last second."""
        if self._max_per_second is None:
            return
        marks, came = self._marks, self._taken + len(self._items) + self.dropped + self.sampled_out
        marks.append((now, came))
        while marks[1:] and marks[1][0] <= now - 1.0:
            del marks[0]
        since, before = marks[0]
        rate = (came - before) / max(now - since, 1.0)
        self._share = min(self._max_per_second / rate, 1.0) if rate else 1.0
        # In place of a test in every request, where all are queued.
        if self._share < 1.0:
            self.see = self._see_some  # type: ignore[assignment]
        else:
            self.__dict__.pop("see", None)

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

    def take(self, limit: int, now: float) -> list[Item]:
        """Remove up to so many of the oldest items, of those that came by one `moment`."""
        items, self.moment = self._items, now
        if self._noted:
            number, self.moment = self._noted.popleft()
            limit = min(limit, number)
            if number > limit:
                self._noted.appendleft((number - limit, self.moment))
            self._number_noted -= limit
        self._was_taken |= bool(items)
        taken = [items.popleft() for _ in range(min(limit, len(items)))]
        self._taken += len(taken)
        if items:
            self._bytes -= OVERHEAD * len(taken)
            self._bytes -= sum(item.size for item in taken if not isinstance(item, Rows))
            self._bytes -= sum(self._excess.pop(id(item), 0) for item in taken)
        else:
            self._excess.clear()
            self._bytes = 0
            self._clear_at = now
        return taken

    def note(self, now: float) -> None:
        """Note that all that waits had come by now: it cannot be taken yet."""
        new = len(self._items) - self._number_noted
        if new:
            self._noted.append((new, now))
            self._number_noted += new

    def caught_up(self, now: float) -> None:
        """Note that all that waited then was taken since."""
        self._clear_at = now

    def hurry(self) -> None:
        """Wake the reader at once."""
        self._is_urgent = True
        self._wake_up()

    def wait(self, idle: float, gather: float) -> None:
        """Sleep for `gather` seconds; when nothing came for a while, up to `idle` till it does.

        To wake a thread costs a request 20 us and more: while there is traffic, nobody does.
        """
        # Not where what came before could not be taken yet: that may last.
        self._limit = WEIGH if self._noted else self._max_bytes
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
        self._limit = WEIGH  # the buffer may be locked for seconds

    def rest(self) -> None:
        """Note that the reader has gone: the next item calls for one."""
        self._is_idle = True

    def lag_seconds(self, now: float) -> float:
        """Return how long something may have waited: since all that there was had been taken."""
        return max(now - self._clear_at, 0.0) if self._items else 0.0

    def _wake_up(self) -> None:
        self._is_idle = False
        self._wake.set()
        self._rouse()


def _excess(item: Exchange | Seen) -> int:
    """Return the bytes that the headers of an exchange take beyond what any is taken to weigh."""
    exchange = item.exchange if isinstance(item, Seen) else item
    headers = (exchange.request_headers, exchange.response_headers)
    # What is neither can be gone through once, maybe.
    if not all(isinstance(each, list | tuple) for each in headers):
        return 0
    try:
        size = sum(map(len, chain.from_iterable(chain(*headers))))
    except TypeError:  # what an app says is not always bytes
        return 0
    return max(BARE + EACH * sum(map(len, headers)) + size - OVERHEAD, 0)
