"""The buffer in one SQLite file.  Its reader is the process; its writer, one thread of it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from drift_middleware.buffer.known import Known
from drift_middleware.buffer.reading import SqliteReader
from drift_middleware.buffer.rows import SqliteRows
from drift_middleware.buffer.schema import prepare
from drift_middleware.buffer.store import DamagedError
from drift_middleware.buffer.transaction import SqliteTransaction
from drift_middleware.errors import StoreError

LOOK_SECONDS = 60.0
"between two looks into a file that seems well: each takes a millisecond"
Identity = tuple[int, int] | None
"device and inode, None where there is no file"


class SqliteStore(SqliteReader):
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
        super().__init__(path, timeout=timeout)
        self.keep_rows = keep_rows
        self.keep_checks = keep_checks
        self.db: sqlite3.Connection | None = None
        self._files: dict[Path, Identity] = {}
        self._known = Known()
        self._is_known = False
        "whether what is there was a database when it was last opened"
        self._is_doubtful = False
        self._size = 0
        self._look_at = 0.0

    def open(self) -> None:
        """Connect, and create or migrate the tables."""
        with self._errors("opened"), _one_at_a_time(self._where):
            _create_private(self._where)
            here = _identity(self._where)
            self._is_known = self._files.get(self._where) == here
            self._files[self._where] = here
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
        self._is_known = True
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._is_doubtful, self._size = False, 0
        self._known = Known()

    def close(self) -> None:
        """Let go of the connection."""
        connection, self.db = self.db, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """Begin to write.  `IMMEDIATE`, for a reader that turns writer fails under contention."""
        db = self._connection()
        with self._errors("written"):
            self._look_for_damage()
            db.execute("BEGIN IMMEDIATE")
            try:
                version = _version(db)
                if version != self._known.version:
                    self._known.forget(version)
                tx = SqliteTransaction(db, self._known, self.keep_rows, self.keep_checks)
                yield tx
                tx.write_counters()
                db.execute("COMMIT")
            except BaseException:
                self._known = Known()
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def is_changed(self) -> bool:
        """Say whether another process wrote since the last transaction."""
        with self._errors("read"):
            return _version(self._connection()) != self._known.version

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

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            with super()._errors(doing):
                yield
        except StoreError as error:
            cause = error.__cause__
            if doing == "read":  # by whoever reads: the writer looks for itself
                self._is_doubtful |= _is_damage(cause)
                raise
            if not self._is_ours_to_move(cause):
                # A file system that fails may be mounted anew, once nobody has a file open there.
                if not _is_one_of(cause, sqlite3.SQLITE_BUSY):
                    self.close()
                raise
            aside = self._set_aside()
            msg = f"{error} It was moved to {aside}, and another is begun."
            raise DamagedError(msg, SqliteRows(aside, timeout=self.timeout).moment) from error

    def _look_for_damage(self) -> None:
        """Look into the file now and then; check all of one that is shorter, or found damaged.

        Through another connection: the cache of the writer's own may hide it for long.
        """
        before, self._size = self._size, self._where.stat().st_size
        is_doubtful = self._is_doubtful or self._size < before
        if not is_doubtful and time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        with closing(self._connect("ro")) as fresh:
            (tables,) = fresh.execute("SELECT count(*) FROM sqlite_master").fetchone()
            depth = "quick_check(1)" if is_doubtful else "quick_check(counters)"
            (said,) = fresh.execute(f"PRAGMA {depth}").fetchone()
        if said != "ok" or not tables:
            error = sqlite3.DatabaseError(said if tables else "the file was emptied")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        self._is_doubtful = False

    def _is_ours_to_move(self, cause: BaseException | None) -> bool:
        """Say whether it is damage, to what was a database once: another file may be dear."""
        return _is_damage(cause) and (
            self._is_known or not _is_one_of(cause, sqlite3.SQLITE_NOTADB)
        )

    def _set_aside(self) -> Path:
        """Give a damaged file, with its log, another name; whoever has it open finds it gone."""
        self.close()
        aside = next(
            path
            for i in count(1)
            if not (path := self._where.with_name(f"{self._where.name}.damaged-{i}")).exists()
        )
        with suppress(OSError), _one_at_a_time(self._where):
            if _identity(self._where) == self._files[self._where]:
                for path, target in zip(_files(self._where), _files(aside), strict=True):
                    if path.exists():
                        path.rename(target)
        return aside

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


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that others change when they write, and the connection itself does not."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _is_damage(cause: BaseException | None) -> bool:
    return _is_one_of(cause, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_one_of(cause: BaseException | None, *codes: int) -> bool:
    code = getattr(cause, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in codes


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
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
