"""Azure Machine Learning: `input_data` of MLflow models, `Inputs` of the designer and AutoML."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import AS_SENT, Decoded, shape
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import by_index, has_scalar, kinds, split, transposed
from drift_middleware.schemas import Rows

KEYS = frozenset({"Inputs", "input_data"})


def read(decoded: Decoded) -> Rows | None:
    """Give the rows of a data frame, of records or of texts; `params` are no features."""
    body = decoded.request
    value = body.get("input_data")
    if type(value) is list:
        return decoded.rows("azureml", _of_list(decoded, value))
    if type(value) is dict:
        return decoded.rows("azureml", _of_record(decoded, value))
    value = _only(body.get("Inputs"))
    if type(value) is not list:
        return None
    answer = decoded.answer
    held = answer.get("Results") if type(answer) is dict else None
    return decoded.rows(
        "azureml", _of_list(decoded, value), AS_SENT if held is None else _only(held)
    )


def _only(value: Any) -> Any:
    """Take the rows out of the only port: `{"data": [...]}`, `{"WebServiceInput0": [...]}`."""
    return next(iter(value.values())) if type(value) is dict and len(value) == 1 else value


def _of_list(decoded: Decoded, values: list[Any]) -> list[Any]:
    if shape(values) != "flat":
        return values
    return [{"text": text} for text in values] if kinds(values) == {str} else decoded.settle(values)


def _of_record(decoded: Decoded, value: dict[str, Any]) -> list[Any]:
    if "data" in value:
        return _of_list(decoded, split(value))
    if type(texts := value.get("input_string")) is list:
        return _of_list(decoded, texts)
    if (frame := by_index(value)) is not None:
        return frame
    columns = transposed(value)
    if columns and decoded.answers(len(columns)):
        return list(columns)
    if has_scalar(value) or columns is None:
        return [value] if value else []
    raise SkipError(Reason.AMBIGUOUS)
