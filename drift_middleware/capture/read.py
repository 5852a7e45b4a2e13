"""One exchange to its rows, or to the reason why there are none."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.codecs import decode
from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.formats import formats_of
from drift_middleware.capture.outputs import NO_ANSWER
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.schemas import Exchange, Rows


def read(exchange: Exchange) -> Rows:
    """Find the rows of one exchange and their predictions.  Never raises, whatever the bytes."""
    try:
        return _read(exchange)
    except SkipError as skip:
        return Rows(skipped=skip.reason.value)
    except RecursionError:
        return Rows(skipped=Reason.TOO_DEEP.value)
    except Exception:  # noqa: BLE001 - the bytes are anybody's: no fault of theirs may stop the thread
        return Rows(skipped=Reason.UNREADABLE.value)


def _read(exchange: Exchange) -> Rows:
    if not 200 <= exchange.status < 300:
        raise SkipError(Reason(f"status {exchange.status // 100}xx"))
    if exchange.truncated:
        raise SkipError(Reason.TRUNCATED)
    request = decode(exchange.request_body, exchange.request_headers)
    decoded = Decoded(request, _answer(exchange), exchange)
    for each in formats_of(request):
        rows = each.read(decoded)
        if rows is not None:
            return rows
    raise SkipError(Reason.NOT_A_PREDICTION)


def _answer(exchange: Exchange) -> Any:
    try:
        return decode(exchange.response_body, exchange.response_headers)
    except SkipError as skip:
        # A stream or a page is no answer; a compressed answer is one that would go unseen.
        if skip.reason == Reason.ENCODING:
            raise
        return NO_ANSWER
    except RecursionError:
        return NO_ANSWER
