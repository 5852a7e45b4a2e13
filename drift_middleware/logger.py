"""The log: one logger, a closed set of events, the facts of each as fields of the record.

The message is for people; `record.event` and the other fields (passed as `extra`) are for machines.
"""

from __future__ import annotations

import logging
from typing import Any

LOGGER = logging.getLogger("drift_middleware")

SEVERITY_CHANGED = "severity changed"
"fields: previous, severity, data, prediction, check, moved, segment (None: all traffic)"
CHECK = "check"
"fields: check, requests, rows, severity, data, prediction, milliseconds, moved"
LEARNED = "learned"
"fields: columns, rows, fingerprint"
ADOPTED = "adopted"
"fields: the same, kept"
RESET = "reset"
"fields: check (the last one before)"
DEGRADED = "degraded"
"fields: reason"
RECOVERED = "recovered"
"fields: none"
DROPPED = "dropped"
"fields: dropped, reason"
ALERT_SENT = "alert sent"
"fields: target, kind, severity, previous, check, segment"
ALERT_FAILED = "alert failed"
"fields: the same, reason, attempts"


def log(level: int, event: str, message: str = "", **fields: Any) -> None:
    """Write one event.  Column names come from strangers: control characters never reach a line."""
    text = f"{event}: {message}" if message else event
    LOGGER.log(level, "%s", printable(text), extra={"event": event, **fields})


def printable(text: str) -> str:
    """Escape what is not printable, so that no name can forge a line or colour a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
