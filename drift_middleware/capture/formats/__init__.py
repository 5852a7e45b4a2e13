"""Objects to rows: one small file for each family of payloads, tried in order.

A format is a function that gives the rows of its own payloads and None for all others:

    def read(decoded: Decoded) -> Rows | None:
        if type(decoded.request) is not dict or "dataframe_records" not in decoded.request:
            return None
        return decoded.rows("mlflow", decoded.request["dataframe_records"])

To add one, write it in a file of its own and put one line here, before all that is less specific.
It may raise SkipError for a payload that is its own but has no rows.
"""

from __future__ import annotations

from collections.abc import Callable

from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.formats import foreign, inputs, instances, plain
from drift_middleware.schemas import Rows

FORMATS: tuple[Callable[[Decoded], Rows | None], ...] = (
    foreign.read,
    instances.read,
    inputs.read,
    plain.read,
)
