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
from drift_middleware.schemas import SEVERITIES, Role, Severity, Tally
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
    "the columns whose dependence moved most, where there is a joint signal"

    @property
    def severity(self) -> Severity:
        """The worse of both sides, of those that are known."""
        return overall(self.data, self.prediction)


def judge(
    watch: Watch, state: State, tallies: Sequence[Tally], captured: Mapping[str, Role]
) -> Judgement:
    """Move a detector one step, on the tallies since the last check, oldest slice first."""
    size = watch.counter.layout.size
    counts = np.array([tally.counts for tally in tallies], int).reshape(len(tallies), -1)
    slices, pairs = counts[:, :size], counts[:, size:].sum(axis=0)
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
        moved_pair=joint.most_moved(pairs) if joint is not None else None,
    )


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
