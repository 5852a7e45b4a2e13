"""What is watched, how far that is, and what readers see of it: the recorder's records.

A `Watch` is built and replaced whole; `Progress` is what workers share through the buffer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.state import State
from drift_middleware.drift.tally import Counter
from drift_middleware.schemas import Check, Role, Rows


class Batch(Struct):
    """Exchanges that were read, on their way to the buffer."""

    rows: list[Rows] = []
    at: list[float] = []
    endpoints: list[str] = []
    "the path template of each exchange"
    counters: dict[str, int] = {}

    def split(self, requests: int) -> tuple[Batch, Batch]:
        """Cut after so many requests; the counters stay behind."""
        parts = slice(requests), slice(requests, None)
        first, rest = (Batch(self.rows[p], self.at[p], self.endpoints[p]) for p in parts)
        return first, rest


class Progress(Struct):
    """What all workers share, beside the detector's state."""

    configured: str = ""
    "fingerprint of the configured baseline; empty: it is learned from traffic"
    fingerprint: str = ""
    "of the baseline in use, which may have learned outputs; empty while there is none"
    captured: dict[str, Role] = {}
    "the columns that traffic has shown, and on which side"
    first_row: int = 0
    "rows up to this one belong to an earlier baseline"
    first_check: int = 0
    "checks up to this one belong to an earlier baseline"
    predicted: int = 0
    "rows with a prediction since then"
    check: Check | None = None
    since: str | None = None
    "when the severity became what it is"


class Watch:
    """A baseline and all that is built from it; never changed, only replaced."""

    def __init__(self, baseline: Baseline, config: Config) -> None:
        self.baseline = baseline
        self.counter = Counter(baseline.signals, np.random.default_rng())
        self.detector = Detector(
            baseline.signals,
            checks_per_false_alarm=config.checks_per_false_alarm,
            policy=config.policy,
            thresholds={**config.thresholds} or None,
            guard=config.guard,
            tolerance=baseline.tolerance,
            shrink=baseline.shrink,
        )
        self.types = {
            signal.column: "REAL" if signal.cells.ordered else "TEXT" for signal in baseline.signals
        }
        "of the columns of the buffer"
        self.features = _columns(baseline.signals, "feature")
        self.predictions = _columns(baseline.signals, "prediction")


class View(Struct, frozen=True):
    """What readers see: replaced whole after each transaction, so that reading needs no lock."""

    progress: Progress
    watch: Watch | None = None
    state: State | None = None
    counters: dict[str, int] = {}
    pending: int = 0
    "requests since the last check"
    learned: int | None = None
    "rows learned from so far, while a baseline or the outputs it lacks is learned"


def _columns(signals: Sequence[Signal], role: Role) -> list[str]:
    return list(dict.fromkeys(signal.column for signal in signals if signal.role == role))
