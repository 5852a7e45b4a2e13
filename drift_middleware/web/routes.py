"""The routes below `/_drift`: JSON for programs, a page for people."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qs

import msgspec

from drift_middleware.errors import BaselineError, ConfigError, DriftError
from drift_middleware.logger import LOGGER
from drift_middleware.schemas import Check, Report, SignalReport
from drift_middleware.web import openapi, page
from drift_middleware.web.accept import JSON, PAGE, prefers_page
from drift_middleware.web.effect import Policy

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MOST_CHECKS = 1000
"in one answer"
MOST_FIELDS, LONGEST_VALUE = 20, 200
"of a query; a segment's name has 200 characters at most"
ASKED = ("window", "since", "until", "segment")
"what says which stretch of the history is summed"
READING, CHANGING = ("GET", "HEAD"), ("POST",)
CHANGES = ("check", "reset", "baseline")
CHANGING_IS_OFF = (
    "Changing is off: set the option `token` (or DRIFT_TOKEN), and send it in the header "
    "`Authorization: Bearer <token>`."
)
HEADERS = {
    "cache-control": "no-store",
    "vary": "accept, authorization",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


Query = dict[str, list[str]]


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

    def check(self) -> Report:
        """Check what is pending now."""
        ...

    def reset(self) -> Report:
        """Start the detector afresh."""
        ...

    def adopt(self, rows: int | None = None) -> Report:
        """Take the newest rows as the baseline."""
        ...

    def metrics(self, *, is_open: bool = False) -> bytes:
        """Write the report as Prometheus takes it, or as OpenMetrics."""
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


class Answer(NamedTuple):
    """What is answered: to programs, and to people."""

    content: Any
    page: Callable[[str], str]
    "renders it, given where the route is as seen from the client"


class Plain(NamedTuple):
    """What is answered to programs alone."""

    kind: str
    body: bytes


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
        Bearer token that every request needs; None leaves reading open, and changing off.
    policy
        What severity is about, for the page.
    """

    def __init__(
        self, source: Source, *, route: str, token: str | None, policy: Policy | None = None
    ) -> None:
        self._source = source
        self._route = route
        self._token = token
        self._policy = policy or Policy()

    def owns(self, scope: Scope) -> bool:
        """Say whether a request is for these routes, and not for the app."""
        path = self._path(scope)
        return path == self._route or path.startswith(self._route + "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no exception leaves it."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        if self._path(scope) == f"{self._route}/static/page.js" and scope["method"] in READING:
            headers = {**HEADERS, "cache-control": "max-age=3600"}
            await Response(page.script(), 200, headers, "text/javascript")(scope, receive, send)
            return
        # In a thread: to wait for the monitor and to read the database would stall the app.
        status, kind, body = await run_in_threadpool(self._answer, scope)
        headers = dict(HEADERS)
        if kind == PAGE:
            headers["content-security-policy"] = page.content_policy()
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status == 405:
            headers["allow"] = ", ".join(self._allowed(scope))
        await Response(body, status, headers, kind)(scope, receive, send)

    def _answer(self, scope: Scope) -> tuple[int, str, bytes]:
        try:
            self._admit(scope)
            answer, status = self._find(scope)(), 200
        except RefusedError as refusal:
            answer, status = _refusal(refusal.status, str(refusal)), refusal.status
        except ConfigError as error:  # what was asked for is impossible
            answer, status = _refusal(400, str(error)), 400
        except BaselineError as error:  # not with the rows that there are now
            answer, status = _refusal(409, str(error)), 409
        except DriftError as error:
            answer, status = _refusal(503, str(error)), 503
        except Exception as error:  # noqa: BLE001  # a fault of ours is no fault of the app's
            LOGGER.error("not answered", exc_info=True, extra={"event": "not answered"})
            kind = type(error).__name__
            answer, status = _refusal(500, f"Unexpected {kind}: the server's log has it."), 500
        if isinstance(answer, Plain):
            return status, answer.kind, answer.body
        if not prefers_page(scope["headers"]):
            return status, JSON, msgspec.json.encode(answer.content)
        raw = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")
        base = page.base_of(self._below(scope, raw or scope["path"]), self._route)
        return status, PAGE, answer.page(base).encode()

    def _admit(self, scope: Scope) -> None:
        if self._token is not None:
            given = dict(scope["headers"]).get(b"authorization", b"")
            scheme, _, token = given.partition(b" ")
            is_right = hmac.compare_digest(token.strip(b" "), self._token.encode())
            if scheme.lower() != b"bearer" or not is_right:
                raise RefusedError(401, "This needs the header `Authorization: Bearer <token>`.")
        allowed = self._allowed(scope)
        if scope["method"] not in allowed:
            are = "is" if len(allowed) == 1 else "are"
            msg = f"Only {' and '.join(allowed)} {are} allowed here."
            raise RefusedError(405, msg)
        if allowed is CHANGING and self._token is None:
            raise RefusedError(403, CHANGING_IS_OFF)

    def _allowed(self, scope: Scope) -> tuple[str, ...]:
        return CHANGING if self._place(scope) in CHANGES else READING

    def _find(self, scope: Scope) -> Callable[[], Answer | Plain]:
        rest, place = self._path(scope)[len(self._route) :], self._place(scope)
        name = rest.removeprefix("/signals/")
        query = _query(scope)
        if place in CHANGES:
            return lambda: self._change(place, query)
        if place == "":
            asked = {name: query[name][-1] for name in ASKED if name in query}
            return lambda: self._report(asked)
        if place == "history":
            limit, before = _number(query, "limit", 100), _number(query, "before", None)
            return lambda: self._history(min(limit or 0, MOST_CHECKS), before)
        if place == "metrics":
            is_open = b"application/openmetrics-text" in dict(scope["headers"]).get(b"accept", b"")
            return lambda: self._metrics(is_open=is_open)
        if place == "openapi.json":
            return self._document
        if name not in ("", rest):  # as it is: servers decode the path, and names have slashes
            limit = _number(query, "limit", 100)
            return lambda: self._signal(name, min(limit or 0, MOST_CHECKS))
        route = self._route
        msg = f"Nothing here. Try {route}, {route}/history or {route}/signals/{{name}}."
        raise RefusedError(404, msg)

    def _report(self, asked: dict[str, str]) -> Answer:
        self._source.drain()
        return self._shown(self._source.report(**asked), asked)

    def _shown(self, report: Report, asked: dict[str, str]) -> Answer:
        def render(base: str) -> str:
            checks, note = [], None
            try:
                checks = self._source.history(page.TIMELINE)
            except DriftError as error:  # the report itself is known without the database
                note = str(error)
            return page.render_report(
                report, history=checks, policy=self._policy, base=base, asked=asked, note=note
            )

        return Answer(report, render)

    def _change(self, place: str, query: Query) -> Answer:
        if place == "check":
            report = self._source.check()
        elif place == "reset":
            report = self._source.reset()
        else:
            report = self._source.adopt(_number(query, "rows", None))
        return self._shown(report, {})

    def _history(self, limit: int, before: int | None) -> Answer:
        self._source.drain()
        checks = self._source.history(limit, before)
        return Answer(
            {"checks": checks},
            lambda base: page.render_history(checks, base=base, limit=limit, before=before),
        )

    def _signal(self, name: str, limit: int) -> Answer:
        self._source.drain()
        signals = {signal.name: signal for signal in self._source.signals()}
        if name not in signals:
            known = ", ".join(signals) or "none yet"
            msg = f"No signal {name!r} was captured. Captured: {known}."
            raise RefusedError(404, msg)
        signal, history = signals[name], self._source.signal_history(name, limit)
        return Answer(
            {**msgspec.to_builtins(signal), "history": history},
            lambda base: page.render_signal(
                signal, history=history, policy=self._policy, base=base
            ),
        )

    def _metrics(self, *, is_open: bool) -> Plain:
        self._source.drain()
        body = self._source.metrics(is_open=is_open)
        return Plain(openapi.OPEN_METRICS if is_open else openapi.PROMETHEUS, body)

    def _document(self) -> Plain:
        version = self._source.report().version
        described = openapi.document(
            self._route, needs_token=self._token is not None, version=version
        )
        return Plain(JSON, msgspec.json.encode(described))

    def _path(self, scope: Scope) -> str:
        return self._below(scope, scope["path"])

    def _place(self, scope: Scope) -> str:
        return self._path(scope)[len(self._route) :].strip("/")

    @staticmethod
    def _below(scope: Scope, path: str) -> str:
        """Return the path below the prefix at which the app is mounted."""
        return str(path.removeprefix(scope.get("root_path", "")))


def _refusal(status: int, message: str) -> Answer:
    return Answer({"error": message}, lambda base: page.render_refusal(status, message, base=base))


def _query(scope: Scope) -> Query:
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        query = parse_qs(text, max_num_fields=MOST_FIELDS)
    except ValueError:
        msg = f"The query has more than {MOST_FIELDS} fields."
        raise RefusedError(400, msg) from None
    for name, values in query.items():
        if len(values[-1]) > LONGEST_VALUE:
            msg = f"{name[:50]} is longer than {LONGEST_VALUE} characters."
            raise RefusedError(400, msg)
    return query


def _number(query: Query, name: str, default: int | None) -> int | None:
    text = query.get(name, [""])[-1]
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        msg = f"{name}={text[:50]!r} is impossible: give a whole number."
        raise RefusedError(400, msg)
    return int(text)
