"""One exchange as objects: what a format looks at, and how it says what it found."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from drift_middleware.capture.outputs import join
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import CONTAINERS, kinds
from drift_middleware.schemas import Exchange, Rows


class Decoded(Struct, gc=False):
    """The bodies of one exchange as objects, and the exchange for its path and headers."""

    request: Any
    answer: Any
    "NO_ANSWER where the response body is no object"
    exchange: Exchange

    def rows(self, name: str, features: list[Any]) -> Rows:
        """Give these rows, each with its prediction where the answer has one for each."""
        predictions, unaligned = join(self.answer, len(features))
        return Rows(features=features, predictions=predictions, format=name, unaligned=unaligned)

    def settle(self, values: list[Any]) -> list[Any]:
        """Tell if a flat list of scalars is one row, or one row each, by the number of answers."""
        one, _ = join(self.answer, 1)
        many, _ = join(self.answer, len(values))
        if len(values) == 1 or (one is not None and many is None):
            return [values]
        if many is not None and one is None:
            return values
        raise SkipError(Reason.AMBIGUOUS)


def shape(items: list[Any]) -> Literal["records", "matrix", "flat"]:
    """Tell what rows a list holds, or raise SkipError: nothing, empty records, or a mixture."""
    held = kinds(items)
    if held == {dict} and any(items):
        return "records"
    if held == {list} and any(items):
        return "matrix"
    if held and held.isdisjoint(CONTAINERS):
        return "flat"
    raise SkipError(Reason.NOT_A_PREDICTION)
