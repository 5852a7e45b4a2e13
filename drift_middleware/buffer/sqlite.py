"""The buffer in one SQLite file.  Its reader is the process; its writer, one thread of it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from drift_middleware.buffer.schema import prepare
from drift_middleware.buffer.transaction import CHECK_COLUMNS, SqliteTransaction
from drift_middleware.errors import StoreError
from drift_middleware.schemas import Check

Identity = tuple[int, int] | None
"device and inode, None where there is no file"


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
        self._where = (
            self.path.resolve()
        )  # where SQLite puts its other files; daemons change folder
        self.keep_rows = keep_rows
        self.keep_checks = keep_checks
        self.timeout = timeout
        self.db: sqlite3.Connection | None = None
        self._files: dict[Path, Identity] = {}
        self._data_version = -1
        self._names: dict[str, str] = {}

    def open(self) -> None:
        """Connect, and create or migrate the tables."""
        with self._errors("opened"), _one_at_a_time(self._where):
            _create_private(self._where)
            connection = self._connect("rw")
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                prepare(connection)
                self._files = {path: _identity(path) for path in _files(self._where)}
            except BaseException:
                connection.close()
                raise
        self.db = connection
        self._data_version = -1
        self._names = {}

    def close(self) -> None:
        """Let go of the connection."""
        if self.db is not None:
            self.db.close()
            self.db = None

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """Begin to write.  `IMMEDIATE`, for a reader that turns writer fails under contention."""
        db = self._connection()
        with self._errors("written"):
            db.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTransaction(db, self._names, self.keep_rows, self.keep_checks)
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                # The column that a rolled-back statement added is not there any more.
                self._names.clear()
                raise
            db.execute("COMMIT")

    def is_changed(self) -> bool:
        """Say whether another process wrote since the last call."""
        with self._errors("read"):
            (version,) = self._connection().execute("PRAGMA data_version").fetchone()
        changed = version != self._data_version
        self._data_version = version
        return bool(changed)

    def _connection(self) -> sqlite3.Connection:
        """Open what is closed; refuse to go on with a file that is not there any more."""
        if self.db is None:
            self.open()
        elif _identity(self._where) != self._files[self._where]:
            # SQLite would write on, into a file without a name that ends with the process.
            self._abandon()
            msg = f"{self.path} was removed or replaced: the next attempt opens it anew."
            raise StoreError(msg)
        assert self.db is not None  # noqa: S101  # `open` sets it or raises
        return self.db

    def _abandon(self) -> None:
        """Close a file that lost its name, with its log: SQLite would play that into the next."""
        with self._errors("written"):
            try:
                with _one_at_a_time(self._where):
                    for path, known in self._files.items():
                        if path != self._where and known is not None and _identity(path) == known:
                            path.unlink()
            finally:
                self.close()

    def history(self, limit: int, before: int | None = None) -> list[Check]:
        """Read the newest checks, newest first."""
        sql = f"SELECT {CHECK_COLUMNS} FROM checks WHERE number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608  # constants
        names = CHECK_COLUMNS.split(", ")
        with self._reading() as connection:
            values = (sys.maxsize if before is None else _bounded(before), _bounded(limit))
            return [
                msgspec.convert(
                    dict(zip(names, line, strict=True)) | {"moved": msgspec.json.decode(line[-1])},
                    Check,
                )
                for line in connection.execute(sql, values)
            ]

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


def _bounded(number: int) -> int:
    return max(min(number, sys.maxsize), -sys.maxsize)


def _files(path: Path) -> tuple[Path, Path, Path]:
    return path, Path(f"{path}-wal"), Path(f"{path}-shm")


def _identity(path: Path) -> Identity:
    """Return what tells a file from every other, or None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create_private(path: Path) -> None:
    """Make the file readable by its owner alone: it holds what clients sent."""
    # Never open it once it is there: closing a plain descriptor drops SQLite's locks on it.
    if not path.exists():
        # What a removed file left behind would be taken for the new one's.
        for left in _files(path)[1:]:
            left.unlink(missing_ok=True)
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
