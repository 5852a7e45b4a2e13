"""Overhead: what the middleware itself adds to a request, measured on a few of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT = 1000
"samples"
EVERY_SECONDS = 1.0
"between samples: one costs its request about 20 us"


class Overhead:
    """Samples of the time that one request costs more, in seconds.

    Whoever knows the time calls `want`; then the next request is measured, and all others pay for
    one test of `is_wanted`.
    """

    def __init__(self) -> None:
        self.is_wanted = False
        self._samples: deque[float] = deque(maxlen=KEPT)
        self._next_at = 0.0

    def want(self, now: float) -> None:
        """Ask for a sample, if the last one is old enough."""
        if now >= self._next_at:
            self._next_at = now + EVERY_SECONDS
            self.is_wanted = True

    def measure(self, app: ASGIApp, receive: Receive) -> tuple[ASGIApp, Receive]:
        """Wrap the app and what it receives from, for one request that begins now.

        Counted is all that happens between the server and the app, but the time in which either of
        them is at work: awaited messages, and the sending of the server.
        """
        self.is_wanted = False
        began, waited = perf_counter(), 0.0

        async def awaited() -> Message:
            nonlocal waited
            asked = perf_counter()
            message = await receive()
            waited += perf_counter() - asked
            return message

        async def timed(scope: Scope, tee_receive: Receive, tee_send: Send) -> None:
            added = perf_counter() - began

            async def receive_timed() -> Message:
                nonlocal added
                asked = perf_counter()
                message = await tee_receive()
                added += perf_counter() - asked
                return message

            def send_timed(message: Message) -> Awaitable[None]:
                nonlocal added
                handed = perf_counter()
                sent = tee_send(message)  # hands back the server's own coroutine, not begun yet
                added += perf_counter() - handed
                return sent

            await app(scope, receive_timed, send_timed)
            self._samples.append(added - waited)

        return timed, awaited

    def percentiles(self) -> dict[str, float]:
        """Return the median and the 99th percentile in microseconds, once there are samples."""
        samples = sorted(self._samples.copy())
        if not samples:
            return {}
        last = len(samples) - 1
        return {
            name: round(samples[round(share * last)] * 1e6, 2)
            for name, share in (("p50", 0.5), ("p99", 0.99))
        }
