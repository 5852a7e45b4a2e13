"""Confidence: how sure a model says it is, and how far from its usual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from msgspec import Struct

from drift_middleware.drift.descriptors import Part
from drift_middleware.drift.tally import numbers


class Confidence(Struct, frozen=True, forbid_unknown_fields=True, tag="confidence"):
    """The value itself, and its distance from the baseline's median.

    A model that becomes erratic keeps its mean confidence and loses its steadiness: then only the
    distance moves.
    """

    center: float

    parts = ("", "spread")
    learned = frozenset({"spread"})
    is_nested = False

    @classmethod
    def learn(cls, values: Sequence[Any]) -> Self:
        """Learn the center; NaN, hence no distance, where there is no value."""
        known = numbers(values)
        known = known[~np.isnan(known)]
        return cls(float(np.median(known)) if len(known) else np.nan)

    def describe(self, values: Sequence[Any], at: Sequence[float] | None) -> dict[str, Part]:  # noqa: ARG002  # as every descriptor
        """Give the values as numbers, and how far they are from the center."""
        known = numbers(values)
        return {"": known, "spread": np.abs(known - self.center)}
