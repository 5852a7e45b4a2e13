"""Control: what people change by hand, in Python as over HTTP.  The monitor inherits it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drift_middleware.recorder import Recorder
    from drift_middleware.schemas import Report


class Control(ABC):
    """The part of a `Monitor` that changes what it says.

    One worker does it, in one transaction of the buffer; the others follow within a second.
    """

    @abstractmethod
    def _changing(self) -> AbstractContextManager[Recorder]:
        """Write what is queued, and keep the thread out meanwhile."""

    @abstractmethod
    def report(self) -> Report:
        """Build the report."""

    def check(self) -> Report:
        """Check what is pending now, however little; without any row pending nothing changes.

        Raises
        ------
        BaselineError, ConfigError, StoreError
            There is no baseline yet; nothing is watched (`enabled=False`); the buffer fails.
        """
        with self._changing() as recorder:
            recorder.check()
        return self.report()

    def reset(self) -> Report:
        """Start the detector afresh, with the same baseline.  History and rows stay.

        What is pending is left out.  Until the next check the severity is unknown.  Raises as
        `check`.
        """
        with self._changing() as recorder:
            recorder.reset()
        return self.report()

    def adopt(self, rows: int | None = None) -> Report:
        """Take the newest rows of traffic as the baseline, outputs included, and start afresh.

        It stays in force after a restart, until another baseline is configured than the one that
        it replaced.  Columns that cannot be made of the rows in the buffer, such as redacted ones,
        go on as they were: `report.baseline.kept` says which, and why.

        Parameters
        ----------
        rows
            How many, 200 to 10,000; by default `learn_rows`, or as many as there are.

        Raises
        ------
        BaselineError
            There are too few rows, none at all (`store="tallies"`), or no baseline yet.
        ConfigError, StoreError
            `rows` is impossible, or nothing is watched; the buffer fails.
        """
        with self._changing() as recorder:
            recorder.adopt(rows)
        return self.report()
