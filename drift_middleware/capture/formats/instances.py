"""`{"instances": [...]}`: KServe V1, TensorFlow Serving by row, Vertex AI, SageMaker, MLflow."""

from __future__ import annotations

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.schemas import Rows

KEYS = frozenset({"instances"})


def read(decoded: Decoded) -> Rows | None:
    """Give a row for each instance; `signature_name` and `parameters` are no features."""
    body = decoded.request
    if type(body) is not dict or type(instances := body.get("instances")) is not list:
        return None
    # A scalar is a row of its own: https://www.tensorflow.org/tfx/serving/api_rest#predict_api
    shape(instances)
    return decoded.rows("tfs_row", instances)
