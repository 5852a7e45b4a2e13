"""DriftMiddleware, the ASGI door: tee the bytes, stamp the headers, hand `/_drift` over.

Inside the request it keeps references and queues them; reading, counting and writing are the
monitor's, on its own thread.
"""

from __future__ import annotations

import re
from fnmatch import translate
from time import time
from typing import TYPE_CHECKING, Any

from drift_middleware.config import Config
from drift_middleware.logger import LOGGER
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Exchange
from drift_middleware.web import Routes

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CAPTURED_METHODS = frozenset({"POST", "PUT"})
PREFIX = b"x-drift-"


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

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self.app = app
        try:
            config = Config.load(**options)
            self.monitor = Monitor(config)
        except Exception:
            # Some servers take an exception at start for "no lifespan" and go on: leave a trace.
            LOGGER.critical("not started", exc_info=True, extra={"event": "not started"})
            raise
        self._enabled = config.enabled
        self._route = config.route
        self._routes = Routes(self.monitor, route=config.route, token=config.token)
        self._limit = config.max_body_bytes
        patterns = "|".join(translate(pattern) for pattern in config.paths)
        self._is_captured = re.compile(patterns).match if patterns else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if not self._enabled:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if self._route in path and self._routes.owns(scope):
            await self._routes(scope, receive, _Stamp(self.monitor, send).send)
            return
        state = scope.get("state")
        if state is None:
            scope["state"] = {"drift": self.monitor}
        else:
            state["drift"] = self.monitor
        if scope["method"] not in CAPTURED_METHODS or (
            self._is_captured is not None and not self._is_captured(path)
        ):
            await self.app(scope, receive, _Stamp(self.monitor, send).send)
            return
        tee = _Tee(self.monitor, scope, receive, send, self._limit)
        try:
            await self.app(scope, tee.receive, tee.send)
        finally:
            # An app that raised, or hung up half way: counted with its reason, then re-raised.
            if not tee.is_offered:
                tee.offer()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass lifespan through, and write what is queued when the app has shut down."""

        async def watch(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                from starlette.concurrency import run_in_threadpool

                await run_in_threadpool(self.monitor.close)
            await send(message)

        await self.app(scope, receive, watch)


class _Stamp:
    """Sends an app's messages on, with our headers."""

    __slots__ = ("_monitor", "_send")

    def __init__(self, monitor: Monitor, send: Send) -> None:
        self._monitor = monitor
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = _stamped(message, self._monitor.headers)
        await self._send(message)


class _Tee:
    """One exchange under way: keeps references to the bytes that pass.  An `Item` of the inbox."""

    __slots__ = (
        "_answer",
        "_asked",
        "_body",
        "_headers",
        "_is_whole",
        "_limit",
        "_monitor",
        "_path",
        "_receive",
        "_scope",
        "_send",
        "_status",
        "at",
        "is_offered",
        "size",
        "truncated",
    )

    def __init__(
        self, monitor: Monitor, scope: Scope, receive: Receive, send: Send, limit: int
    ) -> None:
        self._monitor = monitor
        self._scope = scope
        self._path = scope["path"]  # now: a router may rewrite it
        self._receive = receive
        self._send = send
        self._limit = limit
        self._body: list[bytes] = []
        self._answer: list[bytes] = []
        self._headers: Any = ()
        self._status = 0
        self._is_whole = False
        self.at = self._asked = time()
        self.size = 0
        self.truncated = False
        self.is_offered = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            body = message.get("body")
            if body:
                self._keep(self._body, body)
            if not message.get("more_body"):
                self._is_whole = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                self._keep(self._answer, body)
            # Before the client has its answer, so that it finds it counted when it asks.
            if not message.get("more_body") and not self.is_offered:
                self.offer()
        elif kind == "http.response.start":
            message = _stamped(message, self._monitor.headers)
            self._status = message["status"]
            self._headers = message["headers"]
        await self._send(message)

    def _keep(self, chunks: list[bytes], chunk: bytes) -> None:
        size = self.size + len(chunk)
        if size > self._limit:
            self.truncated = True
            self._body.clear()
            self._answer.clear()
            self._limit = self.size = 0
        else:
            chunks.append(chunk)
            self.size = size

    def offer(self) -> None:
        self.is_offered = True
        self.at = time()
        self._monitor.offer(self)

    def unpack(self) -> Exchange:
        """Build the exchange.  On the monitor's thread, once the bytes are all there."""
        scope = self._scope
        return Exchange(
            scope["method"],
            self._path,
            route=_route_of(scope),
            query=scope.get("query_string", b""),
            request_headers=list(scope.get("headers", ())),
            request_body=b"".join(self._body) if self._is_whole else b"",
            status=self._status,
            response_headers=self._headers[: -len(self._monitor.headers)],
            response_body=b"".join(self._answer),
            at=self.at,
            seconds=self.at - self._asked,
            truncated=self.truncated,
        )


def _stamped(message: Message, ours: list[tuple[bytes, bytes]]) -> Message:
    # Apps reuse this dict, and may leave its headers out or give an iterator that runs only once:
    # copy, never change.  A header of our name may be there: the app is wrapped twice.
    kept = [pair for pair in message.get("headers", ()) if not _is_ours(pair[0])]
    return {**message, "headers": kept + ours}


def _is_ours(name: bytes) -> bool:
    return name[:8].lower() == PREFIX


def _route_of(scope: Scope) -> str:
    """Return the path template that the app matched: Starlette's and FastAPI's, or Litestar's."""
    return getattr(scope.get("route"), "path", None) or scope.get("path_template") or ""
