"""Payloads of known protocols that nothing here reads: better no rows than wrong ones."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import CONTAINERS
from drift_middleware.schemas import Rows

# Plain words are features too, when they hold a scalar; a protocol puts a list or an object there.
HOLDERS = frozenset(
    {
        "dataframe_records",  # MLflow
        "dataframe_split",
        "examples",  # TensorFlow Serving, classify and regress
        "input",  # LitServe, Cog, OpenAI embeddings
        "input_data",  # Azure ML
        "jsonData",  # Seldon
        "messages",  # OpenAI chat
    }
)
# These are nobody's features.
NAMES = frozenset({"binData", "strData"})  # Seldon
KEYS = HOLDERS | NAMES | {"data", "inputs"}
SELDON_ARRAYS = frozenset({"ndarray", "tensor", "tftensor"})
TENSOR = frozenset({"name", "shape", "datatype"})


def read(decoded: Decoded) -> Rows | None:
    """Raise SkipError for a payload of theirs."""
    body = decoded.request
    # The view's own isdisjoint walks these, which are fewer than the features.
    if type(body) is not dict or body.keys().isdisjoint(KEYS):
        return None
    if (
        any(type(body.get(key)) in CONTAINERS for key in HOLDERS)
        or not body.keys().isdisjoint(NAMES)
        or _is_seldon(body.get("data"))
        or _is_open_inference(body.get("inputs"))
    ):
        raise SkipError(Reason.FORMAT)
    return None


def _is_seldon(value: Any) -> bool:
    return type(value) is dict and not value.keys().isdisjoint(SELDON_ARRAYS)


def _is_open_inference(inputs: Any) -> bool:
    return (
        type(inputs) is list
        and bool(inputs)
        and all(type(item) is dict and item.keys() >= TENSOR for item in inputs)
    )
