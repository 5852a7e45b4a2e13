"""Cog: `{"input": {...}}`, which the answer repeats beside its `output` and `status`."""

from __future__ import annotations

from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.outputs import NO_ANSWER
from drift_middleware.schemas import Rows

KEYS = frozenset({"input"})


def read(decoded: Decoded) -> Rows | None:
    """Give the one row; what has not succeeded has no prediction."""
    row, answer = decoded.request["input"], decoded.answer
    if type(row) is not dict:
        return None
    is_cog = type(answer) is dict and answer.keys() >= {"output", "status"}
    if not is_cog:
        return decoded.rows("cog", [row]) if decoded.told and row else None
    done = answer["status"] == "succeeded"
    return decoded.rows("cog", [row] if row else [], [answer["output"]] if done else NO_ANSWER)
