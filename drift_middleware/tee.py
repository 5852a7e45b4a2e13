"""What passed by in one request, and how it becomes an Exchange, later and on another thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from drift_middleware.schemas import Exchange, Headers, Rows

if TYPE_CHECKING:
    from starlette.types import Message, Scope

CAPTURED_METHODS = frozenset({"POST", "PUT"})
BODIES = frozenset({"http.request", "http.response.body"})

NOT_READ = "body not read by the app"


class Pieces:
    """A body that comes in pieces, kept up to a limit: an endless one takes no memory."""

    __slots__ = ("_chunks", "is_queued", "is_whole", "limit", "size", "weight")

    def __init__(self, limit: int) -> None:
        self._chunks: list[bytes] = []
        self.limit = limit
        self.size = self.weight = 0
        self.is_whole = False
        self.is_queued = False

    def add(self, message: Message) -> None:
        """Add what one message holds; after the last one nothing changes."""
        if self.is_whole or message["type"] not in BODIES:
            return
        self.is_whole = not message.get("more_body")
        body = message.get("body") or b""
        self.size += len(body)
        if self.size <= self.limit:
            self._chunks.append(body)
        else:
            self._chunks.clear()

    def join(self) -> bytes | None:
        """Return the body, or None if it was over the limit."""
        return b"".join(self._chunks) if self.size <= self.limit else None


def gather(known: Message | Pieces | None, message: Message, limit: int) -> Message | Pieces:
    """Add a message to what is known of a body: nothing, its first message, or its pieces."""
    if isinstance(known, Pieces):
        known.add(message)
        return known
    if known is not None and not known.get("more_body"):
        return known  # it was whole; this is a disconnect, a trailer, or a server's empty frame
    pieces = Pieces(limit)
    if known is not None:
        pieces.add(known)
    pieces.add(message)
    return pieces


class Seen(Struct, gc=False):
    """What is kept of an exchange whose bodies did not come as one message each.

    It waits in the inbox as an Exchange does, which holds neither the scope, on which an app hangs
    all that a request needs, nor the messages: they would live as long, and what is freed at once
    costs a request half as much.
    """

    exchange: Exchange
    "with empty bodies"
    asked: bytes | Pieces | None
    "the body that the app read; None if it did not read it to its end"
    answer: bytes | Pieces | None
    "the body that the app sent; None where the server found it elsewhere"

    @property
    def size(self) -> int:
        """Bytes of bodies that it holds while it waits."""
        return weigh(self.asked) + weigh(self.answer)

    def whole(self) -> Exchange | Rows:
        """Put the bodies in, or say why there is no exchange."""
        asked, exchange = self.asked, self.exchange
        if asked is None or (isinstance(asked, Pieces) and not asked.is_whole):
            return Rows(skipped=NOT_READ)
        body, answer = _join(asked), _join(self.answer or b"")
        exchange.truncated = body is None or answer is None
        exchange.request_body, exchange.response_body = body or b"", answer or b""
        return exchange


Item = Exchange | Seen | Rows
"what waits in the inbox"


def seen(
    scope: Scope, path: str, route: str | None, asked: Any, start: Message, answer: Any
) -> Seen:
    """Keep what was seen of an exchange; `route` is the template, None if nobody looked yet."""
    exchange = Exchange(
        scope["method"],
        path,
        template(scope) if route is None else route,
        scope.get("query_string", b""),
        scope.get("headers", []),
        status=start["status"],
        response_headers=start["headers"],
    )
    return Seen(exchange, keep(asked), keep(answer))


def unpack(item: Item, at: float, limit: int) -> Exchange | Rows | None:
    """Give an exchange with its time, or rows; None for what does not count at all."""
    if isinstance(item, Rows):
        return item
    exchange = item.exchange if isinstance(item, Seen) else item
    if exchange.method not in CAPTURED_METHODS:  # of a path that is captured for others
        return None
    if isinstance(item, Seen):
        found = item.whole()
        if isinstance(found, Rows):
            return found
    exchange.at = at
    exchange.request_headers = _listed(exchange.request_headers)
    exchange.response_headers = _listed(exchange.response_headers)
    if len(exchange.request_body) > limit or len(exchange.response_body) > limit:
        exchange.truncated = True
    return exchange


def _listed(headers: Any) -> Headers:
    """Give a list again; what an app gave that is neither is left to who reads it."""
    return list(headers) if type(headers) is tuple else headers


def template(scope: Scope) -> str:
    """Return the path template that the app matched: Starlette's route has one, Litestar's is one.

    Empty where it does not say.
    """
    route = scope.get("route") or scope.get("path_template")
    return route if isinstance(route, str) else getattr(route, "path", None) or ""


def is_complete(answer: Message | Pieces) -> bool:
    """Say, once, that the last piece of an answer has come."""
    if not isinstance(answer, Pieces) or not answer.is_whole or answer.is_queued:
        return False
    answer.is_queued = True
    return True


def is_queued(answer: Message | Pieces | None) -> bool:
    """Say whether an answer came to its end, and so into the queue."""
    return answer.is_queued if isinstance(answer, Pieces) else answer is not None


def keep(body: Message | Pieces | None) -> bytes | Pieces | None:
    """Return what is kept of a body: None if it was not seen, or not to its end."""
    if body is None:
        return None
    if isinstance(body, Pieces):
        # As it is now: an app may answer first and read on.
        body.weight = body.size if body.size <= body.limit else 0
        return body
    if body.get("more_body") or body["type"] not in BODIES:
        return None
    return body.get("body") or b""


def weigh(body: bytes | Pieces | None) -> int:
    """Return the bytes that were kept of a body."""
    if isinstance(body, Pieces):
        return body.weight
    return 0 if body is None else len(body)


def _join(body: bytes | Pieces) -> bytes | None:
    """Return a body, or None if its pieces were over the limit."""
    return body.join() if isinstance(body, Pieces) else body
