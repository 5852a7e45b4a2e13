"""The body is the rows: one record, a list of records, a matrix, or a flat list."""

from __future__ import annotations

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.capture.records import has_scalar
from drift_middleware.schemas import Rows


def read(decoded: Decoded) -> Rows | None:
    """Give the rows; a record needs a scalar somewhere to be one."""
    body = decoded.request
    if type(body) is dict:
        return decoded.rows("record", [body]) if has_scalar(body) else None
    if type(body) is not list:
        return None
    name = shape(body)
    if name == "flat":
        return decoded.rows("matrix", decoded.settle(body))
    return decoded.rows(name, body)
