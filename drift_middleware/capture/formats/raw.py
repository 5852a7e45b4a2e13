"""A body that is one value: a text, or the bytes of an image or a sound."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.bodies import Binary
from drift_middleware.capture.decoded import Decoded, content_type
from drift_middleware.capture.outputs import Scores, classes
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import TEXT, text_row
from drift_middleware.schemas import Rows


def read_text(decoded: Decoded) -> Rows | None:
    """Give one row if there is one answer to it, and it is said that texts are what is read."""
    text, columns = decoded.request, decoded.columns
    is_plain = content_type(decoded.exchange.request_headers).startswith(b"text/")
    is_watched = len(columns) == 1 or TEXT in columns if columns else is_plain or decoded.told
    is_row = text and is_watched and decoded.answers(1)
    return decoded.rows("text", [text_row(text)]) if is_row else None


def read_binary(decoded: Decoded) -> Rows | None:
    """Give one row of its size and type if there is an answer to it: the bytes are not kept."""
    body: Binary = decoded.request
    row = {"size": body.size, "type": body.type}
    # A model that is known to have features has none of them in bytes.
    is_watched = not (decoded.columns and decoded.columns_miss(row))
    if "/" not in body.type or not is_watched or not decoded.answers(1):
        raise SkipError(Reason.CONTENT_TYPE)
    return decoded.rows("binary", [row], _classes(decoded.answer))


def _classes(answer: Any) -> Any:
    if type(answer) is list:
        return [classes(answer)] if classes(answer) is not answer else answer
    # TorchServe answers an image with its classes, others of them for each.
    if type(answer) is dict and len(answer) > 1 and all(map(_is_share, answer.values())):
        return [Scores(answer)]
    return answer


def _is_share(value: Any) -> bool:
    return type(value) is float and 0 <= value <= 1
