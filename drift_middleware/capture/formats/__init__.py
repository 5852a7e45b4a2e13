"""Objects to rows: one small file for each family of payloads, tried in order.

A format is a function that gives the rows of its own payloads and None for all others, and the keys
of which every record of its has one (none, if it takes any record):

    KEYS = frozenset({"dataframe_records"})

    def read(decoded: Decoded) -> Rows | None:
        if type(decoded.request) is not dict or "dataframe_records" not in decoded.request:
            return None
        return decoded.rows("mlflow", decoded.request["dataframe_records"])

To add one, write it in a file of its own and put one line here, before all that is less specific.
It may raise SkipError for a payload that is its own but has no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.formats import foreign, inputs, instances, plain
from drift_middleware.schemas import Rows


class Format(NamedTuple):
    """One entry of the registry."""

    keys: frozenset[str]
    read: Callable[[Decoded], Rows | None]


FORMATS = (
    Format(foreign.KEYS, foreign.read),
    Format(instances.KEYS, instances.read),
    Format(inputs.KEYS, inputs.read),
    Format(frozenset(), plain.read),
)
# Most requests are plain records: one look at their keys rules all the others out.
KEYS = frozenset().union(*(each.keys for each in FORMATS))
GENERAL = tuple(each for each in FORMATS if not each.keys)


def formats_of(request: Any) -> Sequence[Format]:
    """Return the formats that a request may be of, the most specific first."""
    return GENERAL if type(request) is dict and request.keys().isdisjoint(KEYS) else FORMATS
