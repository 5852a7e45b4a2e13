"""OpenAI's chat, completions and embeddings, streamed or whole, as many servers speak them."""

from __future__ import annotations

import base64
import struct
from typing import Any

from drift_middleware.capture.bodies import Events
from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.outputs import NO_ANSWER
from drift_middleware.capture.records import kinds, text_row
from drift_middleware.schemas import Rows

CHAT = frozenset({"messages"})
COMPLETIONS = frozenset({"prompt"})
EMBEDDINGS = frozenset({"input"})
# Of the settings those that change what is answered; never `user` or `metadata`.
SETTINGS = (
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
)


def read_chat(decoded: Decoded) -> Rows | None:
    """Give one row: what the user said last, and the settings."""
    body = decoded.request
    messages = body["messages"]
    if type(messages) is not list or kinds(messages) != {dict}:
        return None
    if any("role" not in message and "content" not in message for message in messages):
        return None
    said = [message for message in messages if message.get("role") == "user"] or messages
    row = {**text_row(_words(said[-1].get("content"))), **_settings(body)}
    return decoded.rows("openai_chat", [row], _chosen(decoded.answer, 1))


def read_completions(decoded: Decoded) -> Rows | None:
    """Give a row for each prompt, with the settings."""
    body = decoded.request
    texts = _inputs(body["prompt"])
    answer = decoded.answer
    is_such = decoded.told or decoded.ends("completions") or _is_of(answer, "choices")
    if not texts or not is_such:
        return None
    rows = [{**text, **_settings(body)} for text in texts]
    return decoded.rows("openai_completions", rows, _chosen(answer, len(rows)))


def read_embeddings(decoded: Decoded) -> Rows | None:
    """Give a row for each text, or for each list of tokens."""
    answer = decoded.answer
    is_such = decoded.told or decoded.ends("embeddings") or _is_list(answer)
    rows = _inputs(decoded.request["input"]) if is_such else None
    return decoded.rows("openai_embeddings", rows, _embeddings(answer)) if rows else None


def _inputs(value: Any) -> list[dict[str, Any]] | None:
    if type(value) is str:
        return [text_row(value)]
    if type(value) is not list:
        return None
    held = kinds(value)
    if held == {int}:
        return [{"tokens": value}]  # one input, already in tokens
    if held == {list}:
        return [{"tokens": tokens} for tokens in value]
    return list(map(text_row, value)) if held == {str} else None


def _settings(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in SETTINGS if type(body.get(name)) in (int, float, str)}


def _words(content: Any) -> Any:
    """Give the text of a message, which may come in parts between images."""
    if type(content) is not list:
        return content
    texts = [part.get("text") for part in content if type(part) is dict]
    return "\n".join(text for text in texts if type(text) is str)


def _chosen(answer: Any, rows: int) -> Any:
    """Give the first choice of each row: more are other answers to the same question."""
    chunks = answer if type(answer) is Events else [answer]
    parts: dict[int, list[str]] = {}
    for chunk in chunks:
        choices = chunk.get("choices") if type(chunk) is dict else None
        for place, choice in enumerate(choices if type(choices) is list else ()):
            if type(choice) is dict:
                _add(parts, choice, place)
    if not parts:
        return _last_message(answer)
    each = len(parts) // rows or 1
    if len(parts) != rows * each:
        return []
    # A choice without a text has called a tool.
    return ["".join(parts.get(row * each, ())) or None for row in range(rows)]


def _add(parts: dict[int, list[str]], choice: dict[str, Any], place: int) -> None:
    at = choice.get("index", place)
    said = choice.get("message", choice.get("delta"))
    text = _words(said.get("content")) if type(said) is dict else choice.get("text")
    if type(at) is int:
        parts.setdefault(at, []).extend([text] if type(text) is str else ())


def _last_message(answer: Any) -> Any:
    """Give the text of an answer in messages, as MLflow's agents write it."""
    messages = answer.get("messages") if type(answer) is dict else None
    if type(messages) is list and messages and type(messages[-1]) is dict:
        return [_words(messages[-1].get("content"))]
    return NO_ANSWER if type(answer) is Events else answer


def _embeddings(answer: Any) -> Any:
    """Give the vectors by their index: the order of an answer is not promised."""
    if not _is_list(answer):
        return answer
    found = {
        item.get("index", place): _vector(item.get("embedding"))
        for place, item in enumerate(answer["data"])
        if type(item) is dict and type(item.get("index", place)) is int
    }
    return [found[index] for index in sorted(found)]


def _vector(value: Any) -> Any:
    if type(value) is not str:
        return value
    try:
        data = base64.b64decode(value)
    except ValueError:
        return None
    return list(struct.unpack(f"<{len(data) // 4}f", data[: len(data) // 4 * 4]))


def _is_list(answer: Any) -> bool:
    return _is_of(answer, "data") and answer.get("object") == "list"


def _is_of(answer: Any, key: str) -> bool:
    if type(answer) is Events:
        return any(_is_of(event, key) for event in answer)
    return type(answer) is dict and type(answer.get(key)) is list
