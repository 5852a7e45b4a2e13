"""Writing: a batch into the buffer, now or once that is well again; what was lost, counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from drift_middleware.errors import StoreError

if TYPE_CHECKING:
    from drift_middleware.recorder import Recorder
    from drift_middleware.watch import Batch

RETRY_SECONDS = 1.0
"between attempts to write into a buffer that failed"


class Writer:
    """Writes batches in their order, and keeps those that the buffer refused.

    Few: while any is kept, what comes later stays in the queue, which is bounded.

    Parameters
    ----------
    degrade
        Called with what went wrong, where that is not raised.
    """

    def __init__(self, degrade: Callable[[str], None]) -> None:
        self.counters: Counter[str] = Counter()
        "what was counted and is not written yet"
        self._degrade = degrade
        self._kept: list[Batch] = []
        self._retry_at = 0.0

    def __len__(self) -> int:
        """Return the exchanges that are kept."""
        return sum(len(batch.rows) for batch in self._kept)

    @property
    def is_behind(self) -> bool:
        """Say whether a batch is kept that the buffer refused."""
        return bool(self._kept)

    @property
    def is_resting(self) -> bool:
        """Say whether one was refused a moment ago: it is too early to try again."""
        return self.is_behind and time.monotonic() < self._retry_at

    def write(self, recorder: Recorder, batch: Batch) -> None:
        """Write a batch and all counters; raise StoreError, and keep it, if that fails."""
        for name, number in self._take_counters().items():
            batch.counters[name] = batch.counters.get(name, 0) + number
        self._write(recorder, batch)

    def retry(self, recorder: Recorder) -> None:
        """Write what could not be written before.  Raises StoreError."""
        kept, self._kept = self._kept, []
        for i, batch in enumerate(kept):
            try:
                self._write(recorder, batch)
            except StoreError:
                self._kept += kept[i + 1 :]
                raise

    def _write(self, recorder: Recorder, batch: Batch) -> None:
        if self._kept:  # keep the order
            self._kept.append(batch)
            return
        try:
            recorder.write(batch)
        except StoreError:
            self._kept.append(batch)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours: lose as little as can be
            self._write_in_parts(recorder, batch, error)

    def _write_in_parts(self, recorder: Recorder, batch: Batch, error: Exception) -> None:
        """Write all of a batch but the one exchange that cannot be written."""
        self.counters.update(batch.counters)
        if len(batch.rows) > 1:
            first, second = batch.split(len(batch.rows) // 2)
            try:
                self._write(recorder, first)
            finally:
                self._write(recorder, second)
        elif batch.rows:
            self.counters["errors"] += 1
            self._degrade(f"an exchange was lost, unexpected {type(error).__name__}: {error}")

    def _take_counters(self) -> dict[str, int]:
        counters, self.counters = dict(self.counters), Counter()
        return counters
