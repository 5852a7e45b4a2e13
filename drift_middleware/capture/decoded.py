"""One exchange as objects: what a format looks at, and how it says what it found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from drift_middleware.capture.outputs import join
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import CONTAINERS, TEXT, bounded, kinds
from drift_middleware.schemas import Exchange, Headers, Rows

AS_SENT: Final = object()
"""Stands for the answer as it is, where a format has nothing to take out of it."""


class Decoded(Struct, gc=False):
    """The bodies of one exchange as objects, and the exchange for its path and headers."""

    request: Any
    answer: Any
    "NO_ANSWER where the response body says nothing"
    exchange: Exchange
    columns: Sequence[str] = ()
    "the features that are watched, where that is known"
    told: bool = False
    "the format was named, not detected: what only hints at it need not be there"

    def rows(self, name: str, features: list[Any], answer: Any = AS_SENT) -> Rows:
        """Give these rows, each with its prediction where the answer has one for each."""
        if not features:
            raise SkipError(Reason.NOT_A_PREDICTION)
        bounded(len(features))
        if self.columns:
            features = self._positional(features)
        predictions, unaligned = join(self.answer if answer is AS_SENT else answer, len(features))
        return Rows(features=features, predictions=predictions, format=name, unaligned=unaligned)

    def answers(self, rows: int) -> bool:
        """Tell whether the answer has one prediction for each of so many rows."""
        return join(self.answer, rows)[0] is not None

    def settle(self, values: list[Any]) -> list[Any]:
        """Tell if a list of scalars is one row or one row each: by the answer, then the columns."""
        if len(values) == 1:
            return [values]
        one, many = self.answers(1), self.answers(len(values))
        if one == many:
            one, many = len(self.columns) == len(values), len(self.columns) == 1
        if one == many:
            raise SkipError(Reason.AMBIGUOUS)
        return [values] if one else values

    def columns_miss(self, names: Collection[str]) -> bool:
        """Tell that none of these is a feature that is watched."""
        return not self.columns or set(names).isdisjoint(self.columns)

    def ends(self, *names: str) -> bool:
        """Tell whether the path's last part is one of these."""
        return self.exchange.path.rstrip("/").rpartition("/")[2] in names

    def _positional(self, features: list[Any]) -> list[Any]:
        """Take rows out of the one name that holds them, if it has a value for each column."""
        first = features[0]
        if type(first) is not dict or len(first) != 1:
            return features
        ((name, values),) = first.items()
        width = len(self.columns)
        if name == TEXT and width == 1 and TEXT not in self.columns:
            return [
                row.get(TEXT) for row in features
            ]  # whatever the model's only feature is called
        if name in self.columns or type(values) is not list or len(values) != width:
            return features
        rows = [row.get(name) if type(row) is dict else None for row in features]
        fit = all(type(row) is list and len(row) == width for row in rows)
        return rows if fit else features


def content_type(headers: Headers) -> bytes:
    """Give the declared content type, in lower case."""
    return next((value.lower() for name, value in headers if name.lower() == b"content-type"), b"")


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
