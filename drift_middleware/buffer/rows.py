"""The captured rows, and all that workers share, for who is none of them: read, never written."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from drift_middleware.buffer.known import Known
from drift_middleware.buffer.reading import SqliteReader
from drift_middleware.buffer.store import Transaction
from drift_middleware.buffer.transaction import SqliteTransaction, quoted

VALUES = 100_000
"values read at once: a read that lasts would keep the log from being cleared"


class Stretch(NamedTuple):
    """Some of the captured rows.  Those that come later are none of them."""

    rows: int
    first: int
    last: int
    since: float
    until: float


class SqliteRows(SqliteReader):
    """A reader for other programs than the server: of the rows too, and of one moment."""

    def _connect(self, mode: str) -> sqlite3.Connection:
        # SQLite makes a log, if it is to read alone, too.  Where it cannot, and there is none,
        # nobody writes: the file is a copy, or on a disk that is read-only.
        log = Path(f"{self._where}-wal")
        if not log.exists() and not os.access(self._where.parent, os.W_OK):
            mode = f"{mode}&immutable=1"
        return super()._connect(mode)

    @contextmanager
    def moment(self) -> Iterator[Transaction]:
        """Read several things as they were together."""
        with self._reading() as connection:
            connection.execute("BEGIN")
            yield SqliteTransaction(connection, Known(), 0, 0)

    def columns(self) -> dict[str, str]:
        """Give the captured columns in the order of their coming, and how `rows` names each."""
        with self._reading() as connection:
            return dict(connection.execute("SELECT name, stored_as FROM columns ORDER BY rowid"))

    def stretch(self, since: float, until: float, limit: int | None = None) -> Stretch:
        """Find the rows of some time, seconds since the epoch; of these the newest `limit`."""
        sql = (
            "SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0) FROM"
            " (SELECT id FROM rows WHERE at >= ? AND at < ? ORDER BY id DESC LIMIT ?)"
        )
        most = sys.maxsize if limit is None else limit
        with self._reading() as connection:
            rows, first, last = connection.execute(sql, (since, until, most)).fetchone()
        return Stretch(rows, first, last, since, until)

    def kinds(self, stretch: Stretch, stored: Sequence[str]) -> list[set[str]]:
        """Say what each column holds there, of `integer`, `real`, `text` and `blob`."""
        kinds = [f"group_concat(DISTINCT typeof({quoted(name)}))" for name in stored]
        sql, values = _select(kinds, stretch)
        with self._reading() as connection:
            found = connection.execute(sql, values).fetchone() if kinds else ()
        return [{*(text or "").split(",")} - {"", "null"} for text in found]

    def batches(
        self, stretch: Stretch, stored: Sequence[str]
    ) -> Iterator[list[tuple[float, tuple[Any, ...]]]]:
        """Read these rows, oldest first: when each came, and its values.

        Each batch is a read of its own.  What the server deletes meanwhile is missing.
        """
        size = max(VALUES // (len(stored) + 2), 1)
        sql, values = _select(["id", "at", *map(quoted, stored)], stretch)
        sql += f" AND id > ? ORDER BY id LIMIT {size}"
        last = 0
        while True:
            with self._reading() as connection:
                page = connection.execute(sql, (*values, last)).fetchall()
            if not page:
                return
            yield [(line[1], line[2:]) for line in page]
            last = page[-1][0]


def _select(wanted: Sequence[str], stretch: Stretch) -> tuple[str, tuple[Any, ...]]:
    where = "id BETWEEN ? AND ? AND at >= ? AND at < ?"
    sql = f"SELECT {', '.join(wanted)} FROM rows WHERE {where}"  # noqa: S608  # names are quoted
    return sql, stretch[1:]
