"""Steering: check now, start afresh, take traffic as the baseline.  The recorder inherits it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import msgspec

from drift_middleware.adopting import baseline_of
from drift_middleware.buffer import Transaction
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.state import State
from drift_middleware.errors import BaselineError
from drift_middleware.events import say_adopted, say_reset
from drift_middleware.watch import Progress, View, Watch

MOST_RESETS = 1000
"that a replay can know of"


class Steering(ABC):
    """The part of a `Recorder` that people ask for.  Each is all of one transaction."""

    config: Config
    view: View
    _events: list[Callable[[], None]]
    _progress: Progress
    _segment_states: dict[str, State]
    _state: State | None
    _watch: Watch | None

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]:
        """Load what is shared, let the block change it, save it."""

    @abstractmethod
    def _check(self, tx: Transaction, watch: Watch) -> None:
        """Make a check."""

    @abstractmethod
    def _start(
        self, tx: Transaction, baseline: Baseline | None, configured: str | None = None
    ) -> None:
        """Begin afresh."""

    @abstractmethod
    def _last_number(self, tx: Transaction) -> int:
        """Return the number of the newest check."""

    @abstractmethod
    def _now(self) -> str:
        """Return the time, ISO 8601."""

    def check(self) -> None:
        """Make a check of what is pending, if anything is.  Raises BaselineError, StoreError."""
        with self.transaction() as tx:
            watch = self._watched_already()
            if tx.pending()[0]:
                self._check(tx, watch)

    def reset(self) -> None:
        """Forget what the detector knows.  Raises BaselineError, StoreError."""
        with self.transaction() as tx:
            watch, progress = self._watched_already(), self._progress
            last, before = self._last_number(tx), self._state
            # Checks are counted on, so that `since_check` stays the number of a check.
            self._state = msgspec.structs.replace(
                watch.detector.start(), check=before.check if before else 0
            )
            self._segment_states = {}
            tx.forget_tallies()
            progress.resets = [*progress.resets, last][-MOST_RESETS:]
            progress.check = progress.moved_pair = None
            progress.since = self._now()
            self._events.append(partial(say_reset, last))

    def adopt(self, rows: int | None = None) -> None:
        """Make the baseline of the newest rows.  Raises ConfigError, BaselineError, StoreError."""
        with self.transaction() as tx:
            watch, before = self._watched_already(), self._progress
            baseline = baseline_of(tx, before, self.config, watch, rows)
            baseline = msgspec.structs.replace(
                baseline, source=f"traffic, adopted at {self._now()}"
            )
            self._start(tx, baseline, before.configured)
            self._progress.captured = {
                name: role for name, role in before.captured.items() if name in baseline.columns
            }
            self._progress.note_joint(baseline.joint)
            self._events.append(partial(say_adopted, baseline))

    def _watched_already(self) -> Watch:
        if self._watch is None:
            msg = "There is no baseline yet: it is being learned from traffic."
            raise BaselineError(msg)
        return self._watch
