"""Thresholds: the distance from which on a channel has a level, and what can ever reach it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from drift_middleware.drift import policies
from drift_middleware.drift.channels import Channels, Floats
from drift_middleware.drift.effect import TOP_UP, Z

if TYPE_CHECKING:
    from drift_middleware.drift.baseline import Baseline

LEVELS = ("low", "medium", "high")
SHARES = {"missing", "unseen"}
Levels = Mapping[str, float]
Thresholds = Mapping[str, float | Levels]
"levels of all values; beside them, by the name of a column, a signal, or `missing` or `unseen`"

# Of low, medium and high.  A normal mean reaches them when it shifts by about 1/8, 1/4 and 1/2 sd.
THRESHOLDS: dict[str, tuple[float, float, float]] = {
    "moved": (0.05, 0.10, 0.20),
    "psi": (0.02, 0.10, 0.25),  # credit scoring looks at .10 and acts at .25
    "jensen_shannon": (0.05, 0.10, 0.20),  # Evidently and CapyMOA call .10 drift
    "hellinger": (0.05, 0.10, 0.20),  # as well
    "ks": (0.05, 0.10, 0.20),  # it is the total variation wherever all rows move to one side
    "wasserstein": (0.10, 0.25, 0.50),  # in sd; Evidently calls .10 drift
    "share": (0.002, 0.03, 0.10),  # change of the share of missing, or of unseen, values
}


def of_channels(channels: Channels, policy: policies.Name, given: Thresholds) -> Floats:
    """Thresholds (channels, 3) of each channel.

    An entry for a signal, else one for its column, is about its values; `missing` and `unseen` are
    about the shares of all signals, even where a column is named so.  Levels that an entry leaves
    out are those of all values; of values that the policy cannot judge, those of `moved`.

    Raises
    ------
    ValueError
        If levels do not ascend from above 0.
    """
    entries = _entries(given)
    judged = policies.judges(policy, channels)
    of_values = _ascending("", THRESHOLDS[policy], _of_all(given))
    rows = []
    for place, (signal, kind) in enumerate(zip(channels.signal, channels.kinds, strict=True)):
        if kind == "value":
            names = (channels.names[signal], channels.columns[signal])
            name = next((name for name in names if name in entries.keys() - SHARES), "")
            usual = of_values if judged[place] else THRESHOLDS["moved"]
        else:
            name, usual = kind, THRESHOLDS["share"]
        rows.append(_ascending(name, usual, entries.get(name, {})))
    return np.array(rows)


def check_options(
    baseline: Baseline | None,
    *,
    policy: policies.Name,
    thresholds: Thresholds,
    weights: Mapping[str, float],
    outputs: Collection[str] | None,
) -> None:
    """Check what the options say of columns; what they say of all is checked as they are read.

    Parameters
    ----------
    baseline
        None if it is yet to be learned, when no name can be wrong.
    outputs
        Names of predictions that are yet to be learned, as far as they are told; None if none is.

    Raises
    ------
    ValueError
        A name is wrong, or levels do not ascend.
    """
    known: set[str] = set()
    if baseline is not None:
        if baseline.ordered and policy != "moved":
            msg = f"{baseline.source} allows for shares of traffic, not {policy}: its rows were "
            msg += "in time order (ordered=True). Set policy='moved', or fit it without."
            raise ValueError(msg)
        known = {*baseline.columns, *(signal.name for signal in baseline.signals)}
        named, is_complete = {*known, *(outputs or ())}, outputs is None
        check_names("thresholds", _entries(thresholds), named | SHARES, is_complete=is_complete)
        check_names("weights", weights, named, is_complete=is_complete)
        of_channels(Channels(baseline.signals, {}), policy, thresholds)
    _check_entries(policy, thresholds, known)


def _check_entries(policy: policies.Name, given: Thresholds, known: Collection[str]) -> None:
    """Check what is said of columns that are not known yet, whatever they will turn out to be."""
    of_values = _ascending("", THRESHOLDS[policy], _of_all(given))
    for name, levels in _entries(given).items():
        if name not in known:
            usual = (of_values, THRESHOLDS["moved"])
            for each in (THRESHOLDS["share"],) if name in SHARES else usual:
                _ascending(name, each, levels)


def check_names(
    option: str, names: Iterable[str], known: Collection[str], *, is_complete: bool
) -> None:
    """Raise ValueError for what names nothing; while columns may come, for what looks a slip."""
    for name in names:
        near = get_close_matches(name, known, 1, 0.6 if is_complete else 0.85)
        if name not in known and (is_complete or near):
            hint = f" Did you mean {near[0]!r}?" if near else ""
            msg = f"{option} names {name!r}, and there is no such column.{hint}"
            raise ValueError(msg)


def _of_all(given: Thresholds) -> dict[str, float]:
    return {name: level for name, level in given.items() if not isinstance(level, Mapping)}


def _entries(given: Thresholds) -> dict[str, Levels]:
    return {name: levels for name, levels in given.items() if isinstance(levels, Mapping)}


def _ascending(name: str, usual: tuple[float, ...], given: Levels) -> tuple[float, ...]:
    merged = {**dict(zip(LEVELS, usual, strict=True)), **given}
    levels = tuple(merged.values())
    if len(levels) > len(LEVELS) or not 0 < levels[0] < levels[1] < levels[2]:
        where = f" of {name!r}" if name else ""
        msg = f"Thresholds{where} must be low < medium < high, all above 0; they are {merged}."
        raise ValueError(msg)
    return levels


def smallest_shift(
    rows: float,
    weight: float,
    *,
    checks_per_false_alarm: float = 10_000,
    live_rows: float = 100_000,
    thresholds: Levels | None = None,
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
