"""Sender: what is due goes out on a thread of its own, one alert at a time.

The monitor's thread looks after it between two rounds, and never waits for it.  It knows no
database: what was sent is settled by whoever calls.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

import msgspec

from drift_middleware.errors import StoreError
from drift_middleware.export.outbox import Delivery, Letter
from drift_middleware.export.targets import Target
from drift_middleware.logger import ALERT_FAILED, ALERT_SENT, log
from drift_middleware.schemas import Alert

FINISH_SECONDS = 5.0
"how long a monitor that is closed goes on to send"


class Ledger(Protocol):
    """Who claims and settles: the recorder.  Raises StoreError."""

    def is_alert_due(self) -> bool:
        """Say whether it is worth while to claim."""
        ...

    def claim_alert(self) -> Any:
        """Take a letter that is due, for this process alone, or None."""
        ...

    def settle_alert(self, delivery: Delivery) -> None:
        """Note what became of it."""
        ...

    def now(self) -> float:
        """Return the seconds since the epoch."""
        ...


class Sender:
    """Sends the alerts that fall due.  One for each process; a fork begins another.

    Parameters
    ----------
    writing
        Held while the ledger is written: a fork waits for it.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        ledger: Ledger,
        writing: AbstractContextManager[object],
    ) -> None:
        self._targets = targets
        self._ledger = ledger
        self._writing = writing
        self._thread: threading.Thread | None = None
        self._delivery: Delivery | None = None

    def turn(self) -> None:
        """Settle what was sent, and send what is due.  Never waits."""
        letter = self._next()
        if letter is not None:
            arguments = (letter, self._ledger.now())
            self._thread = threading.Thread(
                target=self._send, args=arguments, name="drift-alerts", daemon=True
            )
            self._thread.start()

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Send what is due before the process ends, for so long; the rest stays in the buffer."""
        end = time.monotonic() + seconds
        if self._thread is not None:
            self._thread.join(seconds)
        with suppress(StoreError):
            while (letter := self._next()) is not None:
                # Here: a process that ends starts no thread any more.
                self._send(letter, self._ledger.now())
                if time.monotonic() >= end:
                    self._settle()
                    return

    def _next(self) -> Any:
        """Take a letter that is due, unless one is on its way."""
        if self._thread is not None and self._thread.is_alive():
            return None
        self._thread = None
        self._settle()
        if not self._ledger.is_alert_due():
            return None
        with self._writing:
            return self._ledger.claim_alert()

    def _settle(self) -> None:
        if self._delivery is not None:
            with self._writing:
                self._ledger.settle_alert(self._delivery)
            self._delivery = None  # not if that raised: it is tried again

    def _send(self, letter: Letter, now: float) -> None:
        error: str | None = None
        try:
            alert = msgspec.json.decode(letter.payload, type=Alert)
            error = self._targets[letter.target](alert, now)
            _say(letter, alert, error)
        except Exception as unexpected:  # noqa: BLE001  # of a thread that ends here
            error = f"unexpected {type(unexpected).__name__}"
            log(logging.WARNING, ALERT_FAILED, error, reason=error, target=letter.target)
        self._delivery = Delivery(letter, error)


def _say(letter: Letter, alert: Alert, error: str | None) -> None:
    fields: dict[str, object] = {
        name: getattr(alert, name) for name in ("kind", "severity", "previous", "segment")
    }
    fields |= {"target": letter.target, "check": alert.check.number}
    what = f"{alert.kind} to {letter.target}"
    if error is None:
        log(logging.INFO, ALERT_SENT, what, **fields)
    else:
        text = f"{what}, attempt {letter.attempts}: {error}"
        log(logging.WARNING, ALERT_FAILED, text, reason=error, attempts=letter.attempts, **fields)
