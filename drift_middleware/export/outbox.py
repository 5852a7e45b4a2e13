"""Outbox: alerts are queued in the transaction of their check, and settled in another.

So each change is told once, whichever worker makes the check and whichever sends.  Only a worker
that is killed between the sending and the settling leaves an alert that is sent twice.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from drift_middleware.export.alerts import ON_CHANGE, Change, changes, is_for
from drift_middleware.schemas import (
    Alarm,
    Alert,
    AlertSignal,
    AlertsReport,
    Check,
    Severity,
    SignalReport,
)

LEASE_SECONDS = 300.0
"how long a claim holds: longer than a target takes"
FIRST_RETRY_SECONDS = 5.0
"doubled after each attempt"
LONGEST_RETRY_SECONDS = 900.0
GIVE_UP_SECONDS = 86_400.0
MOST_SIGNALS = 10
"in one alert"
SENT, GIVEN_UP = "sent", "given up"
COUNTERS = {"sent": "alerts:sent", "failed": "alerts:failed", "given_up": "alerts:given up"}


class Letter(Protocol):
    """An alert on its way to one target."""

    @property
    def target(self) -> str:
        """Whom it is for."""
        ...

    @property
    def payload(self) -> bytes:
        """Return the alert as JSON."""
        ...

    @property
    def attempts(self) -> int:
        """Count this attempt, too."""
        ...

    @property
    def at(self) -> float:
        """When it was queued, seconds since the epoch."""
        ...


class Delivery(NamedTuple):
    """What became of an attempt."""

    letter: Any
    "as the buffer gave it"
    error: str | None


class Transaction(Protocol):
    """What the buffer does about alerts, as its own `Transaction` says."""

    def count(self, counters: Mapping[str, int]) -> None: ...  # noqa: D102
    def queue_alert(self, alert: Alert, targets: Sequence[str], at: float) -> None: ...  # noqa: D102
    def give_up_alerts(self, before: float) -> int: ...  # noqa: D102
    def claim_alert(self, targets: Sequence[str], now: float, until: float) -> Any: ...  # noqa: D102
    def settle_alert(  # noqa: D102
        self, letter: Any, outcome: str | None, error: str | None, next_at: float
    ) -> bool: ...
    def pending_alerts(  # noqa: D102
        self, targets: Sequence[str]
    ) -> tuple[int, float | None, str | None]: ...


class Outbox:
    """Decides what is told, and when an attempt is the last.  It sends nothing itself.

    Parameters
    ----------
    targets
        Names of those who are told.
    alert_at
        The severity from which on they are.
    repeat_hours
        Hours after which they are told again while it stays; None: never.
    path
        Where there is more to see.
    """

    def __init__(
        self,
        targets: Sequence[str],
        *,
        alert_at: Severity,
        repeat_hours: float | None,
        path: str,
    ) -> None:
        self.targets = tuple(targets)
        self._alert_at = alert_at
        self._repeat_after = None if repeat_hours is None else repeat_hours * 3600
        self._path = path

    def queue(
        self,
        tx: Transaction,
        check: Check,
        before: Check | None,
        alarms: MutableMapping[str, Alarm],
        *,
        signals: Callable[[str | None], list[SignalReport]],
        now: float,
    ) -> None:
        """Queue what a check gives to tell.  In its transaction.

        Parameters
        ----------
        alarms
            As for `changes`; shared by all workers, and brought up to date.
        signals
            Reports on the signals of a segment, or of all traffic: called for alerts alone.
        """
        for change in changes(
            check,
            before,
            alarms,
            alert_at=self._alert_at,
            repeat_after=self._repeat_after,
            now=now,
        ):
            alert = self._write(change, check, signals(change.segment))
            tx.queue_alert(alert, [name for name in self.targets if is_for(name, alert)], now)
            tx.count({COUNTERS["given_up"]: tx.give_up_alerts(now - 2 * GIVE_UP_SECONDS)})

    def claim(self, tx: Transaction, now: float) -> Any:
        """Take a letter that is due, or None."""
        return tx.claim_alert(self.targets, now, now + LEASE_SECONDS)

    def settle(self, tx: Transaction, delivery: Delivery, now: float) -> None:
        """Note what became of an attempt, and when the next one is due."""
        letter, error = delivery
        wait = retry_seconds(letter.attempts)
        is_last = letter.target == ON_CHANGE or now + wait > letter.at + GIVE_UP_SECONDS
        outcome = SENT if error is None else GIVEN_UP if is_last else None
        is_ours = tx.settle_alert(letter, outcome, error, now + wait)
        # What was sent was sent, even if another worker took it for lost meanwhile.
        facts = {
            "sent": error is None,
            "failed": error is not None,
            "given_up": is_ours and outcome == GIVEN_UP,
        }
        tx.count({COUNTERS[name]: int(is_so) for name, is_so in facts.items()})

    def look(
        self, tx: Transaction, counters: Mapping[str, int]
    ) -> tuple[AlertsReport, float | None]:
        """Report on all alerts, and say when the next one is due."""
        pending, due, error = tx.pending_alerts(self.targets)
        counted = {name: counters.get(counter, 0) for name, counter in COUNTERS.items()}
        return AlertsReport(pending=pending, last_error=error, **counted), due

    def _write(self, change: Change, check: Check, signals: Sequence[SignalReport]) -> Alert:
        return Alert(
            id=uuid4().hex,
            kind=change.kind,
            severity=change.severity,
            previous=change.previous,
            segment=change.segment,
            signals=[
                AlertSignal(one.name, one.severity, one.moved, one.at_least, one.why)
                for one in signals[:MOST_SIGNALS]
                if one.severity != "none"
            ],
            check=check,
            host=socket.gethostname(),
            path=self._path,
        )


def retry_seconds(attempts: int) -> float:
    """Return how long to wait after so many attempts."""
    doubled = FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 20)
    return min(doubled, LONGEST_RETRY_SECONDS)
