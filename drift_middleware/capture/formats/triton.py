"""Triton's generate extension: `text_input` to `text_output`, at once or as a stream."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from drift_middleware.capture.bodies import Events
from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.outputs import NO_ANSWER
from drift_middleware.capture.records import kinds, text_row
from drift_middleware.schemas import Rows

KEYS = frozenset({"text_input"})


def read(decoded: Decoded) -> Rows | None:
    """Give a row for each text; all beside it is settings."""
    texts = decoded.request["text_input"]
    texts = [texts] if type(texts) is str else texts
    if type(texts) is not list or kinds(texts) != {str}:
        return None
    return decoded.rows("triton_generate", list(map(text_row, texts)), _answer(decoded.answer))


def _answer(answer: Any) -> Any:
    if type(answer) is Events:
        texts = [event.get("text_output") for event in answer if type(event) is dict]
        return joined([text for text in texts if type(text) is str])
    return answer["text_output"] if type(answer) is dict and "text_output" in answer else answer


def joined(texts: list[str]) -> Any:
    """Put the texts of a stream together: each is what is new, or all that there is so far."""
    if not texts:
        return NO_ANSWER
    if all(text.startswith(before) for before, text in pairwise(texts)):
        return texts[-1]
    return "".join(texts)
