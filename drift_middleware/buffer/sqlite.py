"""The buffer in one SQLite file.  Its reader is the process; its writer, one thread of it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from drift_middleware.errors import StoreError
from drift_middleware.schemas import Check, Tally

if TYPE_CHECKING:
    from sqlite_utils import Database

MAX_COLUMNS = 1900
"SQLite allows 2,000 columns; further ones are tallied but not kept"
RESERVED = frozenset({"id", "at"})
CHECK_COLUMNS = "number, at, requests, rows, milliseconds, severity, data, prediction, moved"


class SqliteStore:
    """A `Store` in an SQLite file, with its `-wal` and `-shm`, and a `.lock` used when opening.

    Parameters
    ----------
    path
        The file; it is made if it is not there, its folder is not.
    keep_rows, keep_checks
        Retention; older rows and checks are deleted at each check.
    timeout
        Seconds to wait for another writer.
    """

    def __init__(
        self, path: str, *, keep_rows: int, keep_checks: int, timeout: float = 5.0
    ) -> None:
        self.path = Path(path)
        self.keep_rows = keep_rows
        self.keep_checks = keep_checks
        self.timeout = timeout
        self.db: Database | None = None
        self._data_version = -1
        self._names: dict[str, str] = {}

    def open(self) -> None:
        """Connect, and create or migrate the tables."""
        from sqlite_utils import Database

        from drift_middleware.buffer.migrations import MIGRATIONS

        with self._errors("opened"), _one_at_a_time(self.path):
            _create_private(self.path)
            connection = self._connect()
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                self.db = Database(connection, execute_plugins=False)
                MIGRATIONS.apply(self.db)
            except BaseException:
                self.db = None
                connection.close()
                raise
        self._names = {}

    def close(self) -> None:
        """Let go of the connection."""
        if self.db is not None:
            self.db.conn.close()
            self.db = None

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """Begin to write.  `IMMEDIATE`, for a reader that turns writer fails under contention."""
        if self.db is None:
            self.open()
        db = self.db
        assert db is not None  # noqa: S101  # `open` sets it or raises
        with self._errors("written"):
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTransaction(db, self._names, self.keep_rows, self.keep_checks)
            except BaseException:
                if db.conn.in_transaction:
                    db.conn.execute("ROLLBACK")
                # The column that a rolled-back statement added is not there any more.
                self._names.clear()
                raise
            db.conn.execute("COMMIT")

    def is_changed(self) -> bool:
        """Say whether another process wrote since the last call."""
        if self.db is None:
            self.open()
        assert self.db is not None  # noqa: S101  # `open` sets it or raises
        with self._errors("read"):
            (version,) = self.db.conn.execute("PRAGMA data_version").fetchone()
        changed = version != self._data_version
        self._data_version = version
        return bool(changed)

    def history(self, limit: int, before: int | None = None) -> list[Check]:
        """Read the newest checks, newest first."""
        sql = f"SELECT {CHECK_COLUMNS} FROM checks WHERE number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608  # constants
        found = self._read(sql, (sys.maxsize if before is None else before, limit))
        names = CHECK_COLUMNS.split(", ")
        return [
            msgspec.convert(
                dict(zip(names, line, strict=True)) | {"moved": msgspec.json.decode(line[-1])},
                Check,
            )
            for line in found
        ]

    def signal_history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Read what the newest checks said of one signal, newest first."""
        sql = "SELECT number, at, signals FROM checks ORDER BY number DESC LIMIT ?"
        lines = []
        for number, at, signals in self._read(sql, (limit,)):
            said = msgspec.json.decode(signals).get(name)
            if said is not None:
                lines.append({"check": number, "at": at, **said})
        return lines

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        # A connection of its own: the writer's belongs to another thread.
        with self._errors("read"), closing(self._connect()) as connection:
            return connection.execute(sql, values).fetchall()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path, timeout=self.timeout, isolation_level=None, check_same_thread=False
        )

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            msg = f"{self.path} cannot be {doing}: {error}."
            if doing == "opened" and not self.path.parent.is_dir():
                msg = (
                    f"{self.path} cannot be opened: there is no folder {self.path.parent}. Make it."
                )
            raise StoreError(msg) from error


class SqliteTransaction:
    """A `Transaction`: statements between `BEGIN IMMEDIATE` and `COMMIT`."""

    def __init__(
        self, db: Database, names: dict[str, str], keep_rows: int, keep_checks: int
    ) -> None:
        self._db = db
        self._run = db.conn.execute
        self._names = names
        self._keep_rows = keep_rows
        self._keep_checks = keep_checks

    def get(self, key: str) -> bytes | None:
        """Read a piece of shared state."""
        found = self._run("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if found is None else bytes(found[0])

    def put(self, key: str, value: bytes) -> None:
        """Write a piece of shared state."""
        self._run("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))

    def count(self, counters: Mapping[str, int]) -> None:
        """Add to the counters."""
        self._db.conn.executemany(
            "INSERT INTO counters (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            [(name, value) for name, value in counters.items() if value],
        )

    def counters(self) -> dict[str, int]:
        """Read all counters."""
        return dict(self._run("SELECT name, value FROM counters").fetchall())

    def append_rows(self, at: Sequence[float], columns: Mapping[str, Sequence[Any]]) -> None:
        """Keep rows, a list per column."""
        kept = {name: self._stored_as(name, values) for name, values in columns.items()}
        stored = {where: columns[name] for name, where in kept.items() if where is not None}
        names = ", ".join(["at", *(_quoted(where) for where in stored)])
        marks = ", ".join("?" * (len(stored) + 1))
        self._db.conn.executemany(
            f"INSERT INTO rows ({names}) VALUES ({marks})",  # noqa: S608  # names are quoted
            zip(at, *stored.values(), strict=True),
        )

    def last_row(self) -> int:
        """Return the number of the newest row."""
        return int(self._run("SELECT coalesce(max(id), 0) FROM rows").fetchone()[0])

    def read_rows(self, names: Sequence[str], after: int, limit: int) -> dict[str, list[Any]]:
        """Read the oldest rows numbered above `after`."""
        stored = {name: where for name in names if (where := self._registered().get(name))}
        if not stored:
            return {}
        wanted = ", ".join(_quoted(where) for where in stored.values())
        sql = f"SELECT {wanted} FROM rows WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608  # names are quoted
        columns = list(zip(*self._run(sql, (after, limit)).fetchall(), strict=True))
        return {name: list(column) for name, column in zip(stored, columns, strict=bool(columns))}

    def append_tallies(self, tallies: Sequence[Tally]) -> None:
        """Keep tallies for the next check."""
        self._db.conn.executemany(
            "INSERT INTO tallies (slice, requests, rows, counts) VALUES (?, ?, ?, ?)",
            [
                (tally.slice, tally.requests, tally.rows, _json(tally.counts).decode())
                for tally in tallies
            ],
        )

    def pending(self) -> tuple[int, int]:
        """Return the requests and rows tallied since the last check."""
        found = self._run("SELECT coalesce(sum(requests), 0), coalesce(sum(rows), 0) FROM tallies")
        requests, rows = found.fetchone()
        return int(requests), int(rows)

    def pending_tallies(self) -> list[Tally]:
        """Return the tallies since the last check, one per time slice, oldest first."""
        merged: dict[int, Tally] = {}
        found = self._run("SELECT slice, requests, rows, counts FROM tallies ORDER BY slice")
        for slice_, requests, rows, text in found:
            counts = msgspec.json.decode(text, type=list[int])
            known = merged.get(slice_)
            if known is None:
                merged[slice_] = Tally(slice=slice_, requests=requests, rows=rows, counts=counts)
            else:
                known.requests += requests
                known.rows += rows
                known.counts = [a + b for a, b in zip(known.counts, counts, strict=True)]
        return list(merged.values())

    def forget_tallies(self) -> None:
        """Drop the tallies since the last check."""
        self._run("DELETE FROM tallies")

    def append_check(self, check: Check, fingerprint: str, counts: bytes, signals: bytes) -> None:
        """Write a check into the history, drop its tallies, and keep to the retention."""
        line = {name: getattr(check, name) for name in CHECK_COLUMNS.split(", ")} | {
            "moved": _json(check.moved).decode(),
            "fingerprint": fingerprint,
            "last_row": self.last_row(),
            "counts": counts.decode(),
            "signals": signals.decode(),
        }
        marks = ", ".join(f":{name}" for name in line)
        self._run(f"INSERT INTO checks ({', '.join(line)}) VALUES ({marks})", line)  # noqa: S608  # constants
        self.forget_tallies()
        oldest = line["last_row"] - self._keep_rows
        self._run("DELETE FROM rows WHERE id <= ?", (oldest,))
        self._run("DELETE FROM checks WHERE number <= ?", (check.number - self._keep_checks,))

    def last_check_number(self) -> int:
        """Return the number of the newest check."""
        return int(self._run("SELECT coalesce(max(number), 0) FROM checks").fetchone()[0])

    def put_baseline(self, fingerprint: str, source: str, document: bytes) -> None:
        """Keep a baseline."""
        self._run(
            "INSERT OR REPLACE INTO baselines (fingerprint, source, document) VALUES (?, ?, ?)",
            (fingerprint, source, document.decode()),
        )

    def get_baseline(self, fingerprint: str) -> bytes | None:
        """Read a kept baseline."""
        sql = "SELECT document FROM baselines WHERE fingerprint = ?"
        found = self._run(sql, (fingerprint,)).fetchone()
        return None if found is None else found[0].encode()

    def _registered(self) -> dict[str, str]:
        return dict(self._run("SELECT name, stored_as FROM columns").fetchall())

    def _stored_as(self, name: str, values: Sequence[Any]) -> str | None:
        """Return the column of `rows` for a captured column; its first value adds it."""
        if name in self._names:
            return self._names[name]
        self._names.update(self._registered())  # another process may have added it
        if name in self._names:
            return self._names[name]
        kind = _sql_type(values)
        if kind is None or len(self._names) >= MAX_COLUMNS:
            return None
        taken = RESERVED | {where.casefold() for where in self._names.values()}
        where = _free_name(name, taken)
        self._db.table("rows").add_column(where, kind)
        self._run("INSERT INTO columns (name, stored_as) VALUES (?, ?)", (name, where))
        self._names[name] = where
        return where


def _sql_type(values: Sequence[Any]) -> str | None:
    present = [value for value in values if value is not None and value == value]  # noqa: PLR0124  # NaN differs from itself
    if not present:
        return None
    if not all(isinstance(value, int | float) for value in present):
        return "TEXT"
    return "INTEGER" if all(isinstance(value, int) for value in present) else "FLOAT"


def _free_name(name: str, taken: frozenset[str]) -> str:
    """Find a column name: SQLite does not tell `Age` from `age`, and strangers choose the names."""
    clean = "".join(char if char.isprintable() else "_" for char in name[:100]) or "_"
    if clean.casefold() not in taken:
        return clean
    return next(f"{clean}_{i}" for i in count(2) if f"{clean}_{i}".casefold() not in taken)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_json = msgspec.json.Encoder().encode


def _create_private(path: Path) -> None:
    """Make the file readable by its owner alone: it holds what clients sent."""
    # Never open it once it is there: closing a plain descriptor drops SQLite's locks on it.
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time open: to set WAL mode and to migrate fails under contention."""
    try:
        import fcntl
    except ImportError:  # Windows: SQLite's own busy timeout has to do
        yield
        return
    with Path(f"{path}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
