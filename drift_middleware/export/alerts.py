"""Alerts: of which changes people are told, and in which words.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import NamedTuple

from drift_middleware.logger import printable
from drift_middleware.schemas import (
    SEVERITIES,
    Alarm,
    Alert,
    AlertKind,
    Check,
    SegmentCheck,
    Severity,
)

NAMED = 5
"signals in the one line that a phone shows"
EXPLAINED = 3
ON_CHANGE = "on_change"
"the target that is a function"


class Change(NamedTuple):
    """Something that people are told of all traffic, or of one segment."""

    kind: AlertKind
    severity: Severity
    previous: Severity
    segment: str | None


def changes(
    check: Check,
    before: Check | None,
    alarms: MutableMapping[str, Alarm],
    *,
    alert_at: Severity,
    repeat_after: float | None,
    now: float,
) -> Iterator[Change]:
    """Compare a check with what people were last told, and note what they are told now.

    Parameters
    ----------
    alarms
        What they were told of all traffic (`""`) and of each segment, while it is at or above
        `alert_at`; it is brought up to date.
    repeat_after
        Seconds; None: never.
    now
        Seconds since the epoch.
    """
    said: dict[str, Check | SegmentCheck] = {"": check, **check.segments}
    for name, one in said.items():
        told, severity = alarms.get(name), one.severity
        if (
            severity == "unknown"
        ):  # such as before a new baseline's first rows: not known to be over
            continue
        kind = _kind(told, severity, alert_at, repeat_after, now)
        if kind == "recovery":
            del alarms[name]
        elif kind is not None:
            alarms[name] = Alarm(severity, now)
        if kind is not None:
            previous = told.severity if told else _severity_in(before, name)
            yield Change(kind, severity, previous, name or None)


def _kind(
    told: Alarm | None,
    severity: Severity,
    alert_at: Severity,
    repeat_after: float | None,
    now: float,
) -> AlertKind | None:
    if SEVERITIES.index(severity) < SEVERITIES.index(alert_at):
        return "recovery" if told else None
    if told is None or told.severity != severity:
        return "change"
    is_long_ago = repeat_after is not None and now - told.at >= repeat_after
    return "repeat" if is_long_ago else None


def _severity_in(check: Check | None, segment: str) -> Severity:
    if check is None:
        return "unknown"
    one = check.segments.get(segment) if segment else check
    return one.severity if one else "unknown"


def is_for(target: str, alert: Alert) -> bool:
    """Say whether a target gets an alert: a function, only changes of all traffic."""
    return target != ON_CHANGE or (alert.segment is None and alert.kind != "repeat")


def headline(alert: Alert) -> str:
    """Say it in one line, for a phone: what, which signals, and where there is more."""
    whose = "" if alert.segment is None else f" in {alert.segment}"
    change = f"{alert.previous} to {alert.severity}"
    said = {"change": change, "repeat": f"still {alert.severity}", "recovery": f"over, {change}"}
    moved = alert.check.moved
    if alert.segment is not None:
        moved = alert.check.segments[alert.segment].moved
    worst_first = [one.name for one in alert.signals[:NAMED]]
    more = [f"{len(moved) - len(worst_first)} more"] if len(moved) > len(worst_first) else []
    named = f": {', '.join(worst_first + more)}" if worst_first else ""
    line = f"Drift{whose} {said[alert.kind]}{named} (check {alert.check.number}, {alert.path})"
    return printable(line)


def details(alert: Alert) -> str:
    """Say why, of the signals that moved most, and when and where."""
    lines = [
        f"{one.name}, {one.severity}: {one.moved:.0%} moved, at least {one.at_least:.0%}. {one.why}"
        for one in alert.signals[:EXPLAINED]
    ]
    where = f" on {alert.host}" if alert.host else ""
    lines.append(f"Check {alert.check.number} of {alert.check.rows} rows{where}, {alert.check.at}")
    return "\n".join(map(printable, lines))
