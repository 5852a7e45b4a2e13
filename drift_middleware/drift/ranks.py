"""Ranks: numbers of several signals to their cells, all signals at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.cells import Cells, Floats

Places = NDArray[np.intp]


class Ranks:
    """The edges of several signals, one after the other.

    A call of numpy costs as much as a hundred values of a column, and a batch has few of them: all
    that is not a search is done for the values of all columns together.

    Parameters
    ----------
    cells
        Of each signal; one that has no edges is not asked for.
    """

    def __init__(self, cells: Sequence[Cells]) -> None:
        self._edges = [np.array(each.edges, float) for each in cells]
        self._keys = [np.array(each.keys) for each in cells]
        # Of a value between two edges: the keys below it, which are those of all lower edges.
        below = [
            np.searchsorted(keys, np.arange(len(edges) + 1))
            for keys, edges in zip(self._keys, self._edges, strict=True)
        ]
        lengths = np.array([len(edges) for edges in self._edges])
        # At the end one that equals nothing, the only one of a signal without edges.
        self._all_edges: Floats = np.concatenate([*self._edges, [np.nan]])
        self._all_below: Places = np.concatenate(below)
        ends = np.cumsum(lengths)
        self._first = np.where(lengths > 0, ends - lengths, len(self._all_edges) - 1)
        self._last = np.where(lengths > 0, ends - 1, len(self._all_edges) - 1)
        self._first_below = ends - lengths + np.arange(len(lengths))

    def place(self, which: Sequence[int], x: Floats, rng: np.random.Generator) -> Places:
        """Find the cell of every number.

        Parameters
        ----------
        which : (signals,)
            Whose numbers they are.
        x : (signals, rows)
            What is NaN gets a place that means nothing.
        rng
            Draws a uniform for every number that equals an edge.

        Returns
        -------
        (signals, rows) array
        """
        at = np.empty(x.shape, np.intp)
        for i, values, found in zip(which, x, at, strict=True):
            found[:] = self._edges[i].searchsorted(values)
        chosen = np.array(which)[:, None]
        next_edge = np.minimum(at + self._first[chosen], self._last[chosen])
        tied = self._all_edges.take(next_edge) == x
        cells: Places = self._all_below.take(at + self._first_below[chosen])
        for row in np.flatnonzero(tied.any(axis=1)).tolist():
            ties = tied[row]
            ranks = at[row, ties] + rng.random(int(ties.sum()))
            cells[row, ties] = np.searchsorted(self._keys[which[row]], ranks)
        return cells
