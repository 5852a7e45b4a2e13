"""Text Embeddings Inference: embed, predict (texts or pairs of them), rerank, similarity."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.outputs import NO_ANSWER, classes, is_ranking
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import kinds, text_row
from drift_middleware.schemas import Rows

KEYS = frozenset({"inputs", "query"})
EMBED = ("embed", "embed_all", "embed_sparse")


def read(decoded: Decoded) -> Rows | None:
    """Give a row for each text, or pair of texts.  Only the path tells it from others' `inputs`."""
    body = decoded.request
    if "query" in body:
        return _rerank(decoded)
    inputs = body["inputs"]
    if decoded.ends("similarity"):
        return _similarity(decoded, inputs)
    if decoded.ends(*EMBED):
        rows = _texts(inputs)
        return decoded.rows("tei", rows) if rows else None
    if decoded.told or decoded.ends("predict"):
        return _predict(decoded, inputs)
    return None


def _texts(inputs: Any) -> list[Any] | None:
    if type(inputs) is str:
        return [text_row(inputs)]
    held = kinds(inputs) if type(inputs) is list else set()
    if held == {int}:
        return [{"tokens": inputs}]
    if held == {list}:
        return [{"tokens": tokens} for tokens in inputs]
    return list(map(text_row, inputs)) if held == {str} else None


def _predict(decoded: Decoded, inputs: Any) -> Rows | None:
    answer = decoded.answer
    if type(inputs) is str:
        found = [classes(answer)] if type(answer) is list and is_ranking(answer) else answer
        return decoded.rows("tei", [text_row(inputs)], found)
    if type(inputs) is not list or not inputs:
        return None
    if kinds(inputs) == {list} and all(kinds(part) == {str} for part in inputs):
        return decoded.rows("tei", [{"text": part} for part in inputs])
    if kinds(inputs) != {str}:
        return None
    if _is_pair(inputs, answer):
        return decoded.rows("tei", [{"text": inputs}], [classes(answer)])
    return decoded.rows("tei", list(map(text_row, inputs)))


def _is_pair(texts: list[str], answer: Any) -> bool:
    """Tell `["a", "b"]` as one pair, which is how a cross-encoder is asked, from two texts."""
    if type(answer) is not list or not is_ranking(answer):
        if len(texts) == 2 and answer is NO_ANSWER:
            raise SkipError(Reason.AMBIGUOUS)
        return False  # each text has classes of its own
    if len(answer) != len(texts):
        return len(texts) == 2
    if len({one["label"] for one in answer}) < len(answer):
        return False
    if len(texts) == 2 and abs(sum(one["score"] for one in answer) - 1) < 1e-2:
        return True
    raise SkipError(Reason.AMBIGUOUS)


def _rerank(decoded: Decoded) -> Rows | None:
    body = decoded.request
    query, texts = body["query"], body.get("texts", body.get("documents"))
    if type(query) is not str or type(texts) is not list or kinds(texts) != {str}:
        return None
    rows = [{"query": query, "text": text} for text in texts]
    answer = decoded.answer
    ranked = answer.get("results") if type(answer) is dict else answer
    return decoded.rows("tei", rows, _by_index(ranked, len(rows)))


def _by_index(ranked: Any, rows: int) -> Any:
    """Give the score of each text: answers are in order of score, and may be the best only."""
    if type(ranked) is not list or kinds(ranked) != {dict}:
        return ranked
    scores = {
        one["index"]: one.get("score", one.get("relevance_score"))
        for one in ranked
        if type(one.get("index")) is int
    }
    if not scores or not all(0 <= index < rows for index in scores):
        return []
    return [scores.get(index) for index in range(rows)]


def _similarity(decoded: Decoded, inputs: Any) -> Rows | None:
    if type(inputs) is not dict or type(texts := inputs.get("sentences")) is not list:
        return None
    source = inputs.get("source_sentence")
    return decoded.rows("tei", [{"query": source, "text": text} for text in texts])
