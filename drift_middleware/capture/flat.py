"""Flat: the one record that an endpoint is known to be asked with, read in half the time.

Most model servers are asked with records of the same scalars over and over.  A decoder that knows
their names gives their values, and refuses anything else: that is read as if nothing were known.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import astuple

from drift_middleware.capture.codecs.documents import REFUSED
from drift_middleware.capture.formats import KEYS
from drift_middleware.capture.outputs import join
from drift_middleware.capture.read import answer_of
from drift_middleware.capture.reasons import SkipError
from drift_middleware.capture.records import BINARY, CONTAINERS, MOST_COLUMNS, MOST_ROWS
from drift_middleware.schemas import Exchange, Rows

RECORD = "record"
MOST_KNOWN = 100
"records of different names; a decoder of 500 names takes 200 KB"
Scalar = int | float | str | bool | None


class Flat:
    """Reads exchanges whose request is one record of exactly these names, all scalars.

    Parameters
    ----------
    names
        In the order in which they come, nearly always.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        fields = [f"f{i}" for i in range(len(names))]
        record = msgspec.defstruct(
            "Record",
            [(field, Scalar) for field in fields],
            rename=dict(zip(fields, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode = msgspec.json.Decoder(record).decode

    @classmethod
    def of(cls, row: Any) -> Flat | None:
        """Know a record by one that was read; None if it is not flat, or may be more than a row."""
        if type(row) is not dict or not 1 < len(row) <= MOST_COLUMNS or BINARY in row:
            return None
        if not row.keys().isdisjoint(KEYS) or not CONTAINERS.isdisjoint(map(type, row.values())):
            return None
        try:
            return cls(tuple(row))
        except ValueError:  # a name that no decoder takes, such as one with a NUL
            return None

    def read(self, exchange: Exchange) -> Rows | None:
        """Give what `read` gives, with the row as a tuple; None for any other exchange."""
        body = exchange.request_body
        if body[:1] != b"{" or body[-1:] != b"}" or len(body) > MOST_ROWS:
            return None
        if not 200 <= exchange.status < 300 or exchange.truncated:
            return None
        try:
            row = astuple(self._decode(body))
            predictions, unaligned = join(answer_of(exchange), 1)
        except (*REFUSED, SkipError):
            return None
        # Tuples: the garbage collector forgets those that hold nothing but numbers and texts.
        found = None if predictions is None else tuple(predictions)
        return Rows((row,), found, RECORD, None, unaligned, self.names)


class Flats:
    """The records that some endpoint is known for, each once and never too many."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Flat] = {}

    def of(self, row: Any) -> Flat | None:
        """Know a record by one that was read, if there is room; see `Flat.of`."""
        names = tuple(row) if type(row) is dict else ()
        if names not in self._known and len(self._known) < MOST_KNOWN:
            flat = Flat.of(row)
            if flat is not None:
                self._known[names] = flat
        return self._known.get(names)
