"""TensorFlow Serving by row, column and example; KServe V1, Vertex AI and SageMaker by row."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import AS_SENT, Decoded, shape
from drift_middleware.capture.outputs import Scores
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import by_index, has_scalar, kinds, transposed, unwrapped
from drift_middleware.schemas import Rows

INSTANCES = frozenset({"instances"})
COLUMNS = frozenset({"inputs"})
EXAMPLES = frozenset({"examples"})
# What is common to all examples is a part of each: a small body could fill the memory.
MOST_CELLS = 100_000


def read_instances(decoded: Decoded) -> Rows | None:
    """Give a row for each instance; `signature_name` and `parameters` are no features."""
    instances = decoded.request["instances"]
    if type(instances) is not list:
        return None
    # A scalar is a row of its own: https://www.tensorflow.org/tfx/serving/api_rest#predict_api
    if shape(instances) == "records":
        instances = list(map(unwrapped, instances))
    return decoded.rows("tfs_row", instances)


def read_columns(decoded: Decoded) -> Rows | None:
    """Give a row for each value of the columns, or the one row of one record."""
    inputs = decoded.request["inputs"]
    if type(inputs) is not dict:
        return None
    rows = transposed(inputs)
    rows = by_index(inputs) if rows is None else rows
    if not rows and (has_scalar(inputs) or (_has_lists(inputs) and decoded.answers(1))):
        rows = [inputs]
    if not rows:
        # Tensors need not share their first dimension, and then nothing says what a row is.
        raise SkipError(
            Reason.AMBIGUOUS if _has_lists(inputs) and rows is None else Reason.NOT_A_PREDICTION
        )
    return decoded.rows("tfs_columnar", rows)


def read_examples(decoded: Decoded) -> Rows | None:
    """Give a row for each example to classify, with what is common to all of them."""
    body = decoded.request
    examples, context = body["examples"], body.get("context")
    if type(examples) is not list or kinds(examples) != {dict}:
        return None
    common = context if type(context) is dict else {}
    if len(common) * len(examples) > max(MOST_CELLS, 2 * len(decoded.exchange.request_body)):
        raise SkipError(Reason.TRUNCATED)
    rows = [{**common, **example} for example in examples]
    if not any(rows):
        raise SkipError(Reason.NOT_A_PREDICTION)
    return decoded.rows("tfs_examples", rows, _results(decoded.answer))


def _results(answer: Any) -> Any:
    """Read `[[["yes", 0.9], ["no", 0.1]], ...]` as scores by class; values as they are."""
    # The specification says `result`, its own example `results`.
    key = "results" if type(answer) is dict and "results" in answer else "result"
    if type(answer) is not dict or type(answer.get(key)) is not list:
        return AS_SENT
    return [Scores(one) if _are_pairs(one) else one for one in answer[key]]


def _are_pairs(values: Any) -> bool:
    return type(values) is list and all(
        type(pair) is list
        and len(pair) == 2
        and type(pair[0]) is str
        and type(pair[1]) in (float, int)
        for pair in values
    )


def _has_lists(inputs: dict[str, Any]) -> bool:
    return list in kinds(list(inputs.values()))
