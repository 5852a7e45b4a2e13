"""Comparison: a table of live rows against a baseline, without a server and without a buffer.

The rows go through the very detector of a server, in checks of as many rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.columns import Columns
from drift_middleware.drift.descriptors.times import read_times
from drift_middleware.drift.tally import JOINT, Counter, slices_of, tallies
from drift_middleware.errors import BaselineError
from drift_middleware.judging import judge, worst
from drift_middleware.overview import overview
from drift_middleware.period import written
from drift_middleware.schemas import Check, Report, Severity, Table, Tally
from drift_middleware.segments import shared_by
from drift_middleware.watch import Progress, View, Watch

MOST_ROWS = 10_000
"placed at once"
SEED = 0
"of the draws that order equal values: the same rows give the same report"


class Comparison:
    """Checks live rows, as they are added.

    Parameters
    ----------
    config
        `check_every` is in rows; `timestamp` names the column that says when each row came, if
        the rows have it: else all came now.
    now
        Seconds since the epoch.
    """

    def __init__(self, baseline: Baseline, config: Config, now: float) -> None:
        self.checks: list[Check] = []
        self.strange: dict[str, None] = {}
        "columns of the live rows that the baseline has not"
        self._config = config
        self._now = now
        shared = shared_by(baseline, config)
        self._watch = Watch(baseline, config, shared_by=shared)
        self._counter = Counter(
            baseline.signals, np.random.default_rng(SEED), baseline.descriptors, baseline.joint
        )
        self._state = self._watch.detector.start()
        self._progress = Progress()
        self._pending: dict[int, Tally] = {}
        self._rows = 0
        self._last_at = now

    def add(self, columns: Columns, source: str) -> Iterator[Check]:
        """Take the rows of a table, in its order; give the checks that they fill.

        Raises
        ------
        BaselineError
            It has no rows, or none of its columns is watched.
        """
        if not len(next(iter(columns.values()), ())):
            msg = f"{source}: has no rows."
            raise BaselineError(msg)
        self._note_captured(columns, source)
        names = [name for name in columns if name in self._progress.captured]
        at = self._times(columns)
        rows = len(columns[names[0]])
        first = 0
        while first < rows:
            last = min(first + self._remaining(), first + MOST_ROWS, rows)
            part = {name: columns[name][first:last].tolist() for name in names}
            self._tally(part, at[first:last])
            first = last
            if not self._remaining():
                yield self._check(at[last - 1])

    def finish(self) -> Iterator[Check]:
        """Make the last check, of the rows that are left: fewer than the others have."""
        if self._pending:
            yield self._check(self._last_at)

    def report(self) -> Report:
        """Say what `/_drift` would, had these rows been traffic."""
        from drift_middleware import __version__

        counters = {"requests": self._rows, "rows": self._rows}
        view = View(self._progress, self._watch, self._state, counters)
        report = overview(view, self._config.learn_rows)
        report.version = __version__
        return report

    @property
    def worst(self) -> Severity:
        """The worst severity of any check."""
        return worst(check.severity for check in self.checks if check.severity != "unknown")

    def _note_captured(self, columns: Columns, source: str) -> None:
        roles, joint = self._watch.baseline.roles, self._watch.baseline.joint
        known = {name: roles[name] for name in columns if name in roles and name != JOINT}
        if not known:
            has, wanted = (", ".join(list(names)[:10]) or "none" for names in (columns, roles))
            msg = f"{source}: none of its columns is watched. It has {has}; watched are {wanted}."
            raise BaselineError(msg)
        everything = {*self._watch.baseline.columns, *self._watch.baseline.left_out}
        others = (name for name in columns if name not in everything)
        self.strange |= {name: None for name in others if name != self._config.timestamp}
        self._progress.captured |= known
        self._progress.note_joint(joint)

    def _times(self, columns: Columns) -> Sequence[float]:
        rows, name = len(next(iter(columns.values()))), self._config.timestamp
        at = None
        if name is not None and name in columns:
            at = read_times(columns[name].tolist(), by_name="timestamp")
        if at is None:
            return [self._now] * rows
        times: list[float] = np.where(np.isnan(at), self._now, at).tolist()
        return times

    def _remaining(self) -> int:
        return self._config.check_every - sum(one.requests for one in self._pending.values())

    def _tally(self, part: dict[str, list[Any]], at: Sequence[float]) -> None:
        rows = len(at)
        captured = self._progress.captured
        is_predicted = any(captured[name] == "prediction" for name in part)
        table = Table(rows, part, predicted=[is_predicted] * rows, requests=[1] * rows, at=[*at])
        placed = self._counter.place(table, captured)
        every = self._config.check_every
        slices = slices_of(rows, every - self._remaining(), every)
        for tally in tallies(self._counter, placed, table.requests, slices):
            known = self._pending.setdefault(tally.slice, tally)
            if known is not tally:
                known.add(tally)
        self._rows += rows
        self._last_at = at[-1]

    def _check(self, at: float) -> Check:
        began = time.perf_counter()
        found = [self._pending[number] for number in sorted(self._pending)]
        self._pending = {}
        said = judge(self._watch, self._state, found, self._progress.captured)
        self._state, self._progress.moved_pair = said.state, said.moved_pair
        check = Check(
            number=len(self.checks) + 1,
            at=written(datetime.fromtimestamp(at, UTC)),
            requests=said.rows,
            rows=said.rows,
            milliseconds=round((time.perf_counter() - began) * 1000, 3),
            severity=said.severity,
            data=said.data,
            prediction=said.prediction,
            moved=said.moved,
        )
        before, self._progress.check = self._progress.check, check
        if before is None or before.severity != check.severity:
            self._progress.since = check.at
        self.checks.append(check)
        return check
