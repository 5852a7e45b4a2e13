"""The body is the rows: one record, a list of records, a matrix, or a flat list."""

from __future__ import annotations

from typing import Any

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.capture.outputs import join
from drift_middleware.capture.records import has_scalar, is_numeric
from drift_middleware.schemas import Rows


def read(decoded: Decoded) -> Rows | None:
    """Give the rows; a record without a scalar is one if there is one answer to its lists."""
    body = decoded.request
    if type(body) is dict:
        is_row = has_scalar(body) or (bool(body) and _is_one_row(decoded, body))
        return decoded.rows("record", [body]) if is_row else None
    if type(body) is not list:
        return None
    name = shape(body)
    if name == "flat":
        return decoded.rows("matrix", decoded.settle(body))
    return decoded.rows(name, body)


def _is_one_row(decoded: Decoded, record: dict[str, Any]) -> bool:
    """Tell a record of vectors from columns, and from what is no model's at all."""
    values = list(record.values())
    if not all(map(is_numeric, values)):
        return False
    one, _ = join(decoded.answer, 1)
    return one is not None and all(join(decoded.answer, len(v))[0] is None for v in values)
