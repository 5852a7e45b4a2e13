"""Descriptors: what is watched of a column that is neither a number nor a category.

A text, a time or a vector cannot be cut into cells itself; what it is described by can: its length,
its hour, its norm.  Each such part is a signal of its own, `column.part`.  A descriptor holds what
it learned from the baseline and is never changed: given it, a row's parts are fixed functions of
that row, which is what the evidence needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.float64] | list[str | None]
"numbers, NaN where a row has none; or names of levels, None where it has none"


class Descriptor(Protocol):
    """Describes the values of one column."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `describe` gives, in order."""
        ...

    @property
    def learned(self) -> frozenset[str]:
        """Parts that depend on values of the baseline: to be cut on rows it did not learn from."""
        ...

    @property
    def is_nested(self) -> bool:
        """Whether values are lists, too big to keep: their parts are kept instead."""
        ...

    def describe(self, values: Sequence[Any], at: Sequence[float] | None) -> dict[str, Part]:
        """Describe values as they come in a payload; never raises, whatever they are.

        Parameters
        ----------
        values : (rows,)
            Of the column; what is no such value (None, another type) has no parts.
        at : (rows,) or None
            Arrival, seconds since the epoch; None where nobody knows.

        Returns
        -------
        dict of part -> (rows,)
        """
        ...
