"""Channels: the rows of each signal, partitioned up to three ways, side by side in flat arrays.

Fixed once the baseline is cut; what moves from check to check is in `state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from drift_middleware.drift.cells import Cells
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


def channels_of(cells: Cells) -> list[Channel]:
    """Partition the rows of one signal by value, by missing and, where it can be, by unseen."""
    every, weights = range(len(cells)), np.array(cells.weights)
    known = [cell not in cells.novel for cell in every]
    own = [[cell] for cell in every]
    channels = [
        Channel("value", weights, own, _scores(cells), _value_tilts(cells), known),
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
    names : list of str
        Of the signals.
    kinds, is_value : list of str, bool array
        (channels,) `value`, `missing` or `unseen`.
    signal, first : int arrays
        (channels,) the signal of each channel; (signals,) the first channel of each signal.
    of, start : int arrays
        (cells,) the channel of each cell; (channels,) the first cell of each channel.
    baseline, score, tilts, known : arrays
        (..., cells) as in `Channel`, side by side.
    powers : (5, cells) float64
        Ones, both scores and their squares.
    size : int
        Places in a tally, before channels are made of it.
    """

    def __init__(self, signals: Sequence[Signal], shrink: Mapping[str, float]) -> None:
        layout = Layout(signals)
        groups = [channels_of(signal.cells) for signal in signals]
        channels = [channel for group in groups for channel in group]
        widths = [len(channel.baseline) for channel in channels]
        self.names, self.size = layout.names, layout.size
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
        places = [
            [start + place for place in cell]
            for start, group in zip(layout.starts, groups, strict=True)
            for channel in group
            for cell in channel.places
        ]
        self.is_value = np.array([kind == "value" for kind in self.kinds])
        self._places = np.concatenate(places)
        self._starts = np.cumsum([0, *(len(cell) for cell in places[:-1])])

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


def budget(signals: Sequence[Signal], channels: Channels) -> Floats:
    """Share (channels,) of the false-alarm budget: predictions .2 together, features the rest.

    Within a signal, missing and unseen values get .15 each, the values what is left.
    """
    prediction = np.array([signal.role == "prediction" for signal in signals])
    among = int(prediction.sum())
    together = PREDICTIONS if 0 < among < len(signals) else float(prediction.mean())
    share = np.where(
        prediction, together / max(among, 1), (1 - together) / max(len(signals) - among, 1)
    )
    others = np.bincount(channels.signal) - 1
    part = np.where(channels.is_value, 1 - SHARE * others[channels.signal], SHARE)
    return share[channels.signal] * part
