"""Events: what the log says of a check, and of what was learned."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.tally import JOINT
from drift_middleware.logger import ADOPTED, CHECK, LEARNED, RESET, SEVERITY_CHANGED, log
from drift_middleware.schemas import SEVERITIES, Check, SegmentCheck, Severity

NAMED = 5
"signals that a message names"


def say_check(check: Check, before: Check | None) -> None:
    """Tell of a check, and of each severity that is not what it was: of all, then by segment."""
    log(
        logging.INFO,
        CHECK,
        f"{check.number}, severity {check.severity}{_listed(check.moved)}",
        requests=check.requests,
        rows=check.rows,
        milliseconds=check.milliseconds,
        **_fields(check),
        check=check.number,
    )
    _say_change(check, check, before.severity if before else "unknown", None)
    for name, said in check.segments.items():
        was = before.segments.get(name) if before else None
        _say_change(check, said, was.severity if was else "unknown", name)


def _say_change(
    check: Check, said: Check | SegmentCheck, previous: Severity, segment: str | None
) -> None:
    if said.severity == previous or (
        segment is not None and previous == "unknown" == said.severity
    ):
        return
    is_grave = said.severity in ("medium", "high")
    whose = "" if segment is None else f"{segment}, "
    log(
        logging.WARNING if is_grave else logging.INFO,
        SEVERITY_CHANGED,
        f"{whose}{previous} to {said.severity}{_listed(said.moved)}",
        previous=previous,
        **_fields(said),
        check=check.number,
        segment=segment,
    )


def say_learned(baseline: Baseline) -> None:
    """Tell what was learned from traffic."""
    log(logging.INFO, LEARNED, _made(baseline), **_of(baseline))


def say_adopted(baseline: Baseline) -> None:
    """Tell that recent traffic is the baseline now."""
    kept = f"; as before: {', '.join(baseline.kept)}" if baseline.kept else ""
    log(
        logging.INFO,
        ADOPTED,
        f"{_made(baseline)}{kept}",
        **_of(baseline),
        kept=baseline.kept,
    )


def say_reset(check: int) -> None:
    """Tell that the detector knows nothing any more."""
    log(logging.INFO, RESET, f"the detector starts afresh after check {check}", check=check)


def say_not_learned(reason: str) -> None:
    """Tell that the rows so far make no baseline."""
    text = f"no baseline yet: {reason}"
    log(logging.WARNING, LEARNED, text, columns=[], rows=0, fingerprint="")


def _made(baseline: Baseline) -> str:
    return f"{len(baseline.signals)} signals from {baseline.rows} rows"


def _of(baseline: Baseline) -> dict[str, object]:
    return {
        "columns": [name for name in baseline.roles if name != JOINT],
        "rows": baseline.rows,
        "fingerprint": baseline.fingerprint,
    }


def _fields(said: Check | SegmentCheck) -> dict[str, object]:
    return {name: getattr(said, name) for name in ("severity", "data", "prediction", "moved")}


def _listed(moved: Mapping[str, Severity]) -> str:
    worst_first = sorted(moved, key=lambda name: -SEVERITIES.index(moved[name]))
    more = ", ..." if len(moved) > NAMED else ""
    return f" ({', '.join(worst_first[:NAMED])}{more})" if moved else ""
