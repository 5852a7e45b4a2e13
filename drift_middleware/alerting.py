"""Alerting: the outbox in the buffer, for the recorder, who queues, and the sender, who claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec

from drift_middleware.buffer import Letter, Transaction
from drift_middleware.config import Config
from drift_middleware.export.outbox import Delivery, Outbox
from drift_middleware.overview import signals_of
from drift_middleware.schemas import Alarm, Check
from drift_middleware.watch import View

if TYPE_CHECKING:
    from drift_middleware.export.sender import Sender
    from drift_middleware.export.targets import Target


class Shared(Protocol):
    """What all workers share: the recorder."""

    view: View

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin to change it."""
        ...


def open_alerts(config: Config, shared: Shared, clock: Callable[[], float]) -> Alerting | None:
    """Make ready what the options name; None if they name nobody.

    Raises
    ------
    ConfigError
        It cannot be, or needs what is not installed.
    """
    if not (config.alerts or config.webhook or config.on_change):
        return None
    from drift_middleware.export.targets import open_targets

    targets = open_targets(
        alerts=config.alerts,
        webhook=config.webhook,
        webhook_secret=config.webhook_secret,
        on_change=config.on_change,
    )
    return Alerting(config, targets, shared, clock)


class Alerting:
    """What one recorder does about alerts, and the `Ledger` of its process's sender.

    Parameters
    ----------
    targets
        Whom alerts go to, by name.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        targets: Mapping[str, Target],
        shared: Shared,
        clock: Callable[[], float],
    ) -> None:
        self._outbox = Outbox(
            tuple(targets),
            alert_at=config.alert_at,
            repeat_hours=config.alert_repeat_hours,
            path=config.route,
        )
        self._targets = targets
        self._shared = shared
        self.now = clock

    def sender(self, writing: AbstractContextManager[object]) -> Sender:
        """Make the one that sends in this process; as `Sender` has it."""
        from drift_middleware.export.sender import Sender

        return Sender(self._targets, self, writing)

    def queue(
        self, tx: Transaction, view: View, check: Check, before: Check | None
    ) -> dict[str, Alarm]:
        """Queue what a check gives to tell; return what people have been told then."""
        alarms = dict(view.progress.alarms)
        self._outbox.queue(
            tx, check, before, alarms, signals=partial(signals_of, view), now=self.now()
        )
        return alarms

    def shown(self, tx: Transaction, view: View) -> View:
        """Add to a view what became of the alerts, and when the next one is due."""
        alerts, due = self._outbox.look(tx, view.counters)
        return msgspec.structs.replace(view, alerts=alerts, alert_due=due)

    # The ledger.

    def is_alert_due(self) -> bool:
        """Say whether there is something to send, as last seen."""
        due = self._shared.view.alert_due
        return due is not None and due <= self.now()

    def claim_alert(self) -> Letter | None:
        """Take a letter that is due, for this process alone.  Raises StoreError."""
        with self._shared.transaction() as tx:
            letter: Letter | None = self._outbox.claim(tx, self.now())
            return letter

    def settle_alert(self, delivery: Delivery) -> None:
        """Note what became of it.  Raises StoreError."""
        with self._shared.transaction() as tx:
            self._outbox.settle(tx, delivery, self.now())
