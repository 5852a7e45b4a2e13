"""What is said of each signal: the verdict in the words and numbers that people read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from drift_middleware.drift.cells import FEW, Cells, Floats, name_numbers
from drift_middleware.drift.detector import ChannelVerdict, Detector, Verdict
from drift_middleware.drift.distances import distances, gaps_between
from drift_middleware.drift.joint import PairMoved
from drift_middleware.drift.signals import Layout, Signal
from drift_middleware.drift.state import State
from drift_middleware.drift.tally import JOINT
from drift_middleware.schemas import (
    SEVERITIES,
    CellShare,
    Severity,
    SignalReport,
    WindowSignal,
)


def severity(verdict: Verdict) -> Severity:
    """Name the level of a signal."""
    return SEVERITIES[verdict.level]


def summary(verdicts: Sequence[Verdict]) -> dict[str, dict[str, Any]]:
    """Say in a line per signal what the history keeps of a check."""
    found = {}
    for verdict in verdicts:
        worst = verdict.worst
        found[verdict.name] = {
            "severity": SEVERITIES[worst.level],
            "moved": round(worst.moved, 4),
            "at_least": round(worst.at_least, 4),
            "evidence": round(worst.evidence, 3),
        }
    return found


def signal_reports(
    detector: Detector,
    state: State,
    *,
    captured: Collection[str],
    first_check: int,
    moved_pair: PairMoved | None = None,
) -> list[SignalReport]:
    """Report on every signal whose column was captured, the most moved first.

    Parameters
    ----------
    captured
        Columns that traffic has shown.
    first_check
        Number of the check before the detector's first, which counts its own from 1.
    moved_pair
        The columns whose dependence moved most, which explain the joint signal.
    """
    reports = [
        _report(signal, verdict, first_check)
        for signal, verdict in zip(detector.signals, detector.verdict(state), strict=True)
        if signal.column in captured
    ]
    for report in reports:
        if report.name == JOINT and report.changed and moved_pair is not None:
            own = {one.column for one in reports if one.severity != "none" and one is not report}
            report.why = _why_joint(report, moved_pair, own)
    return sorted(reports, key=lambda one: (-SEVERITIES.index(one.severity), -one.moved))


def _report(signal: Signal, verdict: Verdict, first_check: int) -> SignalReport:
    worst, value, missing = verdict.worst, verdict.channel("value"), verdict.channel("missing")
    assert value is not None  # noqa: S101  # every signal has these two channels
    assert missing is not None  # noqa: S101
    cells = signal.cells
    compared = _compared(cells, value.live, _share(missing.live))
    return SignalReport(
        name=signal.name,
        column=signal.column,
        role=signal.role,
        kind=signal.kind,
        severity=severity(verdict),
        moved=round(worst.moved, 4),
        at_least=round(worst.at_least, 4),
        evidence=round(worst.evidence, 3),
        changed=worst.changed,
        since_check=None if worst.since is None else first_check + worst.since,
        effective_rows=round(float(worst.live.sum())),
        why=_why(cells, worst, value, missing, compared["cells"]),
        **compared,
    )


def window_signals(signals: Sequence[Signal], counts: Sequence[int]) -> list[WindowSignal]:
    """Compare what many checks counted with the baseline, the most moved signal first.

    Parameters
    ----------
    signals
        What the baseline watches.
    counts : (layout.size,)
        The sums of the checks' tallies.  A signal without any row, even without a value, is left
        out: it was not captured.
    """
    reports = []
    for signal, part in zip(signals, Layout(signals).split(counts).values(), strict=True):
        *live, missing = part
        rows = sum(part)
        if rows:
            compared = _compared(signal.cells, np.array(live, float), missing / rows)
            reports.append(WindowSignal(name=signal.name, rows=rows, **compared))
    return sorted(reports, key=_beyond_chance, reverse=True)


def _beyond_chance(signal: WindowSignal) -> float:
    found, by_chance = signal.distances, signal.by_chance
    return found.get("total_variation", 0.0) - by_chance.get("total_variation", 0.0)


def _compared(cells: Cells, live: Floats, missing: float) -> dict[str, Any]:
    """Compare live counts with the baseline's, in the fields that each report of a signal has."""
    gaps = gaps_between(cells.means, cells.spread) if cells.ordered else None
    found = distances(np.array(cells.weights), live, gaps) if live.sum() > 0 else {}
    return {
        "distances": {name: round(here, 5) for name, (here, _) in found.items()},
        "by_chance": {name: round(chance, 5) for name, (_, chance) in found.items()},
        "missing": (round(_baseline_missing(cells), 5), round(missing, 5)),
        "unseen": round(_unseen(cells, live), 5),
        "cells": cell_shares(cells, live),
    }


def cell_shares(cells: Cells, live: Floats) -> list[CellShare]:
    """Compare the cells' shares of baseline and live rows; cells that look alike are one."""
    shares: dict[str, CellShare] = {}
    p, q = _baseline_shares(cells), _shares(live)
    for name, baseline, now in zip(_names(cells), p.tolist(), q.tolist(), strict=True):
        # Several edges on one value, which many rows have, cut it into cells of one name.
        cell = shares.setdefault(name, CellShare(name, 0.0, 0.0))
        cell.baseline = round(cell.baseline + baseline, 5)
        cell.live = round(cell.live + now, 5)
    return list(shares.values())


def _names(cells: Cells) -> list[str]:
    """Name the cells.  Levels keep their names; a word of ours that is a level gives way."""
    names = cells.labels()
    if cells.edges:
        return names
    own = min(len(cells.values), FEW)
    words = ("other levels", "never seen")[own - len(names) :]
    return [*names[:own], *(_unlike(word, cells.values) for word in words)]


def _unlike(word: str, levels: Collection[Any]) -> str:
    while word in levels:
        word += " (cell)"
    return word


def _baseline_shares(cells: Cells) -> Floats:
    """Return the share of the baseline's rows in each cell: none, of what it never showed.

    The weights of a cut by values are others: there, what was seen once speaks for the unseen.
    """
    counts = np.array(cells.weights)
    if not cells.edges:
        counts = np.maximum(counts - 0.5, 1.0)
        counts[FEW:] = cells.present - counts[:FEW].sum()
    counts[list(cells.novel)] = 0.0
    return _shares(counts)


def _why(
    cells: Cells,
    worst: ChannelVerdict,
    value: ChannelVerdict,
    missing: ChannelVerdict,
    shares: Sequence[CellShare],
) -> str:
    if not worst.changed:
        return "as in the baseline, as far as these rows can tell"
    if worst.kind == "missing":
        was, now = _baseline_missing(cells), _share(missing.live)
        text = f"{_percent(now)} of rows have no value; {_percent(was)} had none in the baseline"
    elif worst.kind == "unseen":
        now = _unseen(cells, value.live)
        text = f"{_percent(now)} of values are outside of all that the baseline showed"
    else:
        text = _what_moved(cells, value.live, shares)
    return text if worst.level else f"changed, too little to matter so far: {text}"


def _why_joint(report: SignalReport, pair: PairMoved, own: Collection[str]) -> str:
    """Name the pair; of columns that moved by themselves a correlation would say nothing."""
    moved = [name for name in (pair.first, pair.second) if name in own]
    if moved:
        text = f"rows are unusual as a whole, for {' and '.join(moved)} moved by itself"
    else:
        text = (
            f"{pair.first} and {pair.second} have a correlation of about "
            f"{pair.live_correlation:.2f}; {pair.baseline_correlation:.2f} in the baseline"
        )
    return text if report.severity != "none" else f"changed, too little to matter so far: {text}"


def _what_moved(cells: Cells, live: Floats, shares: Sequence[CellShare]) -> str:
    """Say which part moved: a side of the line, where that explains more than any one cell."""
    most = _most_moved(cells, shares)
    side = _side(cells, live) if cells.edges else None
    if side is not None and abs(side.live - side.baseline) > abs(most.live - most.baseline):
        most = side
    where = f"in {most.cell}" if cells.edges and most.cell[:1] == "(" else most.cell
    where = repr(where) if where in cells.values else where
    was = _percent(most.baseline) if most.baseline else "none"
    return f"{_percent(most.live)} of rows are {where}; {was} were in the baseline"


def _most_moved(cells: Cells, shares: Sequence[CellShare]) -> CellShare:
    names = _names(cells)
    new = {names[i] for i in cells.novel}
    expected = dict.fromkeys(names, 0.0)
    for name, share in zip(names, _shares(np.array(cells.weights)).tolist(), strict=True):
        expected[name] += share

    def gap(share: CellShare) -> float:
        moved = share.live - expected[share.cell]
        # Fewer new values than there would be by chance are nothing to point at.
        return moved if share.cell in new else abs(moved)

    return max(shares, key=gap)


def _side(cells: Cells, live: Floats) -> CellShare:
    """Return the half line, above or below an edge, whose share grew most."""
    p, q = _baseline_shares(cells), _shares(live)
    below = np.cumsum(q - p)[:-1]
    edge = int(np.argmax(np.abs(below)))
    at = name_numbers(cells.edges)[int(cells.keys[edge])]
    if below[edge] > 0:
        return CellShare(f"at most {at}", float(p[: edge + 1].sum()), float(q[: edge + 1].sum()))
    return CellShare(f"above {at}", float(p[edge + 1 :].sum()), float(q[edge + 1 :].sum()))


def _shares(counts: Floats) -> Floats:
    total = counts.sum()
    return counts / total if total > 0 else np.zeros_like(counts)


def _share(two_cells: Floats) -> float:
    return float(_shares(two_cells)[1])


def _unseen(cells: Cells, live: Floats) -> float:
    return float(_shares(live)[list(cells.novel)].sum())


def _baseline_missing(cells: Cells) -> float:
    rows = cells.present + cells.missing
    return cells.missing / rows if rows else 0.0


def _percent(share: float) -> str:
    digits = 1 if share >= 0.001 or share == 0 else 2
    return f"{100 * share:.{digits}f} %"
