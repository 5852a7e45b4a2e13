"""The report of everything: what a recorder's view knows, in the records that `/_drift` gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from drift_middleware.buffer import Counted
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.report import signal_reports, window_signals
from drift_middleware.drift.signals import Layout
from drift_middleware.drift.state import State
from drift_middleware.errors import ConfigError
from drift_middleware.judging import worst
from drift_middleware.schemas import (
    BaselineInfo,
    CaptureReport,
    CheckInfo,
    Report,
    SignalReport,
    WindowReport,
)
from drift_middleware.watch import SKIPPED, Progress, View

_REPORTED: WeakKeyDictionary[State, tuple[Any, list[SignalReport]]] = WeakKeyDictionary()
COUNTED = ("requests", "rows", "unaligned", "dropped", "sampled_out", "errors")


def overview(
    view: View,
    learn_rows: int,
    segment: str | None = None,
    unwritten: Mapping[str, int] | None = None,
) -> Report:
    """Report on the last check, and on what was captured since.

    Parameters
    ----------
    unwritten
        What is to be added to the counters, and could not be yet.

    Raises
    ------
    ConfigError
        There is no such segment.
    """
    progress, watch, check = view.progress, view.watch, view.progress.check
    counters = Counter(view.counters)
    counters.update(unwritten or {})
    report = Report(since=progress.since, capture=_capture(counters, progress))
    report.alerts = view.alerts or report.alerts
    report.status = "learning" if watch is None else "watching" if check else "warming up"
    if check is not None:
        report.severity, report.data = check.severity, check.data
        report.prediction = check.prediction
        report.check = CheckInfo(
            check.number, check.at, check.requests, check.rows, check.milliseconds
        )
        report.segments = check.segments
    if view.learned is not None:
        report.learning = {"rows": view.learned, "needed": learn_rows}
    if watch is not None:
        report.baseline = _baseline(watch.baseline)
        columns = dict.fromkeys(signal.column for signal in watch.baseline.signals)
        report.not_captured = [name for name in columns if name not in progress.captured]
        report.signals = signals_of(view)
    if segment is not None:
        _turn_to(report, segment, view)
    return report


def _turn_to(report: Report, segment: str, view: View) -> None:
    """Let a report speak of one segment."""
    if segment not in view.segments:
        known = ", ".join(view.segments) or "none yet"
        msg = f"There is no segment {segment!r}. Watched: {known}."
        raise ConfigError(msg)
    report.segment = segment
    report.signals = signals_of(view, segment)
    report.severity, report.data, report.prediction = (
        worst(one.severity for one in report.signals if one.role in roles)
        for roles in (("feature", "prediction"), ("feature",), ("prediction",))
    )


def signals_of(view: View, segment: str | None = None) -> list[SignalReport]:
    """Report on every signal that was captured, of one segment or of all traffic."""
    watch, state = (view.watch, view.state) if segment is None else view.segments[segment]
    if watch is None or state is None:
        return []
    progress = view.progress
    pair = progress.moved_pair if segment is None else None
    asked = ({*progress.captured}, progress.first_check, pair)
    known = _REPORTED.get(state)
    if known is None or known[0] != asked:
        # A state stays what it is until the next check, and 200 signals take 150 ms.
        reports = signal_reports(
            watch.detector,
            state,
            captured=progress.captured,
            first_check=progress.first_check,
            moved_pair=pair,
        )
        known = _REPORTED[state] = asked, reports
    return [*known[1]]


def window_report(view: View, counted: Iterable[Counted]) -> WindowReport:
    """Sum what checks counted, of those that had the present baseline, and compare it with that."""
    report, first_check = WindowReport(), view.progress.first_check
    if view.watch is None:
        report.note = "There is no baseline yet to compare with."
        return report
    signals = view.watch.baseline.signals
    total = np.zeros(Layout(signals).size, np.int64)
    for one in counted:
        if one.number <= first_check:
            report.note = f"Checks up to number {first_check} had another baseline: left out."
            continue
        # Outputs that were learned later come after the signals that there were before.
        size = min(len(one.counts), len(total))
        total[:size] += one.counts[:size]
        report.since, report.until = report.since or one.at, one.at
        report.checks += 1
        report.requests += one.requests
        report.rows += one.rows
    report.signals = window_signals(signals, total.tolist())
    return report


def _baseline(baseline: Baseline) -> BaselineInfo:
    return BaselineInfo(
        source=baseline.source,
        rows=baseline.rows,
        fingerprint=baseline.fingerprint,
        smallest_shift=round(baseline.smallest_shift, 3),
        left_out=baseline.left_out,
        kept=baseline.kept,
    )


def _capture(counters: Mapping[str, int], progress: Progress) -> CaptureReport:
    skipped = {k.removeprefix(SKIPPED): n for k, n in counters.items() if k.startswith(SKIPPED)}
    report = CaptureReport(skipped=skipped)
    for name in COUNTED:
        setattr(report, name, counters.get(name, 0))
    report.sampled = round(progress.sampled(counters), 4)
    return report
