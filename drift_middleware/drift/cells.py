"""Cells: how the values of one signal are cut, once, from its baseline.  Counting is in `tally`."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Probabilities of the edges of an ordered signal: deciles, and the outermost percents.
RANKS = np.array([0, 0.01, *np.arange(1, 10) / 10, 0.99, 1])
# Up to FEW distinct numbers, or the FEW most frequent levels, have a cell of their own.
FEW = 10
LARGEST = float(np.finfo(float).max)


class Cells(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The cells of one signal.  One place past the last cell counts the missing values.

    A rank cell is cut between order statistics of the pairs (value, uniform draw), so that the
    rank of a new pair among the baseline's is uniform whatever the distribution, ties included.
    """

    ordered: bool
    weights: tuple[float, ...]
    "(cells,) starting weight of each cell in the urn, about the baseline's count of it"
    novel: tuple[int, ...]
    "cells that hold what the baseline never showed"
    present: int
    "baseline rows with a value"
    missing: int
    "baseline rows without one"
    edges: tuple[float, ...] = ()
    "rank cells: the distinct values at the edges, ascending"
    keys: tuple[float, ...] = ()
    "rank cells: index of the edge's value plus the edge's draw, ascending; one fewer than cells"
    values: tuple[float | str, ...] = ()
    "value cells: all that the baseline showed, those with a cell of their own first"
    means: tuple[float, ...] = ()
    "ordered: mean of the baseline's values in each cell; the nearest edge for an empty one"
    spread: float = 0.0
    "ordered: standard deviation of the baseline's values"

    def __len__(self) -> int:
        return len(self.weights)

    def labels(self) -> list[str]:
        """Name each cell, for people: `(35, 50]`, `EWR`, `other`, `never seen`."""
        if self.edges:
            names = name_numbers(self.edges)
            at = [names[int(key)] for key in self.keys]
            inner = [low if low == high else f"({low}, {high}]" for low, high in pairwise(at)]
            return [f"< {at[0]}", *inner, f"> {at[-1]}"]
        numbers = tuple(value for value in self.values if isinstance(value, float))
        own = name_numbers(numbers) or [str(level) for level in self.values[:FEW]]
        other = ["other"] if len(self.values) > FEW else []
        return [*own, *other, "never seen"]


# A report of many signals writes the same edges after every check.
@lru_cache(maxsize=1024)
def name_numbers(numbers: tuple[float, ...]) -> tuple[str, ...]:
    """Write distinct numbers as short as keeps them distinct: as a rule with six digits."""
    names: list[str] = []
    for digits in (6, 9, 17):
        names = [f"{number + 0.0:.{digits}g}" for number in numbers]  # + 0.0: no sign on a zero
        if len(set(names)) == len(numbers):
            break
    return tuple(names)


def cut_numbers(values: Floats, rng: np.random.Generator) -> Cells:
    """Cut an ordered signal.

    Parameters
    ----------
    values : (rows,) float64
        Baseline values in any order, NaN where missing.  Infinities count as the largest number.
    rng
        Draws the uniforms that order equal values.
    """
    present = np.nan_to_num(values[~np.isnan(values)], posinf=LARGEST, neginf=-LARGEST)
    missing = len(values) - len(present)
    distinct, counts = np.unique(present, return_counts=True)
    if len(distinct) > FEW:
        return _cut_at_ranks(present, missing, rng)
    weights, novel = _value_weights(counts.astype(float))
    means = (*distinct.tolist(), float(distinct[-1]) if len(distinct) else 0.0)
    return Cells(
        ordered=True,
        weights=weights,
        novel=novel,
        present=len(present),
        missing=missing,
        values=tuple(distinct.tolist()),
        means=means,
        spread=_spread(present),
    )


def cut_levels(levels: list[str | None]) -> Cells:
    """Cut a categorical signal: the most frequent levels, the other known ones, the never seen."""
    counted = Counter(level for level in levels if level is not None).most_common()
    present = sum(count for _, count in counted)
    weights, novel = _value_weights(np.array([count for _, count in counted], float))
    return Cells(
        ordered=False,
        weights=weights,
        novel=novel,
        present=present,
        missing=len(levels) - present,
        values=tuple(level for level, _ in counted),
    )


def _value_weights(counts: Floats) -> tuple[tuple[float, ...], tuple[int, ...]]:
    # Leave one out (Good 1953): without its own row a value seen once would be never seen,
    # so the rows of such values estimate exactly the mass of the last cell.
    again = np.where(counts == 1, 0.0, counts)
    other = [again[FEW:].sum() + 0.5] if len(counts) > FEW else []
    weights = [*(again[:FEW] + 0.5), *other, float((counts == 1).sum()) + 1.0]
    return tuple(float(weight) for weight in weights), (len(weights) - 1,)


def _cut_at_ranks(values: Floats, missing: int, rng: np.random.Generator) -> Cells:
    rows = len(values)
    draws = rng.random(rows)
    order = np.lexsort((draws, values))
    ordered = values[order]
    ranks = np.unique(np.clip(np.round(RANKS * (rows + 1)), 1, rows).astype(int))
    edges, group = np.unique(ordered[ranks - 1], return_inverse=True)
    weights = np.diff(np.concatenate(([0], ranks, [rows + 1])))
    # An extreme value that is an atom of the baseline is nothing new when it comes again.
    novel = [0] if ordered[0] < ordered[1] else []
    novel += [len(weights) - 1] if ordered[-1] > ordered[-2] else []
    return Cells(
        ordered=True,
        weights=tuple(weights.astype(float).tolist()),
        novel=tuple(novel),
        present=rows,
        missing=missing,
        edges=tuple(edges.tolist()),
        keys=tuple((group + draws[order][ranks - 1]).tolist()),
        means=_cell_means(ordered, ranks),
        spread=_spread(values),
    )


def _cell_means(ordered: Floats, ranks: NDArray[np.int64]) -> tuple[float, ...]:
    with np.errstate(over="ignore", invalid="ignore"):
        means = [
            piece.mean() if len(piece) else ordered[0] for piece in np.split(ordered, ranks - 1)
        ]
    finite = np.nan_to_num(np.array(means), posinf=LARGEST, neginf=-LARGEST)
    return tuple(finite.tolist())


def _spread(values: Floats) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(values.std()) if len(values) else 0.0
    return spread if np.isfinite(spread) else LARGEST
