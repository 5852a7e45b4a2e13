"""Reading the SQLite buffer, while others write into it and without making them wait."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from drift_middleware.buffer.packing import unpack, unpack_slices
from drift_middleware.buffer.store import Counted, Sliced
from drift_middleware.errors import StoreError
from drift_middleware.schemas import Check

CHECK_COLUMNS = (
    "number, at, requests, rows, milliseconds, severity, data, prediction, moved, segments"
)
PAGE = 256
"checks read at once: a read that lasts would keep the log from being cleared"


class SqliteReader:
    """A `Reader` of an SQLite file.

    Parameters
    ----------
    path
        The file.
    timeout
        Seconds to wait for who recovers or clears the log.
    """

    def __init__(self, path: str | Path, *, timeout: float = 5.0) -> None:
        self.path = Path(path)
        # Where SQLite puts its other files; daemons change folder.
        self._where = self.path.resolve()
        self.timeout = timeout

    def history(self, limit: int, before: int | None = None) -> list[Check]:
        """Read the newest checks, newest first."""
        sql = f"SELECT {CHECK_COLUMNS} FROM checks WHERE number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608  # constants
        with self._reading() as connection:
            values = (sys.maxsize if before is None else _bounded(before), _bounded(limit))
            return [_check(line) for line in connection.execute(sql, values)]

    def signal_history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Read what the newest checks said of one signal, newest first."""
        sql = "SELECT number, at, signals FROM checks ORDER BY number DESC LIMIT ?"
        lines = []
        with self._reading() as connection:
            for number, at, signals in connection.execute(sql, (_bounded(limit),)):
                said = msgspec.json.decode(signals).get(name)
                if said is not None:
                    lines.append({"check": number, "at": at, **said})
        return lines

    def counted(self, since: str, until: str | None = None) -> Iterator[Counted]:
        """Read what the checks of some time counted, oldest first."""
        with self._reading() as connection:
            wanted = "number, at, requests, rows, counts"
            for number, at, requests, rows, counts in _pages(connection, wanted, since, until):
                yield Counted(number, at, requests, rows, unpack(counts))

    def sliced(self) -> Iterator[Sliced]:
        """Read what a replay needs of every check, oldest first."""
        with self._reading() as connection:
            for line in _pages(connection, f"{CHECK_COLUMNS}, fingerprint, slices"):
                yield Sliced(_check(line[:-2]), line[-2], *unpack_slices(line[-1]))

    def get(self, key: str) -> bytes | None:
        """Read a piece of shared state."""
        with self._reading() as connection:
            return read_state(connection, key)

    def get_baseline(self, fingerprint: str) -> bytes | None:
        """Read a kept baseline."""
        with self._reading() as connection:
            return read_baseline(connection, fingerprint)

    def size(self) -> int:
        """Bytes of the file and of its log; 0 where there is none."""
        size = 0
        for path in (self._where, Path(f"{self._where}-wal")):
            with suppress(OSError):
                size += path.stat().st_size
        return size

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        # A connection of its own: the writer's belongs to another thread.
        with self._errors("read"), closing(self._connect("ro")) as connection:
            yield connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        # By its mode: SQLite would make a file that is missing, and readable by everybody.
        return sqlite3.connect(
            f"{self._where.as_uri()}?mode={mode}",
            uri=True,
            timeout=self.timeout,
            isolation_level=None,
            check_same_thread=False,
        )

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            folder = self.path.parent
            why = error if self._where.parent.is_dir() else f"there is no folder {folder}. Make it"
            msg = f"{self.path} cannot be {doing}: {why}."
            raise StoreError(msg) from error


def read_state(connection: sqlite3.Connection, key: str) -> bytes | None:
    """Read a piece of shared state."""
    found = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
    return None if found is None else bytes(found[0])


def read_baseline(connection: sqlite3.Connection, fingerprint: str) -> bytes | None:
    """Read a kept baseline."""
    sql = "SELECT document FROM baselines WHERE fingerprint = ?"
    found = connection.execute(sql, (fingerprint,)).fetchone()
    return None if found is None else found[0].encode()


def _pages(
    connection: sqlite3.Connection, columns: str, since: str = "", until: str | None = None
) -> Iterator[tuple[Any, ...]]:
    """Select from the checks of some time, oldest first; `number` is the first column."""
    sql = (
        f"SELECT {columns} FROM checks WHERE number > ? AND at >= ? AND at < ?"  # noqa: S608  # constants
        f" ORDER BY number LIMIT {PAGE}"
    )
    last = 0
    while page := connection.execute(sql, (last, since, until or "~")).fetchall():
        yield from page
        last = page[-1][0]


def _check(line: tuple[Any, ...]) -> Check:
    named = dict(zip(CHECK_COLUMNS.split(", "), line, strict=True))
    nested = {name: msgspec.json.decode(named[name]) for name in ("moved", "segments")}
    return msgspec.convert(named | nested, Check)


def _bounded(number: int) -> int:
    return max(min(number, sys.maxsize), -sys.maxsize)
