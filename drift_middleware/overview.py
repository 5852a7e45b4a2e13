"""The report of everything: what a recorder's view knows, in the records that `/_drift` gives."""

from __future__ import annotations

from collections.abc import Mapping

from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.report import signal_reports
from drift_middleware.schemas import BaselineInfo, CaptureReport, CheckInfo, Report, SignalReport
from drift_middleware.watch import View

SKIPPED = "skipped:"
COUNTED = ("requests", "rows", "unaligned", "dropped", "errors")


def overview(view: View, learn_rows: int) -> Report:
    """Report on the last check, and on what was captured since."""
    progress, watch, check = view.progress, view.watch, view.progress.check
    report = Report(since=progress.since, capture=_capture(view.counters))
    report.status = "learning" if watch is None else "watching" if check else "warming up"
    if check is not None:
        report.severity, report.data = check.severity, check.data
        report.prediction = check.prediction
        report.check = CheckInfo(
            check.number, check.at, check.requests, check.rows, check.milliseconds
        )
    if view.learned is not None:
        report.learning = {"rows": view.learned, "needed": learn_rows}
    if watch is not None:
        report.baseline = _baseline(watch.baseline)
        columns = dict.fromkeys(signal.column for signal in watch.baseline.signals)
        report.not_captured = [name for name in columns if name not in progress.captured]
        report.signals = signals_of(view)
    return report


def signals_of(view: View) -> list[SignalReport]:
    """Report on every signal that was captured."""
    if view.watch is None or view.state is None:
        return []
    return signal_reports(
        view.watch.detector,
        view.state,
        captured=view.progress.captured,
        first_check=view.progress.first_check,
    )


def _baseline(baseline: Baseline) -> BaselineInfo:
    return BaselineInfo(
        source=baseline.source,
        rows=baseline.rows,
        fingerprint=baseline.fingerprint,
        smallest_shift=round(baseline.smallest_shift, 3),
        left_out=baseline.left_out,
    )


def _capture(counters: Mapping[str, int]) -> CaptureReport:
    skipped = {k.removeprefix(SKIPPED): n for k, n in counters.items() if k.startswith(SKIPPED)}
    return CaptureReport(skipped=skipped, **{name: counters.get(name, 0) for name in COUNTED})
