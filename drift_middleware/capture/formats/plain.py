"""The body is the rows: one record, a list of records, a matrix, or a flat list."""

from __future__ import annotations

from drift_middleware.capture.decoded import Decoded, shape
from drift_middleware.capture.formats import bentoml, columnar
from drift_middleware.capture.records import CONTAINERS, has_scalar
from drift_middleware.schemas import Rows


def read_record(decoded: Decoded) -> Rows | None:
    """Give one row if one of its values is a scalar, or it is of vectors."""
    body = decoded.request
    if not body:
        return None
    # Nearly every record begins with a scalar.
    if type(next(iter(body.values()))) in CONTAINERS and not (decoded.told or _is_row(decoded)):
        return None
    return decoded.rows("record", [body])


def read_records(decoded: Decoded) -> Rows | None:
    """Give a row for each record."""
    return decoded.rows("records", decoded.request) if shape(decoded.request) == "records" else None


def read_matrix(decoded: Decoded) -> Rows | None:
    """Give a row for each list, or settle whether a flat list is one."""
    body = decoded.request
    name = shape(body)
    if name == "records":
        return None
    return decoded.rows("matrix", decoded.settle(body) if name == "flat" else body)


def _is_row(decoded: Decoded) -> bool:
    """Tell one row from rows under a name, and from columns."""
    body = decoded.request
    is_row = has_scalar(body)
    if is_row and dict not in map(type, body.values()):
        return True
    return bentoml.find(decoded) is None and (is_row or columnar.are_vectors(decoded))
