"""What is watched, how far that is, and what readers see of it: the recorder's records.

A `Watch` is built and replaced whole; `Progress` is what workers share through the buffer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.descriptors.texts import Text
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.joint import Joint, PairMoved
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.state import State
from drift_middleware.drift.tally import JOINT, Counter
from drift_middleware.schemas import Alarm, AlertsReport, Check, Role, Rows

SKIPPED = "skipped:"
"begins the names of the counters of what gave no rows, before the reason"
JUDGING = (
    *("policy", "thresholds", "weights", "guard"),
    *("checks_per_false_alarm", "segment_by"),
)
"the options that judge counts, and do not make them"


class Batch(Struct):
    """Exchanges that were read, on their way to the buffer."""

    rows: list[Rows] = []
    at: list[float] = []
    endpoints: list[str] = []
    "the path template of each exchange"
    counters: dict[str, int] = {}
    segments: list[str | None] = []
    "of each exchange, where a header or its route tells; or empty"

    def split(self, requests: int) -> tuple[Batch, Batch]:
        """Cut after so many requests; the counters stay behind."""
        if requests >= len(self.rows):
            return replace(self, counters={}), Batch()
        every = range(len(self.rows))
        return self.only(every[:requests]), self.only(every[requests:])

    def only(self, kept: Sequence[int]) -> Batch:
        """Take some exchanges, without the counters."""
        rows, at, endpoints, segments = (
            [column[i] for i in kept] if column else []
            for column in (self.rows, self.at, self.endpoints, self.segments)
        )
        return Batch(rows, at, endpoints, {}, segments)  # type: ignore[arg-type]  # each as it was


class Progress(Struct):
    """What all workers share, beside the detector's state."""

    options: dict[str, Any] = {}
    "those that judge counts, as the last server to start had them; for a replay"
    configured: str = ""
    "fingerprint of the configured baseline; empty: it is learned from traffic"
    fingerprint: str = ""
    "of the baseline in use, which may have learned outputs; empty while there is none"
    begun: str = ""
    "when it came into use"
    captured: dict[str, Role] = {}
    "the columns that traffic has shown, and on which side"
    first_row: int = 0
    "rows up to this one belong to an earlier baseline"
    first_check: int = 0
    "checks up to this one belong to an earlier baseline"
    resets: list[int] = []
    "checks after which the detector was started afresh, with this baseline"
    predicted: int = 0
    "rows with a prediction since then"
    moved_pair: PairMoved | None = None
    "the columns whose dependence had changed most at the last check, if the joint signal had"
    segments: list[str] = []
    "those that are watched, where the baseline has none of its own"
    segment_rows: dict[str, int] = {}
    "rows of those, and of others that may be"
    check: Check | None = None
    checked_at: float = 0.0
    "when that was, or when watching began, seconds since the epoch"
    since: str | None = None
    "when the severity became what it is"
    seen: list[tuple[int, int]] = []
    "exchanges that had been read, and that had not, at the last two checks"
    alarms: dict[str, Alarm] = {}
    "what people were last told of all traffic (`''`) and of segments, while it is grave"

    def note_joint(self, joint: Joint | None) -> None:
        """Remember that traffic has shown all columns of the joint signal, once it has."""
        if joint is not None and self.captured.keys() >= {*joint.columns}:
            self.captured.setdefault(JOINT, "feature")

    def note_seen(self, counters: Mapping[str, int]) -> None:
        """Remember what was read by now and what was not, at a check."""
        self.seen = [*self.seen[-1:], _seen(counters)]

    def sampled(self, counters: Mapping[str, int]) -> float:
        """Return the share of exchanges that were read, of those since the last check but one."""
        now, then = _seen(counters), self.seen[0] if self.seen else (0, 0)
        read, unread = now[0] - then[0], now[1] - then[1]
        return read / (read + unread) if unread > 0 else 1.0

    def watched(self) -> tuple[str, str, dict[str, Role]]:
        """Return what decides what is watched, and since when."""
        captured = self.captured.items()
        outputs: dict[str, Role] = {name: role for name, role in captured if role == "prediction"}
        return self.begun, self.fingerprint, outputs


def _seen(counters: Mapping[str, int]) -> tuple[int, int]:
    """Return the exchanges that were read, with rows or without, and those that were not."""
    skipped = sum(number for name, number in counters.items() if name.startswith(SKIPPED))
    unread = counters.get("dropped", 0) + counters.get("sampled_out", 0)
    return counters.get("requests", 0) + skipped, unread


class Watch:
    """A baseline and all that is built from it; never changed, only replaced.

    Parameters
    ----------
    shared_by
        Detectors that share the false-alarm budget.
    """

    def __init__(self, baseline: Baseline, config: Config, *, shared_by: int = 1) -> None:
        self.baseline = baseline
        self.counter = Counter(
            baseline.signals, np.random.default_rng(), baseline.descriptors, baseline.joint
        )
        self.detector = Detector(
            baseline.signals,
            checks_per_false_alarm=config.checks_per_false_alarm * shared_by,
            policy=config.policy,
            thresholds=config.thresholds,
            weights=config.weights,
            guard=config.guard,
            tolerance=baseline.tolerance,
            shrink=baseline.shrink,
        )
        self.types = _types(baseline)
        "of the columns of the buffer"
        self.vectors = {name for name, one in baseline.descriptors.items() if one.is_nested}
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
    segments: dict[str, tuple[Watch, State]] = {}
    learned: int | None = None
    "rows learned from so far, while a baseline or the outputs it lacks is learned"
    alerts: AlertsReport | None = None
    alert_due: float | None = None
    "when the next alert is to be sent, seconds since the epoch"


def _types(baseline: Baseline) -> dict[str, str]:
    """Say which columns are all numbers or all texts; a time may come as either."""
    types = {signal.name: "REAL" if signal.cells.ordered else "TEXT" for signal in baseline.signals}
    texts = {name for name, known in baseline.descriptors.items() if isinstance(known, Text)}
    return types | dict.fromkeys(texts, "TEXT")


def _columns(signals: Sequence[Signal], role: Role) -> list[str]:
    columns = (signal.column for signal in signals if signal.role == role)
    return [name for name in dict.fromkeys(columns) if name != JOINT]
