"""Metrics: a report as named numbers, whoever they are written for.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, get_args

from drift_middleware.schemas import SEVERITIES, Report, Severity, SignalReport, Status

MOST_SIGNALS = 200
"that have series of their own: the most moved"

Unit = Literal["", "seconds", "bytes", "ratio"]
Labels = dict[str, str]


class Source(Protocol):
    """Who knows what is measured: the monitor."""

    def drain(self, timeout: float = 5.0) -> bool:
        """Wait until all that was queued so far is written, and others' news are taken over."""
        ...

    def report(self) -> Report:
        """Build the report."""
        ...


class Sample(NamedTuple):
    """One number."""

    labels: Labels
    value: float


class Metric(NamedTuple):
    """Numbers of one kind."""

    name: str
    "with points, without unit: `signal.missing`"
    kind: Literal["gauge", "counter"]
    unit: Unit
    help: str
    samples: Sequence[Sample]

    @property
    def family(self) -> str:
        """Name it as Prometheus does: `drift_signal_missing_ratio`."""
        name = f"drift_{self.name.replace('.', '_')}"
        return f"{name}_{self.unit}" if self.unit else name

    @property
    def full_name(self) -> str:
        """Name its samples: those of a counter end in `_total`."""
        return f"{self.family}_total" if self.kind == "counter" else self.family


SIGNAL: tuple[tuple[str, Unit, str, Callable[[SignalReport], float | None]], ...] = (
    ("signal.severity", "", "From 0 (none) to 3 (high)", lambda one: _level(one.severity)),
    (
        "signal.moved",
        "",
        "Share of traffic that moved, less what chance gives",
        lambda one: one.moved,
    ),
    ("signal.at_least", "", "Lower bound of what moved", lambda one: one.at_least),
    ("signal.missing", "ratio", "Share of live rows without a value", lambda one: one.missing[1]),
    (
        "signal.unseen",
        "ratio",
        "Share of live values unlike the baseline's",
        lambda one: one.unseen,
    ),
)


def metrics(report: Report) -> list[Metric]:
    """Tell a report in numbers.  What is not known has no sample."""
    return [*_state(report), *_signals(report), *_capture(report), *_alerts(report)]


def _state(report: Report) -> Iterator[Metric]:
    sides = {"all": report.severity, "data": report.data, "prediction": report.prediction}
    yield _by("severity", "From 0 (none) to 3 (high), by side", "side", sides)
    segments = {name: said.severity for name, said in report.segments.items()}
    yield _by(
        "segment.severity", "Of each segment with rows in the last check", "segment", segments
    )
    yield Metric(
        "status",
        "gauge",
        "",
        "1 for what it does now",
        [Sample({"status": one}, int(one == report.status)) for one in get_args(Status)],
    )
    yield _one("info", "1, and the version", 1, {"version": report.version})
    check = report.check
    yield _one("checks", "Checks made", check.number if check else 0, kind="counter")
    at = datetime.fromisoformat(check.at).timestamp() if check else None
    yield _one("last_check.timestamp", "When the last check was made", at, unit="seconds")
    took = check.milliseconds / 1000 if check else None
    yield _one("check.duration", "How long the last check took", took, unit="seconds")


def _signals(report: Report) -> Iterator[Metric]:
    most = sorted(report.signals, key=lambda one: -one.moved)[:MOST_SIGNALS]
    for name, unit, text, value_of in SIGNAL:
        values = [(one, value_of(one)) for one in most]
        samples = [
            Sample({"signal": one.name, "role": one.role}, value)
            for one, value in values
            if value is not None
        ]
        yield Metric(name, "gauge", unit, text, samples)


def _capture(report: Report) -> Iterator[Metric]:
    seen = report.capture
    for name, text, count in (
        ("requests", "Captured requests", seen.requests),
        ("rows", "Captured rows", seen.rows),
        ("unaligned", "Requests whose predictions did not match their rows", seen.unaligned),
        ("dropped", "Requests dropped for want of room", seen.dropped),
        ("sampled_out", "Requests left out of the sample", seen.sampled_out),
        ("errors", "Errors of the middleware itself", seen.errors),
    ):
        yield _one(name, text, count, kind="counter")
    text = "Share of requests that were read, since the last check but one"
    yield _one("sampled", text, seen.sampled, unit="ratio")
    skipped = [Sample({"reason": why}, count) for why, count in seen.skipped.items()]
    yield Metric("skipped", "counter", "", "Requests without rows, by reason", skipped)
    text = "How long requests may have waited, in this process"
    yield _one("lag", text, seen.lag_seconds, unit="seconds")
    yield _one("queued_requests", "Requests that wait, in this process", seen.queued)
    yield _one("buffer.size", "Size of the database", seen.database_bytes, unit="bytes")
    added = [
        Sample({"percentile": name.removeprefix("p")}, microseconds / 1e6)
        for name, microseconds in seen.added_microseconds.items()
    ]
    yield Metric("added", "gauge", "seconds", "Added to a request, in this process", added)


def _alerts(report: Report) -> Iterator[Metric]:
    told = report.alerts
    yield _one("alerts.sent", "Alerts sent", told.sent, kind="counter")
    yield _one("alerts.failed", "Attempts to send that failed", told.failed, kind="counter")
    yield _one("alerts.given_up", "Alerts that nobody got", told.given_up, kind="counter")
    yield _one("alerts.pending", "Alerts that wait to be sent", told.pending)


def _one(
    name: str,
    text: str,
    value: float | None,
    labels: Labels | None = None,
    *,
    kind: Literal["gauge", "counter"] = "gauge",
    unit: Unit = "",
) -> Metric:
    samples = [] if value is None else [Sample(labels or {}, value)]
    return Metric(name, kind, unit, text, samples)


def _by(name: str, text: str, label: str, levels: dict[str, Severity]) -> Metric:
    known = {key: _level(severity) for key, severity in levels.items()}
    samples = [Sample({label: key}, level) for key, level in known.items() if level is not None]
    return Metric(name, "gauge", "", text, samples)


def _level(severity: Severity) -> float | None:
    return None if severity == "unknown" else SEVERITIES.index(severity)
