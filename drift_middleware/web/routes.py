"""The routes below `/_drift`: JSON for programs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

import msgspec

from drift_middleware.errors import ConfigError, DriftError
from drift_middleware.schemas import Check, Report, SignalReport

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MOST_CHECKS = 1000
"in one answer"
ASKED = ("window", "since", "until", "segment")
"what says which stretch of the history is summed"


class Source(Protocol):
    """Who knows what is shown: the monitor."""

    def drain(self, timeout: float = 5.0) -> bool:
        """Wait until all that was offered so far is written."""
        ...

    def report(
        self, *, window: str | None = None, since: str | None = None, until: str | None = None
    ) -> Report:
        """Build the report, with a stretch of the history if one is asked for."""
        ...

    def signals(self) -> list[SignalReport]:
        """Build the report of every captured signal."""
        ...

    def history(self, limit: int, before: int | None = None) -> list[Check]:
        """Read the newest checks, newest first."""
        ...

    def signal_history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Read what the newest checks said of one signal, newest first."""
        ...


class RefusedError(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Routes:
    """An ASGI application for the middleware's own paths.

    Parameters
    ----------
    source
        Who knows what is shown.
    route
        Where it lives, such as `/_drift`.
    token
        Bearer token that every request needs; None leaves reading open.
    """

    def __init__(self, source: Source, *, route: str, token: str | None) -> None:
        self._source = source
        self._route = route
        self._token = token

    def owns(self, scope: Scope) -> bool:
        """Say whether a request is for these routes, and not for the app."""
        path = self._path(scope)
        return path == self._route or path.startswith(self._route + "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no exception leaves it."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        try:
            self._admit(scope)
            answer = self._find(scope)
            # In a thread: to wait for the monitor and to read the database would stall the app.
            content, status = await run_in_threadpool(answer), 200
        except RefusedError as refusal:
            content, status = {"error": str(refusal)}, refusal.status
        except ConfigError as error:  # what was asked for is impossible
            content, status = {"error": str(error)}, 400
        except DriftError as error:
            content, status = {"error": str(error)}, 503
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status == 405:
            headers["allow"] = "GET, HEAD"
        body = msgspec.json.encode(content)
        await Response(body, status, headers, "application/json")(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        if self._token is not None:
            given = dict(scope["headers"]).get(b"authorization", b"")
            scheme, _, token = given.partition(b" ")
            is_right = secrets.compare_digest(token.strip(b" "), self._token.encode())
            if scheme.lower() != b"bearer" or not is_right:
                raise RefusedError(401, "This needs the header `Authorization: Bearer <token>`.")
        if scope["method"] not in ("GET", "HEAD"):
            raise RefusedError(405, "Only GET and HEAD are allowed here.")

    def _find(self, scope: Scope) -> Callable[[], Any]:
        rest = self._path(scope)[len(self._route) :]
        page, name = rest.strip("/"), rest.removeprefix("/signals/")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if page == "":
            asked = {name: query[name][-1] for name in ASKED if name in query}
            return lambda: self._report(asked)
        if page == "history":
            limit, before = _number(query, "limit", 100), _number(query, "before", None)
            return lambda: self._history(min(limit or 0, MOST_CHECKS), before)
        if name not in ("", rest):  # as it is: servers decode the path, and names have slashes
            limit = _number(query, "limit", 100)
            return lambda: self._signal(name, min(limit or 0, MOST_CHECKS))
        route = self._route
        msg = f"Nothing here. Try {route}, {route}/history or {route}/signals/{{name}}."
        raise RefusedError(404, msg)

    def _report(self, asked: dict[str, str]) -> Report:
        self._source.drain()
        return self._source.report(**asked)

    def _history(self, limit: int, before: int | None) -> dict[str, Any]:
        self._source.drain()
        return {"checks": self._source.history(limit, before)}

    def _signal(self, name: str, limit: int) -> dict[str, Any]:
        self._source.drain()
        signals = {signal.name: signal for signal in self._source.signals()}
        if name not in signals:
            known = ", ".join(signals) or "none yet"
            msg = f"No signal {name!r} was captured. Captured: {known}."
            raise RefusedError(404, msg)
        history = self._source.signal_history(name, limit)
        return {**msgspec.to_builtins(signals[name]), "history": history}

    def _path(self, scope: Scope) -> str:
        """Return the path below the prefix at which the app is mounted."""
        path, root = scope["path"], scope.get("root_path", "")
        return str(path.removeprefix(root))


def _number(query: dict[str, list[str]], name: str, default: int | None) -> int | None:
    text = query.get(name, [""])[-1]
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        msg = f"{name}={text[:50]!r} is impossible: give a whole number."
        raise RefusedError(400, msg)
    return int(text)
