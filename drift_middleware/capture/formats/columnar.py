"""A record of nothing but lists: columns, or vectors that are the values of one row."""

from __future__ import annotations

from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import height, is_numeric, transposed
from drift_middleware.schemas import Rows


def read(decoded: Decoded) -> Rows | None:
    """Give a row for each value of the columns."""
    if not height(decoded.request) or not (decoded.told or are_columns(decoded)):
        return None
    return decoded.rows("columnar", transposed(decoded.request) or [])


def are_vectors(decoded: Decoded) -> bool:
    """Tell whether there is one answer to lists of numbers, which are no columns."""
    body = decoded.request
    if are_columns(decoded) or not decoded.answers(1):
        return False
    return all(map(is_numeric, body.values()))


def are_columns(decoded: Decoded) -> bool:
    """Tell columns by the number of answers, or by their names; raise SkipError for neither."""
    body = decoded.request
    rows = height(body)
    if not rows or any(dict in map(type, values) for values in body.values()):
        return False
    many, one = decoded.answers(rows), decoded.answers(1)
    if many != one:
        return many
    if len(body) > 1 and (many or all(name in decoded.columns for name in body)):
        return True  # no two vectors are of one length by chance
    if rows == 1 or not all(map(is_numeric, body.values())):
        return many  # texts are no vectors
    raise SkipError(Reason.AMBIGUOUS)
