"""Hugging Face's inference toolkit and text generation: texts under `inputs`."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.bodies import Events
from drift_middleware.capture.decoded import AS_SENT, Decoded
from drift_middleware.capture.formats.triton import joined
from drift_middleware.capture.outputs import Scores, classes
from drift_middleware.capture.records import kinds, text_row
from drift_middleware.schemas import Rows

KEYS = frozenset({"inputs"})
TEXTS = ("generated_text", "summary_text", "translation_text")


def read(decoded: Decoded) -> Rows | None:
    """Give a row for each text; `parameters` are no features."""
    inputs = decoded.request["inputs"]
    answer = decoded.answer
    if type(inputs) is str:
        return decoded.rows("hf", [text_row(inputs)], _of_one(answer))
    if type(inputs) is not list or kinds(inputs) != {str}:
        return None
    found = list(map(_said, answer)) if type(answer) is list else AS_SENT
    return decoded.rows("hf", list(map(text_row, inputs)), found)


def _of_one(answer: Any) -> Any:
    """Give the answer to one text, in the list that only it is in."""
    if type(answer) is Events:
        return _of_stream(answer)
    if type(answer) is not list:
        return AS_SENT if type(answer) is not dict else [_said(answer)]
    ranked = classes(answer)
    if ranked is not answer:
        return [ranked]
    return [_said(answer[0])] if len(answer) == 1 else [answer]


def _said(answer: Any) -> Any:
    """Take the text, or the classes, out of one answer."""
    if type(answer) is list:
        return _said(answer[0]) if len(answer) == 1 and type(answer[0]) is dict else classes(answer)
    if type(answer) is not dict:
        return answer
    for key in TEXTS:
        if key in answer:
            return answer[key]
    labels, scores = answer.get("labels"), answer.get("scores")
    if type(labels) is list and type(scores) is list and kinds(labels) == {str}:
        return Scores(zip(labels, scores, strict=False))  # zero-shot classification
    return answer


def _of_stream(events: Events) -> Any:
    """Give the whole text, which is in the last event; or put the tokens together."""
    told = [event for event in events if type(event) is dict]
    for event in reversed(told):
        if type(event.get("generated_text")) is str:
            return [event["generated_text"]]
    tokens = [event["token"].get("text") for event in told if type(event.get("token")) is dict]
    texts = [text for text in tokens if type(text) is str]
    return ["".join(texts)] if texts else joined([])
