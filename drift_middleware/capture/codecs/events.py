"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.bodies import Events
from drift_middleware.capture.codecs.declared import Declared
from drift_middleware.capture.codecs.documents import REFUSED, fast_json
from drift_middleware.capture.reasons import Reason, SkipError

# A model that streams sends one for each token.
MOST_EVENTS = 10_000
BEGINNINGS = frozenset(b'{["-0123456789tfn')
DONE = b"[DONE]"


def read_events(body: bytes, _said: Declared) -> Events:
    """Decode the data of each event; a stream without any (BentoML's) is one event."""
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    blocks = text.split(b"\n\n", MOST_EVENTS)
    if len(blocks) > MOST_EVENTS:
        raise SkipError(Reason.TRUNCATED)
    found = [data for block in blocks if (data := _data(block)) is not None]
    if not found and b"data" not in text:
        found = [text]
    return Events(_value(data) for data in found if data.strip() != DONE)


def _data(block: bytes) -> bytes | None:
    lines = [line for line in block.split(b"\n") if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines) if lines else None


def _value(data: bytes) -> Any:
    if data and data[0] in BEGINNINGS:
        try:
            return fast_json(data)
        except REFUSED:
            pass
    return data.decode("utf-8", "replace")
