"""Signals: what is watched of a column, and where its cells lie among those of all the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

from drift_middleware.drift.cells import Cells
from drift_middleware.schemas import Kind, Role


class Signal(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One watched quantity: a column itself, or a part that it is described by."""

    name: str
    column: str
    role: Role
    cells: Cells
    part: str = ""
    "what its column's descriptor gives; empty for the values themselves"
    made_of: tuple[str, ...] = ()
    "of the joint signal: the columns whose dependence it watches"

    @property
    def kind(self) -> Kind:
        """How its cells relate: on a line, or not at all."""
        return "ordered" if self.cells.ordered else "categorical"


class Layout:
    """Places of all signals in one flat tally: the cells of each, then its missing values.

    Attributes
    ----------
    size : int
        Places in all.
    starts : list of int
        First place of each signal; its missing values are at `starts[i] + len(cells)`.
    """

    def __init__(self, signals: Sequence[Signal]) -> None:
        widths = [len(signal.cells) + 1 for signal in signals]
        self.names = [signal.name for signal in signals]
        self.starts = [0, *accumulate(widths)][:-1]
        self.size = sum(widths)

    def split(self, counts: Sequence[int]) -> dict[str, list[int]]:
        """Give each signal its own part of a flat tally."""
        ends = [*self.starts[1:], self.size]
        return {
            name: list(counts[start:end])
            for name, start, end in zip(self.names, self.starts, ends, strict=True)
        }
