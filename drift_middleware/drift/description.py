"""Descriptions: what a baseline can show, and cannot, said for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from scipy.special import ndtr

from drift_middleware.drift.channels import Channels, budget
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import JOINT
from drift_middleware.drift.thresholds import THRESHOLDS, smallest_shift

if TYPE_CHECKING:
    from drift_middleware.drift.baseline import Baseline

NOTHING = "-"


class Reach(NamedTuple):
    """The least that a signal's values must do, if as many rows as one likes may come."""

    noticed: float
    "shift of a normal mean, in standard deviations, for an alarm however small"
    low: float
    "share of rows that must move, for `low`"


def reaches(baseline: Baseline) -> dict[str, Reach]:
    """Say of each signal the least that can ever be seen, at the default false-alarm budget."""
    channels = Channels(baseline.signals, baseline.shrink)
    weights = budget(baseline.signals, channels)[channels.first]
    reached = {}
    for signal, weight in zip(baseline.signals, weights, strict=True):
        tolerance = baseline.tolerance.get(f"{signal.name}:value", 0.0)
        rows = signal.cells.present / baseline.shrink.get(signal.name, 1.0)
        shift = smallest_shift(
            max(rows, 1.0),
            float(weight),
            thresholds={"low": THRESHOLDS["moved"][0] + tolerance},
        )
        reached[signal.name] = Reach(shift["noticed"], float(2 * ndtr(shift["low"] / 2) - 1))
    return reached


def describe(baseline: Baseline) -> str:
    """Draw up what is watched, how finely, and what is not."""
    from tabulate import tabulate

    reached = reaches(baseline)
    low = min(reach.low for reach in reached.values())
    columns = {signal.column for signal in baseline.signals if signal.column != JOINT}
    watched = (
        f"{len(columns)} of its {len(baseline.columns)} columns are watched,"
        f" as {len(baseline.signals)} signals"
    )
    header = ("signal", "role", "kind", "cells", "missing", "noticed from", "low from")
    lines = [_line(signal, reached[signal.name]) for signal in baseline.signals]
    align = ("left",) * 3 + ("right",) * 4
    return "\n".join(
        [
            f"{baseline.source}: {baseline.rows:,} rows; {watched}.",
            "",
            tabulate(lines, header, disable_numparse=True, colalign=align),
            "",
            *(f"Not watched: {name!r}, {why}." for name, why in baseline.left_out.items()),
            f"Smallest mean shift that can be noticed: {baseline.smallest_shift:.2f} standard "
            f"deviations of an ordered signal; low needs {low:.1%} of traffic to move.",
            *_caution(baseline),
        ]
    )


def _line(signal: Signal, reach: Reach) -> Sequence[str]:
    cells = signal.cells
    missing = cells.missing / (cells.present + cells.missing)
    return (
        signal.name,
        signal.role,
        signal.kind,
        str(len(cells)),
        f"{missing:.1%}" if cells.missing else NOTHING,
        f"{reach.noticed:.2f} sd" if cells.spread > 0 else NOTHING,
        f"{reach.low:.1%}" if len(cells) > 1 else NOTHING,
    )


def _caution(baseline: Baseline) -> list[str]:
    if baseline.ordered:
        return ["What the rows do by themselves over time is allowed for."]
    return ["Seasons would be drift: nothing says that the rows are in time order (ordered=True)."]
