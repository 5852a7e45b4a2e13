"""Effect size: how far live rows are from the baseline, without what chance alone gives.

Delta-method bounds, approximate by nature: held to 5 % of overstated levels by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from drift_middleware.drift.channels import Channels, Floats

Policy = Literal["moved", "psi"]
Level = Literal["low", "medium", "high"]
LEVELS: tuple[Level, ...] = ("low", "medium", "high")

THRESHOLDS: dict[str, tuple[float, float, float]] = {
    "moved": (0.05, 0.10, 0.20),
    "psi": (0.02, 0.10, 0.25),
    "share": (0.002, 0.03, 0.10),  # change of the share of missing, or of unseen, values
}
# Standard errors by which a level must be cleared.  At 3, up to 8 % of signals that sat exactly on
# a threshold were overstated within 200 checks; at 3.3, 3 %.
Z = 3.3
# A baseline of fewer rows is topped up with traffic accepted as unchanged.
TOP_UP = 5000
TINY = 1e-9


class Effect(NamedTuple):
    """Distance of live rows from the baseline, by channel (channels,)."""

    distance: Floats
    "debiased, at least 0"
    live: Floats
    "its variance due to the live rows"
    baseline: Floats
    "its variance due to the baseline's"

    def at_least(self) -> Floats:
        """Lower bound, `Z` standard errors down; below 0 where nothing can be said."""
        return self.distance - Z * np.sqrt(self.live + self.baseline)

    def still(self) -> Floats:
        """Give what is left once the baseline's own error is allowed for; it eases a level."""
        return self.distance - Z / 2 * np.sqrt(self.baseline)


def topped_up(channels: Channels, urn: Floats) -> Floats:
    """Baseline weights (cells,), topped up to `TOP_UP` rows from the urn.

    Never more: slow drift that is absorbed by the urn cannot move a full baseline.
    """
    accepted = urn - channels.baseline
    wanted = np.maximum(TOP_UP - channels.total(channels.baseline), 0)
    share = np.minimum(wanted / np.maximum(channels.total(accepted), 1), 1)
    return channels.baseline + accepted * share[channels.of]


def moved(channels: Channels, live: Floats, weights: Floats) -> Effect:
    """Total variation: the share of rows that would have to change cell to look like the baseline.

    It is the difference of one proportion, the share of those cells that grew; hence its error.

    Parameters
    ----------
    channels
        The plan.
    live : (cells,) float64
        Live counts.
    weights : (cells,) float64
        Baseline weights, all positive.
    """
    rows, against = np.maximum(channels.total(live), 1), channels.total(weights)
    q, p = live / rows[channels.of], weights / against[channels.of]
    grown = q > p
    q_grown, p_grown = channels.total(q * grown), channels.total(p * grown)
    noise = 0.4 * channels.total(np.sqrt(p * (1 - p))) * np.sqrt(1 / rows + 1 / against)
    return Effect(
        distance=np.sqrt(np.maximum((q_grown - p_grown) ** 2 - noise**2, 0)),
        live=q_grown * (1 - q_grown) / rows,
        baseline=p_grown * (1 - p_grown) / against,
    )


def psi(channels: Channels, live: Floats, weights: Floats) -> Effect:
    """Give the stability index (PSI) of values that the baseline knows; of shares, as `moved`.

    Debiased to second order; its variance is the delta method's, plus the chi-square variance that
    remains when nothing changed (Yurdakul 2018: PSI ~ (1/N + 1/M) chi2 with cells - 1 degrees).
    """
    known, of_shares = channels.known, moved(channels, live, weights)
    live, weights = (live + 0.5) * known, weights * known
    rows = np.maximum(channels.total(live), TINY)
    against = np.maximum(channels.total(weights), TINY)
    q = np.where(known, live / rows[channels.of], 1.0)
    p = np.where(known, weights / against[channels.of], 1.0)
    ratio, log = q / p, np.log(q / p)

    def total(terms: Floats) -> Floats:
        return channels.total(known * terms)

    def variance(share: Floats, slope: Floats) -> Floats:
        return total(share * slope**2) - total(share * slope) ** 2

    bias = total((1 + 1 / ratio) * (1 - q)) / (2 * rows)
    bias += total((1 + ratio) * (1 - p)) / (2 * against)
    freedom = np.maximum(channels.total(known) - 1, 0)
    by_chance = 2 * freedom * (1 / rows + 1 / against) ** 2
    of_values = Effect(
        distance=np.maximum(total((q - p) * log) - bias, 0),
        live=variance(q, log + 1 - 1 / ratio) / rows + by_chance,
        baseline=variance(p, log - 1 + ratio) / against,
    )
    return Effect(*np.where(channels.is_value, of_values, of_shares))


EFFECTS: dict[str, Callable[[Channels, Floats, Floats], Effect]] = {"moved": moved, "psi": psi}


def ascending(policy: str, thresholds: Mapping[Level, float] | None) -> tuple[float, ...]:
    """Thresholds of the three levels of values, by default the policy's.

    Raises
    ------
    ValueError
        If the policy is unknown, or the thresholds are not three that ascend from above 0.
    """
    if policy not in EFFECTS:
        msg = f"There is no policy {policy!r}; there are {', '.join(EFFECTS)}."
        raise ValueError(msg)
    if thresholds is None:
        return THRESHOLDS[policy]
    given = tuple(thresholds.get(level, 0.0) for level in LEVELS)
    if set(thresholds) != set(LEVELS) or not 0 < given[0] < given[1] < given[2]:
        msg = f"Thresholds {dict(thresholds)} must be low < medium < high, all above 0."
        raise ValueError(msg)
    return given


def smallest_shift(
    rows: float,
    weight: float,
    *,
    checks_per_false_alarm: float = 10_000,
    live_rows: float = 100_000,
    thresholds: Mapping[Level, float] | None = None,
) -> dict[str, float]:
    """Say what an ordered signal can show: the smallest shift of a normal mean, in sd.

    Parameters
    ----------
    rows
        Baseline rows with a value, at least 1.
    weight
        Share of the false-alarm budget of its value channel, in (0, 1].
    checks_per_false_alarm
        The budget.
    live_rows
        Rows since the change.  A shift that is not noticed within many is absorbed.
    thresholds
        Of the levels `low`, `medium` and `high`, as total variation.

    Returns
    -------
    dict
        `noticed` (an alarm, however small the change), then each level.  Infinite where no shift
        reaches it.

    Examples
    --------
    >>> shift = smallest_shift(5000, 0.07)
    >>> {name: round(value, 2) for name, value in shift.items()}
    {'noticed': 0.08, 'low': 0.19, 'medium': 0.31, 'high': 0.57}
    """
    levels = thresholds or dict(zip(LEVELS, THRESHOLDS["moved"], strict=True))
    variance = 1 / rows + 1 / live_rows
    nats = np.log(checks_per_false_alarm / weight) + np.log(12)
    shifts = {"noticed": float(np.sqrt(2 * nats * variance))}
    error = Z / 2 * np.sqrt(1 / max(rows, TOP_UP) + 1 / live_rows)
    for name, threshold in levels.items():
        shifts[name] = float(2 * ndtri(min((1 + threshold + error) / 2, 1)))
    return shifts
