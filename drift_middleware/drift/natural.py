"""What varies by nature: learned from a baseline whose rows are in time order.

Heuristic.  It knows only the seasons that the baseline spans: a short ordered baseline buys quiet
with blindness, and an unordered one gets no such protection.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift import dependence
from drift_middleware.drift.channels import Channels, Floats
from drift_middleware.drift.detector import Detector

# Standard deviations by which the blocks' means must differ more than by chance.
SEASONAL = 4.0
QUANTILE = 0.95
TINY = 1e-9


def natural_variation(
    detector: Detector, fine: NDArray[np.int64], coarse: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, float]]:
    """Learn `shrink` and `tolerance` from an ordered baseline cut into time blocks.

    Parameters
    ----------
    detector
        Of the same signals, with neither.
    fine : (40, size) int64
        Tallies of 40 blocks of the baseline, oldest first: how far its rows depend on each other.
    coarse : (20, size) int64
        Tallies of 20 blocks: how far its means wander.

    Returns
    -------
    shrink : dict
        Design effect of each signal's rows, at least 1.
    tolerance : dict
        `signal:channel` to the distance that time blocks of the baseline keep from the whole of it;
        0 where their means agree.
    """
    channels = detector.channels
    past = dependence.no_past(len(channels.start))
    kappa = dependence.inflation(
        channels, past, dependence.watch(channels, past, channels.counts(fine))
    )
    shrink = dict(zip(channels.names, kappa[channels.first].tolist(), strict=True))

    blocks = channels.counts(coarse)
    whole = np.maximum(blocks.sum(axis=0), TINY)
    distances = [detector.effect(channels, block, whole).distance for block in blocks]
    usual = np.quantile(distances, QUANTILE, axis=0)
    usual = np.where(_wander(channels, blocks) > SEASONAL, usual, 0.0)
    # Unseen values are part of the values: they wander with them.
    unseen = np.array([kind == "unseen" for kind in channels.kinds])
    tolerance = np.where(unseen, usual[channels.first][channels.signal], usual)
    return shrink, dict(zip(channels.labels, tolerance.tolist(), strict=True))


def _wander(channels: Channels, blocks: Floats) -> Floats:
    """Chi-square (channels,) of the blocks' mean scores, in standard deviations above its mean."""
    whole, rows = blocks.sum(axis=0), np.maximum(channels.total(blocks), 1)
    share = whole / np.maximum(channels.total(whole), 1)[channels.of]
    score = channels.score - channels.total(channels.score * share)[:, channels.of]
    means = channels.total(score[:, None] * blocks) / rows
    unit = np.maximum(channels.total(score**2 * share), TINY)
    square = (means**2 * rows).sum(axis=1) / unit
    freedom = len(blocks) - 1
    wander: Floats = ((square - freedom) / np.sqrt(2 * freedom)).max(axis=0)
    return wander
