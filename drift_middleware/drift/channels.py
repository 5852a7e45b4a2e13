"""Channels: the rows of each signal, partitioned up to three ways, side by side in flat arrays.

Fixed once the baseline is cut; what moves from check to check is in `state`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from drift_middleware.drift.cells import Cells
from drift_middleware.drift.distances import gaps_between
from drift_middleware.drift.signals import Layout, Signal

Floats = NDArray[np.float64]
Counts = NDArray[np.number[Any]]
Kind = Literal["value", "missing", "unseen"]

# Of the false-alarm budget: what all predictions share, and what a channel of shares gets.
PREDICTIONS = 0.2
SHARE = 0.15


class Channel(NamedTuple):
    """One partition of one signal's rows: by value, by missing or not, by seen before or not."""

    kind: Kind
    baseline: Floats
    "(cells,) starting weight of each cell in the urn, about the baseline's count of it"
    places: list[list[int]]
    "of each cell: the places of the signal's tally that it sums"
    score: Floats
    "(2, cells) directions in which serial dependence and seasons are looked for"
    tilts: Floats
    "(6, cells) fixed bets, as logarithms of likelihood ratios"
    known: Sequence[bool]
    "of each cell: does it hold what the baseline showed?"
    gaps: Floats | None = None
    "(cells - 1,) along the line, in sd of the baseline; None where cells are not on a line"


def channels_of(cells: Cells) -> list[Channel]:
    """Partition the rows of one signal by value, by missing and, where it can be, by unseen."""
    every, weights = range(len(cells)), np.array(cells.weights)
    known = [cell not in cells.novel for cell in every]
    own = [[cell] for cell in every]
    channels = [
        Channel("value", weights, own, _scores(cells), _value_tilts(cells), known, _gaps(cells)),
        _two_cells("missing", (cells.present + 1, cells.missing + 1), list(every), [len(cells)]),
    ]
    if cells.novel and len(cells) > 2:
        old, new = np.flatnonzero(known).tolist(), list(cells.novel)
        masses = float(weights[old].sum()), float(weights[new].sum())
        channels.append(_two_cells("unseen", masses, old, new))
    return channels


def _two_cells(kind: Kind, masses: tuple[float, float], no: list[int], yes: list[int]) -> Channel:
    weights = np.array(masses, float)
    second = np.array([[0.0, 1.0], [0.0, 1.0]])
    return Channel(kind, weights, [no, yes], second, _share_tilts(weights), [True, True])


def _gaps(cells: Cells) -> Floats | None:
    """Give the gaps between those cells, the first ones, that have a place on a line."""
    means = cells.means if cells.edges else cells.means[:-1]  # "any other number" has no place
    gaps = gaps_between(means, cells.spread) if cells.ordered else np.array([])
    return gaps if len(gaps) else None


def _scores(cells: Cells) -> Floats:
    """Location and spread of an ordered signal; the two most frequent levels of a categorical."""
    weights = np.array(cells.weights)
    if not cells.ordered:
        return np.eye(2, len(cells))
    share = weights / weights.sum()
    middle = np.clip(np.cumsum(share) - share / 2, 1e-4, 1 - 1e-4)
    location = ndtri(middle)
    scores = np.stack([location, location**2 - 1])
    if not cells.edges:
        scores[:, list(cells.novel)] = 0.0  # "any other number" has no place on the line
    return scores


def _value_tilts(cells: Cells) -> Floats:
    if len(cells) == 2:  # a constant: its second cell is any other value
        return _share_tilts(np.array(cells.weights))
    if cells.ordered:
        location, spread = _scores(cells)
        shifts = np.outer((-0.6, -0.15, 0.15, 0.6), location)
        return np.concatenate([shifts, np.outer((0.2, -0.4), spread)])
    doubled = np.log(2) * np.eye(min(3, len(cells)), len(cells))
    return np.resize(np.concatenate([doubled, -doubled]), (6, len(cells)))


def _share_tilts(weights: Floats) -> Floats:
    """Bet that the second cell's share rises by .004 to .25 of the rest, or falls to .5 or .1."""
    share = weights[1] / weights.sum()
    rises = share + (1 - share) * np.array([0.004, 0.015, 0.06, 0.25])
    bets = np.concatenate([rises, share * np.array([0.5, 0.1])])
    odds = np.log(bets / share * (1 - share) / (1 - bets))
    return np.stack([np.zeros(6), odds], axis=1)


class Channels:
    """The channels of all signals, flat: a signal's channels are neighbours, so are their cells.

    Attributes
    ----------
    names, columns : list of str
        Of the signals.
    kinds, is_value : list of str, bool array
        (channels,) `value`, `missing` or `unseen`.
    signal, first : int arrays
        (channels,) the signal of each channel; (signals,) the first channel of each signal.
    of, start : int arrays
        (cells,) the channel of each cell; (channels,) the first cell of each channel.
    baseline, score, tilts, known : arrays
        (..., cells) as in `Channel`, side by side.
    on_line, gaps : bool array, float array
        (cells,) has it a place on a line; how far to the next one, 0 for the last and off the line.
    powers : (5, cells) float64
        Ones, both scores and their squares.
    made_of : list of (signal, signals)
        The joint signal, if there is one, and those of its columns.
    size : int
        Places in a tally, before channels are made of it.
    """

    def __init__(self, signals: Sequence[Signal], shrink: Mapping[str, float]) -> None:
        layout = Layout(signals)
        groups = [channels_of(signal.cells) for signal in signals]
        channels = [channel for group in groups for channel in group]
        widths = [len(channel.baseline) for channel in channels]
        self.names, self.size = layout.names, layout.size
        self.columns = [signal.column for signal in signals]
        self.kinds = [channel.kind for channel in channels]
        self.signal = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        self.first = np.flatnonzero(np.diff(self.signal, prepend=-1))
        self.of = np.repeat(np.arange(len(channels)), widths)
        self.start = np.flatnonzero(np.diff(self.of, prepend=-1))
        design_effect = np.array([shrink.get(name, 1.0) for name in self.names])
        weights = np.concatenate([channel.baseline for channel in channels])
        self.baseline: Floats = weights / design_effect[self.signal[self.of]]
        self.score: Floats = np.concatenate([channel.score for channel in channels], axis=1)
        self.powers: Floats = np.concatenate(
            [np.ones_like(self.score[:1]), self.score, self.score**2]
        )
        self.tilts: Floats = np.concatenate([channel.tilts for channel in channels], axis=1)
        self.known = np.concatenate([np.array(channel.known, bool) for channel in channels])
        self.on_line, self.gaps = self._lines(channels)
        places = [
            [start + place for place in cell]
            for start, group in zip(layout.starts, groups, strict=True)
            for channel in group
            for cell in channel.places
        ]
        self.is_value = np.array([kind == "value" for kind in self.kinds])
        self.made_of = [
            (i, [self.names.index(name) for name in signal.made_of if name in self.names])
            for i, signal in enumerate(signals)
            if signal.made_of
        ]
        self._places = np.concatenate(places)
        self._starts = np.cumsum([0, *(len(cell) for cell in places[:-1])])

    def _lines(self, channels: Sequence[Channel]) -> tuple[NDArray[np.bool_], Floats]:
        on_line, gaps = np.zeros(len(self.of), bool), np.zeros(len(self.of))
        for start, channel in zip(self.start, channels, strict=True):
            if channel.gaps is not None:
                end = start + len(channel.gaps)
                on_line[start : end + 1], gaps[start:end] = True, channel.gaps
        return on_line, gaps

    @property
    def labels(self) -> list[str]:
        """`signal:channel` of each channel."""
        names = [self.names[signal] for signal in self.signal]
        return [f"{name}:{kind}" for name, kind in zip(names, self.kinds, strict=True)]

    def counts(self, tallies: Counts) -> Floats:
        """Tallies (..., size) to counts in the cells of all channels (..., cells)."""
        if tallies.shape[-1] != self.size:
            msg = f"A tally has {tallies.shape[-1]} places; these signals have {self.size}."
            raise ValueError(msg)
        counts: Floats = np.add.reduceat(
            tallies[..., self._places].astype(float), self._starts, axis=-1
        )
        return counts

    def total(self, cells: NDArray[np.generic]) -> Floats:
        """Sum over the cells (..., cells) of each channel (..., channels)."""
        total: Floats = np.add.reduceat(cells, self.start, axis=-1, dtype=float)
        return total

    def running(self, cells: Floats) -> Floats:
        """Sum (cells,) over the cells of each channel up to each one."""
        sums: Floats = np.cumsum(cells)
        return sums - (sums - cells)[self.start][self.of]

    def worst(self, channels: Floats) -> Floats:
        """Maximum over the channels (channels,) of each signal (signals,)."""
        worst: Floats = np.maximum.reduceat(channels, self.first)
        return worst

    def find(self, signals: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cells and channels of some signals, signal by signal."""
        channels = [np.flatnonzero(self.signal == signal) for signal in signals]
        cells = [np.flatnonzero(self.signal[self.of] == signal) for signal in signals]
        none = np.array([], np.int64)
        return np.concatenate([none, *cells]), np.concatenate([none, *channels])


def budget(
    signals: Sequence[Signal], channels: Channels, weights: Mapping[str, float] | None = None
) -> Floats:
    """Share (channels,) of the false-alarm budget: predictions .2 together, features the rest.

    Columns divide it by their weight, 1 unless given; the signals of a column equally.  Within a
    signal, missing and unseen values get .15 each, the values what is left.
    """
    prediction = np.array([signal.role == "prediction" for signal in signals])
    of_column = Counter(signal.column for signal in signals)
    wanted: Floats = np.array(
        [(weights or {}).get(one.column, 1.0) / of_column[one.column] for one in signals]
    )
    if not ((wanted > 0) & np.isfinite(wanted)).all():
        msg = f"Weights {weights} must be numbers above 0."
        raise ValueError(msg)
    together = PREDICTIONS if 0 < prediction.sum() < len(signals) else float(prediction.mean())
    of_predictions, of_features = wanted * prediction, wanted * ~prediction
    share: Floats = together * of_predictions / (of_predictions.sum() or 1)
    share += (1 - together) * of_features / (of_features.sum() or 1)
    others = np.bincount(channels.signal) - 1
    part = np.where(channels.is_value, 1 - SHARE * others[channels.signal], SHARE)
    return share[channels.signal] * part
