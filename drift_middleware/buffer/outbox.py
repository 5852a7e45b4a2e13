"""The alerts that wait in the SQLite buffer: queued with their check, sent by any worker."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from drift_middleware.buffer.store import Letter
from drift_middleware.schemas import Alert

MOST_WAITING = 1000
"beyond them the oldest are given up"
KEPT = 100
"alerts that were settled, for whoever looks"
GIVEN_UP = "given up"


class SqliteOutbox:
    """The part of a `Transaction` that is about alerts.

    A target gets its alerts in their order: only its oldest can be claimed, for to hear of a
    recovery before the alarm would be worse than to hear late.
    """

    _db: sqlite3.Connection

    def queue_alert(self, alert: Alert, targets: Sequence[str], at: float) -> None:
        """Queue an alert for each target, and forget what was settled long ago."""
        payload = msgspec.json.encode(alert).decode()
        self._db.executemany(
            "INSERT INTO alerts (at, number, kind, target, payload, attempts, next_at)"
            " VALUES (?, ?, ?, ?, ?, 0, ?)",
            [(at, alert.check.number, alert.kind, target, payload, at) for target in targets],
        )
        newest = "SELECT id FROM alerts WHERE outcome IS NOT NULL ORDER BY id DESC"
        self._db.execute(
            f"DELETE FROM alerts WHERE id <= ({newest} LIMIT 1 OFFSET {KEPT})"  # noqa: S608  # constants
            " AND outcome IS NOT NULL"
        )

    def give_up_alerts(self, before: float) -> int:
        """Give up those queued before that time, and the oldest of too many; say how many."""
        newest = "SELECT id FROM alerts WHERE outcome IS NULL ORDER BY id DESC"
        done = self._db.execute(
            "UPDATE alerts SET outcome = ?, error = coalesce(error, 'nobody could send it')"  # noqa: S608  # constants
            " WHERE outcome IS NULL"
            f" AND (at < ? OR id <= ({newest} LIMIT 1 OFFSET {MOST_WAITING}))",
            (GIVEN_UP, before),
        )
        return done.rowcount

    def claim_alert(self, targets: Sequence[str], now: float, until: float) -> Letter | None:
        """Take one that is due, the oldest of its target; until then nobody else gets it."""
        found = self._db.execute(
            "SELECT id, target, payload, attempts + 1, at FROM alerts"  # noqa: S608  # marks alone
            f" WHERE id IN ({_oldest(targets)}) AND next_at <= ? ORDER BY next_at, id LIMIT 1",
            (*targets, now),
        ).fetchone()
        if found is None:
            return None
        letter = Letter(found[0], found[1], found[2].encode(), found[3], found[4])
        self._db.execute(
            "UPDATE alerts SET attempts = ?, next_at = ? WHERE id = ?",
            (letter.attempts, until, letter.id),
        )
        return letter

    def settle_alert(
        self, letter: Letter, outcome: str | None, error: str | None, next_at: float
    ) -> bool:
        """Note what became of one.  Who lost the claim meanwhile has nothing to note."""
        done = self._db.execute(
            "UPDATE alerts SET outcome = ?, error = coalesce(?, error), next_at = ?"
            " WHERE id = ? AND attempts = ? AND outcome IS NULL",
            (outcome, error, next_at, letter.id, letter.attempts),
        )
        return done.rowcount == 1

    def pending_alerts(self, targets: Sequence[str]) -> tuple[int, float | None, str | None]:
        """Return how many wait, when one of these targets' is due, and the newest error."""
        newest = "SELECT error FROM alerts WHERE error IS NOT NULL ORDER BY id DESC LIMIT 1"
        due = f"SELECT min(next_at) FROM alerts WHERE id IN ({_oldest(targets)})"  # noqa: S608  # marks alone
        waiting, when, error = self._db.execute(
            f"SELECT count(*), ({due}), ({newest}) FROM alerts WHERE outcome IS NULL",  # noqa: S608  # marks alone
            targets,
        ).fetchone()
        return waiting, when, error


def _oldest(targets: Sequence[str]) -> str:
    marks = ", ".join("?" * len(targets))
    return (
        "SELECT min(id) FROM alerts WHERE outcome IS NULL"  # noqa: S608  # marks alone
        f" AND target IN ({marks}) GROUP BY target"
    )
