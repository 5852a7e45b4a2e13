"""DriftMiddleware, the ASGI door: tee the bytes, stamp the headers, hand `/_drift` over.

Inside the request it keeps references and queues them; reading, counting and writing are the
monitor's, on its own thread.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from drift_middleware.config import Config
from drift_middleware.logger import LOGGER
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Headers, Rows
from drift_middleware.tee import CAPTURED_METHODS, gather, is_complete, is_queued, template
from drift_middleware.web import Routes
from drift_middleware.web.effect import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OURS = frozenset((b"x-drift-severity", b"x-drift-data", b"x-drift-prediction", b"x-drift-check"))
MAX_PATHS = 10_000
UNKNOWN = (-1, None)

RAISED = "the app raised"
HUNG_UP = "cancelled"
NO_ANSWER = "no answer"


class DriftMiddleware:
    """Watch the traffic of an ASGI app for drift.

        app.add_middleware(DriftMiddleware, baseline="baseline.csv")

    Parameters
    ----------
    app
        Any ASGI application.
    options
        As in `Config`; those not given come from `DRIFT_*` variables and `drift.toml`.

    Raises
    ------
    ConfigError, BaselineError, StoreError
        At construction, which frameworks do at start or at their first request.
    """

    # By position for type checkers, whose `add_middleware` has it so; Starlette before 0.41 gives
    # it by name.
    if TYPE_CHECKING:

        def __init__(self, app: ASGIApp, /, **options: Any) -> None: ...

    else:

        def __init__(self, app: ASGIApp, **options: Any) -> None:
            self._set_up(app, options)

    def _set_up(self, app: ASGIApp, options: dict[str, Any]) -> None:
        self.app = app
        try:
            config = Config.load(**options)
            self.monitor = Monitor(config)
        except Exception:
            # Some servers take an exception at start for "no lifespan" and go on: leave a trace.
            LOGGER.critical("not started", exc_info=True, extra={"event": "not started"})
            raise
        self._is_enabled = config.enabled
        self._overhead = self.monitor.overhead
        self._routes = Routes(
            self.monitor,
            route=config.route,
            token=config.token,
            policy=Policy(config.policy, config.thresholds),
        )
        patterns = "|".join(translate(pattern) for pattern in config.paths)
        self._pattern = re.compile(patterns) if patterns else None
        # Paths that are captured, as they come, with how many headers their answers have and the
        # template that the app matched: one look-up in the request decides it all.
        self._captured: dict[str, tuple[int, str | None]] = {}

    async def __call__(  # noqa: C901, PLR0912, PLR0915  # one request, with no call that it can spare
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one connection."""
        if not self._is_enabled:
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._pass(scope, receive, send)
            return
        monitor, app = self.monitor, self.app
        if self._overhead.is_wanted and scope["path"] in self._captured:
            app, receive = self._overhead.measure(app, receive)
        try:
            scope["state"]["drift"] = monitor
        except KeyError:
            scope["state"] = {"drift": monitor}
        path = scope["path"]  # now: a router may rewrite it
        try:
            expected, route = self._captured[path]
        except KeyError:
            expected, route = UNKNOWN
            if not self._is_captured(scope):
                await self._stamp(scope, receive, send)
                return

        # Closures: an object for each request costs a tenth more, and so do variables that they
        # share, so that what does not change comes to them as a default.  A body is the one
        # message that it comes in, nearly always; else its `Pieces`.
        asked: Any = None
        start: Any = None
        answer: Any = None

        async def tee_receive(receive: Receive = receive) -> Message:
            nonlocal asked
            message = await receive()
            asked = message if asked is None else gather(asked, message, monitor.max_body_bytes)
            return message

        # No coroutine: it hands back the server's own, which saves a frame on every message.
        def tee_send(  # noqa: PLR0913, PLR0917
            message: Message,
            send: Send = send,
            scope: Scope = scope,
            path: str = path,
            route: str | None = route,
            expected: int = expected,
            monitor: Monitor = monitor,
        ) -> Awaitable[None]:
            nonlocal answer, start
            if start is None:
                if message["type"] == "http.response.start":
                    # A copy: apps reuse it, and may give their headers as a one-shot iterator.
                    start = message = {**message}
                    headers = [*message.get("headers", ()), *monitor.headers]
                    if len(headers) != expected:
                        headers = self._replace_ours(scope, path, headers)
                    message["headers"] = headers
            elif answer is None and not message.get("more_body"):
                answer = message
                # Before the client has its answer, so that it is counted when the client asks.
                monitor.inbox.see(scope, path, route, asked, start, message)
            else:
                answer = gather(answer, message, monitor.max_body_bytes)
                if is_complete(answer):
                    monitor.inbox.see(scope, path, route, asked, start, answer)
            return send(message)

        try:
            await app(scope, tee_receive, tee_send)
        except BaseException as error:
            if not is_queued(answer):
                self._skip(scope, RAISED if isinstance(error, Exception) else HUNG_UP)
            raise
        if type(answer) is dict:  # nearly always
            return
        if start is None:
            self._skip(scope, NO_ANSWER)
        elif not is_queued(answer):  # such as a file that the server sends: an answer unseen
            monitor.inbox.see(scope, path, route, asked, start, answer)

    def _skip(self, scope: Scope, reason: str) -> None:
        if scope["method"] in CAPTURED_METHODS:
            self.monitor.inbox.put(Rows(skipped=reason))

    def _is_captured(self, scope: Scope) -> bool:
        """Decide on a request whose path was not seen to be captured yet."""
        if scope["method"] not in CAPTURED_METHODS or self._routes.owns(scope):
            return False
        return self._pattern is None or self._pattern.match(scope["path"]) is not None

    def _replace_ours(self, scope: Scope, path: str, headers: Headers) -> Headers:
        """Drop earlier headers of our names: from another server's answer, or ours wrapped twice.

        How many headers the answers of a path have without them is remembered, and the template
        that the app matched: to count is all that is done to the next ones.
        """
        ours = headers[-len(OURS) :]
        # Names are lower case by the specification, and not always in fact (Django).
        kept = [pair for pair in headers if pair[0].lower() not in OURS] + ours
        if len(kept) == len(headers):
            if len(self._captured) >= MAX_PATHS:  # a path for every id: keep memory flat
                self._captured.clear()
            self._captured[path] = (len(headers), template(scope))
        return kept

    async def _stamp(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what is not captured: the app's, or ours."""
        monitor = self.monitor

        def stamp(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = _stamped(message, monitor.headers)
            return send(message)

        app = self._routes if self._routes.owns(scope) else self.app
        await app(scope, receive, stamp)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what is no HTTP; when the app has shut down, write what is queued."""

        async def watch(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                from starlette.concurrency import run_in_threadpool

                await run_in_threadpool(self.monitor.close)
            await send(message)

        await self.app(scope, receive, watch if scope["type"] == "lifespan" else send)


def _stamped(message: Message, ours: Headers) -> Message:
    kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in OURS]
    return {**message, "headers": kept + ours}
