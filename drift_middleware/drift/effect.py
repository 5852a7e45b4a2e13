"""Effect: how far live rows are from the baseline, and how far at least.

What chance alone gives is taken off.  Delta-method bounds, approximate by nature: held to 5 % of
overstated levels by tests.  The distances are in `policies`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from drift_middleware.drift.channels import Channels, Floats

# Standard errors by which a level must be cleared.  At 3, up to 8 % of signals that sat exactly on
# a threshold were overstated within 200 checks; at 3.3, 3 %.
Z = 3.3
# A baseline of fewer rows is topped up with traffic accepted as unchanged.
TOP_UP = 5000


class Effect(NamedTuple):
    """Distance of live rows from the baseline, by channel (channels,)."""

    distance: Floats
    "debiased, at least 0"
    at_least: Floats
    "its lower bound; below 0 where nothing can be said"
    still: Floats
    "what is left once the baseline's own error is allowed for; it eases a level"


def bounded(distance: Floats, live: Floats, baseline: Floats) -> Effect:
    """Bound a distance by its variance due to the live rows, and due to the baseline's."""
    return Effect(
        distance=distance,
        at_least=distance - Z * np.sqrt(live + baseline),
        still=distance - Z / 2 * np.sqrt(baseline),
    )


def rooted(square: Effect) -> Effect:
    """Take the root of what was bounded as a square: at 0 a root has no slope to bound it by."""
    return Effect(*(np.sign(each) * np.sqrt(np.abs(each)) for each in square))


def topped_up(channels: Channels, urn: Floats) -> Floats:
    """Baseline weights (cells,), topped up to `TOP_UP` rows from the urn.

    Never more: slow drift that is absorbed by the urn cannot move a full baseline.
    """
    accepted = urn - channels.baseline
    wanted = np.maximum(TOP_UP - channels.total(channels.baseline), 0)
    share = np.minimum(wanted / np.maximum(channels.total(accepted), 1), 1)
    return channels.baseline + accepted * share[channels.of]
