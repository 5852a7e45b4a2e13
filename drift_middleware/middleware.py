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
from drift_middleware.schemas import Exchange, Rows
from drift_middleware.web import Routes

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CAPTURED_METHODS = frozenset({"POST", "PUT"})
OURS = (b"x-drift-severity", b"x-drift-data", b"x-drift-prediction", b"x-drift-check")
# Header names are lower case by the specification, and not always in fact (Django).
NAMES = frozenset(OURS + tuple(name.title() for name in OURS))
MAX_PATHS = 10_000
OVERHEAD = 2000
"bytes that a waiting exchange takes beside its bodies"

NOT_READ = "body not read by the app"
RAISED = "the app raised"
HUNG_UP = "cancelled, the client hung up"
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

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self.app = app
        try:
            config = Config.load(**options)
            self.monitor = Monitor(config)
        except Exception:
            # Some servers take an exception at start for "no lifespan" and go on: leave a trace.
            LOGGER.critical("not started", exc_info=True, extra={"event": "not started"})
            raise
        self._is_enabled = config.enabled
        self._route = config.route
        self._routes = Routes(self.monitor, route=config.route, token=config.token)
        self._limit = config.max_body_bytes
        patterns = "|".join(translate(pattern) for pattern in config.paths)
        self._pattern = re.compile(patterns) if patterns else None
        # Paths that are captured, as they come: one look-up in the request decides it all.
        self._captured: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if not self._is_enabled or scope["type"] != "http":
            await self._pass(scope, receive, send)
            return
        monitor = self.monitor
        try:
            scope["state"]["drift"] = monitor
        except KeyError:
            scope["state"] = {"drift": monitor}
        if scope["path"] not in self._captured or scope["method"] not in CAPTURED_METHODS:
            if not self._decide(scope):
                await self._stamp(scope, receive, send)
                return
        tee = _Tee(monitor, scope, receive, send, self._limit)
        try:
            await self.app(scope, tee.receive, tee.send)
        except BaseException as error:
            tee.failure = RAISED if isinstance(error, Exception) else HUNG_UP
            raise
        finally:
            if not tee.is_offered:
                tee.offer()

    def _decide(self, scope: Scope) -> bool:
        """Decide on a path that is new: is it captured?"""
        path = scope["path"]
        if scope["method"] not in CAPTURED_METHODS or self._routes.owns(scope):
            return False
        if self._pattern is not None and not self._pattern.match(path):
            return False
        if len(self._captured) >= MAX_PATHS:  # a path for every id: forget, to keep memory flat
            self._captured.clear()
        self._captured.add(path)
        return True

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
        if self._is_enabled and scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass lifespan through, and write what is queued when the app has shut down."""

        async def watch(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                from starlette.concurrency import run_in_threadpool

                await run_in_threadpool(self.monitor.close)
            await send(message)

        await self.app(scope, receive, watch)


class _Tee:
    """One exchange under way: keeps references to the bytes that pass.  An `Item` of the inbox.

    Nearly every body comes in one piece, which is kept as it is; the others go into `_Pieces`.
    """

    __slots__ = (
        "_answer",
        "_body",
        "_limit",
        "_monitor",
        "_path",
        "_receive",
        "_scope",
        "_send",
        "_start",
        "at",
        "failure",
        "is_offered",
        "size",
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
        self._body: bytes | _Pieces | None = None
        self._answer: bytes | _Pieces | None = None
        self._start: Message | None = None
        self.is_offered = False

    async def receive(self) -> Message:
        message = await self._receive()
        if "body" in message:
            if self._body is None and not message.get("more_body"):
                self._body = message["body"]
            else:
                self._body = self._more(self._body, message)
        return message

    # No coroutine: it hands back the server's own, which saves a frame on every message.
    def send(self, message: Message) -> Awaitable[None]:
        if "body" in message:
            if self._answer is None and not message.get("more_body"):
                self._answer = message["body"]
                # Before the client has its answer, so that it is counted when the client asks.
                self.offer()
            else:
                self._answer = self._more(self._answer, message)
                if not message.get("more_body") and not self.is_offered:
                    self.offer()
        elif message["type"] == "http.response.start":
            message = _stamped(message, self._monitor.headers)
            self._start = message
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.offer()  # a last message without a body: the specification allows it
        return self._send(message)

    def _more(self, known: bytes | _Pieces | None, message: Message) -> bytes | _Pieces:
        """Take a body that comes in pieces, or what some servers send after its end."""
        if isinstance(known, bytes):
            return known
        pieces = known or _Pieces(self._limit)
        pieces.add(message["body"], is_last=not message.get("more_body"))
        return pieces

    def offer(self) -> None:
        self.is_offered = True
        self.size = OVERHEAD + _size(self._body) + _size(self._answer)
        self._monitor.offer(self)

    def unpack(self) -> Exchange | Rows:
        """Build the exchange, or say why there is none.  On the monitor's thread."""
        failure = getattr(self, "failure", None)
        if failure is None and self._start is None:
            failure = NO_ANSWER
        if failure is None and not _is_whole(self._body):
            failure = NOT_READ
        if failure is not None or self._start is None:
            return Rows(skipped=failure)
        scope = self._scope
        body = _join(self._body, self._limit)
        # An answer that was not seen, such as a file sent by its path, is one without predictions.
        answer = b"" if self._answer is None else _join(self._answer, self._limit)
        return Exchange(
            scope["method"],
            self._path,
            route=_route_of(scope),
            query=scope.get("query_string", b""),
            request_headers=list(scope.get("headers", ())),
            request_body=body or b"",
            status=self._start["status"],
            response_headers=self._start["headers"],
            response_body=answer or b"",
            truncated=body is None or answer is None,
        )


class _Pieces:
    """A body that comes in pieces, kept up to a limit: an endless one takes no memory."""

    __slots__ = ("_chunks", "_room", "is_whole", "size")

    def __init__(self, limit: int) -> None:
        self._chunks: list[bytes] = []
        self._room = limit
        self.is_whole = False
        self.size = 0

    def add(self, chunk: bytes, *, is_last: bool) -> None:
        if self.is_whole:
            return
        self.is_whole = is_last
        self._room -= len(chunk)
        if self._room < 0:
            self._chunks.clear()
            self.size = 0
        else:
            self._chunks.append(chunk)
            self.size += len(chunk)

    def join(self) -> bytes | None:
        """Return the body, or None if it was over the limit."""
        return b"".join(self._chunks) if self._room >= 0 else None


def _size(body: bytes | _Pieces | None) -> int:
    if body is None:
        return 0
    return body.size if isinstance(body, _Pieces) else len(body)


def _is_whole(body: bytes | _Pieces | None) -> bool:
    return body.is_whole if isinstance(body, _Pieces) else body is not None


def _join(body: bytes | _Pieces | None, limit: int) -> bytes | None:
    """Return a body, or None if it is over the limit."""
    if isinstance(body, _Pieces):
        return body.join()
    return body if body is None or len(body) <= limit else None


def _stamped(message: Message, ours: list[tuple[bytes, bytes]]) -> Message:
    """Copy a response's start, with our headers in the place of those of the same name."""
    # A copy: apps reuse this dict, and may give headers as an iterator that runs only once.
    headers = [*message.get("headers", ())]
    for name, _ in headers:
        if name in NAMES:
            headers = [pair for pair in headers if pair[0] not in NAMES]
            break
    headers += ours
    message = message.copy()
    message["headers"] = headers
    return message


def _route_of(scope: Scope) -> str:
    """Return the path template that the app matched: Starlette's and FastAPI's, or Litestar's."""
    return getattr(scope.get("route"), "path", None) or scope.get("path_template") or ""
