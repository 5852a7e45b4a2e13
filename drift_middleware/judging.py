"""Judging: the tallies of one check to a verdict, of the whole and of each segment.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.detector import Verdict
from drift_middleware.drift.joint import PairMoved
from drift_middleware.drift.report import severity
from drift_middleware.drift.state import State
from drift_middleware.drift.tally import JOINT
from drift_middleware.schemas import SEVERITIES, Role, SegmentCheck, Severity, Tally
from drift_middleware.watch import Watch


class Judgement(NamedTuple):
    """What a check says, and the state after it."""

    state: State
    verdicts: list[Verdict]
    slices: NDArray[np.integer[Any]]
    "(slices, places) what it was judged on"
    rows: int
    data: Severity
    prediction: Severity
    moved: dict[str, Severity]
    "the signals that are above none"
    moved_pair: PairMoved | None
    "the columns whose dependence moved most, where the joint signal has changed"

    @property
    def severity(self) -> Severity:
        """The worse of both sides, of those that are known."""
        return overall(self.data, self.prediction)


def judge(
    watch: Watch, state: State, tallies: Sequence[Tally], captured: Mapping[str, Role]
) -> Judgement:
    """Move a detector one step, on the tallies since the last check, oldest slice first."""
    size = watch.counter.layout.size
    slices = np.array([tally.counts[:size] for tally in tallies]).reshape(len(tallies), size)
    state = watch.detector.check(state, slices)
    verdicts = watch.detector.verdict(state)
    levels = {verdict.name: severity(verdict) for verdict in verdicts}
    joint = watch.baseline.joint
    data, prediction = sides(watch, levels, captured)
    return Judgement(
        state=state,
        verdicts=verdicts,
        slices=slices,
        rows=sum(tally.rows for tally in tallies),
        data=data,
        prediction=prediction,
        moved={name: level for name, level in levels.items() if level != "none"},
        moved_pair=joint.most_moved(_pairs(tallies, size)) if joint and _asks(verdicts) else None,
    )


def _asks(verdicts: Iterable[Verdict]) -> bool:
    """Say whether anybody would ask for a pair: the joint signal has changed."""
    return any(verdict.name == JOINT and verdict.worst.changed for verdict in verdicts)


def _pairs(tallies: Iterable[Tally], size: int) -> NDArray[np.int64]:
    """Sum what some of the tallies have beyond their cells."""
    found = [tally.counts[size:] for tally in tallies if len(tally.counts) > size]
    return np.sum(found, axis=0, dtype=np.int64) if found else np.empty(0, np.int64)


def judge_segments(
    watches: Mapping[str, Watch],
    states: dict[str, State],
    tallies: Mapping[str, Sequence[Tally]],
    captured: Mapping[str, Role],
) -> dict[str, SegmentCheck]:
    """Judge each segment on its own tallies, however few; `states` gets what follows."""
    checks = {}
    for name, watch in watches.items():
        if name in tallies:
            state = states.get(name) or watch.detector.start()
            one = judge(watch, state, tallies[name], captured)
            states[name] = one.state
            checks[name] = SegmentCheck(one.rows, one.severity, one.data, one.prediction, one.moved)
    return checks


def sides(
    watch: Watch, levels: Mapping[str, Severity], captured: Collection[str]
) -> tuple[Severity, Severity]:
    """Return the worst level of the features and of the predictions, of what is captured."""
    data, prediction = (
        worst(
            levels[signal.name]
            for signal in watch.baseline.signals
            if signal.role == role and signal.column in captured
        )
        for role in ("feature", "prediction")
    )
    return data, prediction


def overall(data: Severity, prediction: Severity) -> Severity:
    """Return the worse of both sides, of those that are known."""
    return worst(one for one in (data, prediction) if one != "unknown")


def worst(levels: Iterable[Severity]) -> Severity:
    """Return the worst of some levels; unknown where there is none."""
    return max(levels, key=SEVERITIES.index, default="unknown")
