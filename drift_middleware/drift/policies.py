"""Policies: the distances that a level can be about, each debiased and bounded from below.

A policy judges values.  Shares of missing and of unseen values, and values that it cannot compare
(`ks` and `wasserstein`: categories; all but `moved`: constants), are judged as `moved`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.channels import Channels, Floats
from drift_middleware.drift.effect import Effect, bounded, rooted

Name = Literal["moved", "psi", "jensen_shannon", "hellinger", "ks", "wasserstein"]
Measure = Callable[[Channels, Floats, Floats], Effect]
"of a plan, live counts (cells,) and baseline weights (cells,), all positive"
TINY = 1e-9


def judges(policy: Name, channels: Channels) -> NDArray[np.bool_]:
    """Say which channels (channels,) the policy itself judges; the others are judged as `moved`."""
    if policy == "moved":
        return channels.is_value
    compared = channels.known if policy in DIVERGENCES else channels.on_line
    return channels.is_value & (channels.total(compared) > 1)


def measure_of(policy: Name) -> Measure:
    """Give the measure that judges every channel under a policy.

    Raises
    ------
    ValueError
        If there is no such policy.
    """
    if policy not in POLICIES:
        msg = f"There is no policy {policy!r}; there are {', '.join(POLICIES)}."
        raise ValueError(msg)
    if policy == "moved":
        return moved

    def measure(channels: Channels, live: Floats, weights: Floats) -> Effect:
        own, as_moved = (one(channels, live, weights) for one in (POLICIES[policy], moved))
        return Effect(*np.where(judges(policy, channels), own, as_moved))

    return measure


def moved(channels: Channels, live: Floats, weights: Floats) -> Effect:
    """Total variation: the share of rows that would have to change cell to look like the baseline.

    It is the difference of one proportion, the share of those cells that grew; hence its error.
    """
    rows, against = np.maximum(channels.total(live), 1), channels.total(weights)
    q, p = live / rows[channels.of], weights / against[channels.of]
    grown = q > p
    q_grown, p_grown = channels.total(q * grown), channels.total(p * grown)
    noise = _noise_of_moved(channels, p) * np.sqrt(1 / rows + 1 / against)
    return bounded(
        _without(noise, q_grown - p_grown),
        live=q_grown * (1 - q_grown) / rows,
        baseline=p_grown * (1 - p_grown) / against,
    )


def _noise_of_moved(channels: Channels, share: Floats) -> Floats:
    """Mean of the total variation if nothing changed, in standard errors of a difference."""
    return 0.4 * channels.total(np.sqrt(share * (1 - share)))


def _without(noise: Floats, distance: Floats) -> Floats:
    """Take off a distance what chance alone would give; they add as squares."""
    return np.sqrt(np.maximum(distance**2 - noise**2, 0))


class Divergence(NamedTuple):
    """A function f of the ratios r = q / p (cells,) that makes a divergence, sum of p f(r)."""

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    "its first derivative"
    bend: Callable[[Floats], Floats]
    "its second"
    is_rooted: bool
    "the distance is the divergence's square root"


# f(1) = f'(1) = 0.  Jensen-Shannon in bits, as scipy's with base 2.
DIVERGENCES = {
    "psi": Divergence(
        value=lambda r: (r - 1) * np.log(r),
        slope=lambda r: np.log(r) + 1 - 1 / r,
        bend=lambda r: (1 + 1 / r) / r,
        is_rooted=False,
    ),
    "jensen_shannon": Divergence(
        value=lambda r: (r * np.log2(2 * r / (1 + r)) + np.log2(2 / (1 + r))) / 2,
        slope=lambda r: np.log2(2 * r / (1 + r)) / 2,
        bend=lambda r: 1 / (2 * np.log(2) * r * (1 + r)),
        is_rooted=True,
    ),
    "hellinger": Divergence(
        value=lambda r: (np.sqrt(r) - 1) ** 2 / 2,
        slope=lambda r: (1 - 1 / np.sqrt(r)) / 2,
        bend=lambda r: r**-1.5 / 4,
        is_rooted=True,
    ),
}


def divergence(name: str) -> Measure:
    """Measure the divergence of values that the baseline knows; unseen ones are judged as such.

    Debiased to second order; its variance is the delta method's, plus the chi-square variance that
    remains when nothing changed: there any divergence is f''(1)/2 (1/N + 1/M) chi2, with cells - 1
    degrees of freedom (for PSI: Yurdakul 2018).
    """
    f = DIVERGENCES[name]
    at_rest = float(f.bend(np.ones(1))[0]) / 2

    def measure(channels: Channels, live: Floats, weights: Floats) -> Effect:
        known, of = channels.known, channels.of
        counts, weights = (live + 0.5) * known, weights * known
        rows = np.maximum(channels.total(counts), TINY)
        against = np.maximum(channels.total(weights), TINY)
        q = np.where(known, counts / rows[of], 1.0)
        p = np.where(known, weights / against[of], 1.0)
        ratio = q / p
        value, slope, bend = f.value(ratio), f.slope(ratio), f.bend(ratio)

        def total(terms: Floats) -> Floats:
            return channels.total(known * terms)

        def variance(share: Floats, slope: Floats) -> Floats:
            return np.maximum(total(share * slope**2) - total(share * slope) ** 2, 0)

        bias = total(ratio * bend * (1 - q)) / (2 * rows)
        bias += total(ratio**2 * bend * (1 - p)) / (2 * against)
        freedom = np.maximum(channels.total(known) - 1, 0)
        by_chance = 2 * freedom * (at_rest * (1 / rows + 1 / against)) ** 2
        square = bounded(
            np.maximum(total(p * value) - bias, 0) * (channels.total(live) > 0),
            live=variance(q, slope) / rows + by_chance,
            baseline=variance(p, value - ratio * slope) / against,
        )
        return rooted(square) if f.is_rooted else square

    return measure


def ks(channels: Channels, live: Floats, weights: Floats) -> Effect:
    """Kolmogorov and Smirnov's distance, at the edges of the cells.

    It is the difference of one proportion, the share below the edge where it is largest.  If
    nothing changed, the largest is .87 standard errors on average, less .58 times the root of the
    steps' length (Asmussen, Glynn and Pitman 1995).  Of two edges that tie, the larger is too large
    by .4 standard errors of the step between.
    """
    line = _along(channels, live, weights)
    apart = np.abs(line.live - line.baseline)
    most = np.maximum.reduceat(apart, channels.start)
    is_there = apart == most[channels.of]
    error = np.sqrt(1 / line.rows + 1 / line.against)
    step = np.sqrt(channels.total(line.share**2))
    noise = np.minimum(np.maximum(0.87 - 0.58 * step, 0), _noise_of_moved(channels, line.share))
    number = channels.running(channels.on_line.astype(float))
    is_between = (number > 1) & (number < channels.total(channels.on_line)[channels.of])
    tie = 0.4 * np.sqrt(channels.total(is_between * line.share**2)) * error

    def variance(below: Floats) -> Floats:
        return np.maximum.reduceat(np.where(is_there, below * (1 - below), 0), channels.start)

    return bounded(
        np.maximum(_without(noise * error, most) - tie, 0),
        live=variance(line.live) / line.rows,
        baseline=variance(line.baseline) / line.against,
    )


def wasserstein(channels: Channels, live: Floats, weights: Floats) -> Effect:
    """Wasserstein's distance: how far, in sd of the baseline, a row has to move on average.

    Rows are taken to sit at the baseline's mean of their cell: what lies beyond its range counts as
    its end.  To first order it is a difference of two means, of the place along the line with each
    stretch counted forwards or backwards, as rows move (Kantorovich's potential).
    """
    line = _along(channels, live, weights)
    below = line.live - line.baseline
    spread = np.sqrt(np.clip(line.baseline * (1 - line.baseline), 0, None))
    noise = np.sqrt(2 / np.pi) * channels.total(spread * channels.gaps)
    stretch = channels.gaps * np.sign(below)
    place = channels.running(stretch) - stretch

    def variance(share: Floats) -> Floats:
        mean = channels.total(share * place)
        return channels.total(share * (place - mean[channels.of]) ** 2)

    return bounded(
        _without(
            noise * np.sqrt(1 / line.rows + 1 / line.against),
            channels.total(np.abs(below) * channels.gaps),
        ),
        live=variance(line.live_share) / line.rows,
        baseline=variance(line.share) / line.against,
    )


class _Line(NamedTuple):
    """Rows in cells that have a place on a line."""

    share: Floats
    "(cells,) of the baseline's, 0 where a cell has no place"
    live_share: Floats
    "(cells,) of the live ones"
    baseline: Floats
    "(cells,) share of the baseline's rows up to the end of each cell, in [0, 1]"
    live: Floats
    "(cells,) of the live ones"
    rows: Floats
    "(channels,) live rows"
    against: Floats
    "(channels,) baseline rows"


def _along(channels: Channels, live: Floats, weights: Floats) -> _Line:
    counts, weights = live * channels.on_line, weights * channels.on_line
    found, against = channels.total(counts), np.maximum(channels.total(weights), TINY)
    rows = np.where(found > 0, found, 1)
    p = weights / against[channels.of]
    q = np.where((found > 0)[channels.of], counts / rows[channels.of], p)
    baseline, below = (np.clip(channels.running(share), 0, 1) for share in (p, q))
    return _Line(p, q, baseline, below, rows, against)


POLICIES: dict[str, Measure] = {
    "moved": moved,
    **{name: divergence(name) for name in DIVERGENCES},
    "ks": ks,
    "wasserstein": wasserstein,
}
