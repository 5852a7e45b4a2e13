"""What one transaction does in the SQLite buffer."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain, count
from typing import Any

import msgspec

from drift_middleware.buffer.outbox import SqliteOutbox
from drift_middleware.buffer.packing import pack, unpack
from drift_middleware.buffer.reading import CHECK_COLUMNS, read_baseline, read_state
from drift_middleware.schemas import Check, Tally

MAX_COLUMNS = 1900
"SQLite allows 2,000 columns; further ones are tallied but not kept"
RESERVED = frozenset({"id", "at"})
SIZES = (64, 32, 16, 8, 4, 2, 1)
"rows that one statement inserts: few sizes, for each has to be prepared"
UNSTORABLE = (UnicodeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"what SQLite raises for a value that it cannot hold"


class SqliteTransaction(SqliteOutbox):
    """A `Transaction`: statements between `BEGIN IMMEDIATE` and `COMMIT`."""

    def __init__(
        self, db: sqlite3.Connection, names: dict[str, str], keep_rows: int, keep_checks: int
    ) -> None:
        self._db = db
        self._run = db.execute
        self._run_many = db.executemany
        self._names = names
        self._keep_rows = keep_rows
        self._keep_checks = keep_checks

    def get(self, key: str) -> bytes | None:
        """Read a piece of shared state."""
        return read_state(self._db, key)

    def put(self, key: str, value: bytes) -> None:
        """Write a piece of shared state."""
        self._run("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))

    def count(self, counters: Mapping[str, int]) -> None:
        """Add to the counters."""
        self._run_many(
            "INSERT INTO counters (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            [(_name(name), value) for name, value in counters.items() if value],
        )

    def counters(self) -> dict[str, int]:
        """Read all counters."""
        return dict(self._run("SELECT name, value FROM counters").fetchall())

    def append_rows(
        self,
        at: Sequence[float],
        columns: Mapping[str, Sequence[Any]],
        types: Mapping[str, str] | None = None,
    ) -> None:
        """Keep rows, a list per column."""
        stored = self._stored_as(columns, types or {})
        names = ["at", *map(quoted, stored)]
        self._run("SAVEPOINT append_rows")
        try:
            self._insert(names, zip(at, *stored.values(), strict=True))
        except UNSTORABLE:
            # Clients choose the values, and one of them must not lose all the others.
            self._run("ROLLBACK TO append_rows")
            clean = [map(_storable, values) for values in stored.values()]
            self._insert(names, zip(at, *clean, strict=True))
        self._run("RELEASE append_rows")

    def _insert(self, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert many rows with a statement, not one.

        With each statement that runs, Python's lock is let go of, and a server at its limit gives
        it back late: row by row, the thread would fall behind.
        """
        lines, begin = list(rows), 0
        line = f"({', '.join('?' * len(names))})"
        room = self._db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(names)
        for size in SIZES:
            if size > room:
                continue
            end = begin + (len(lines) - begin) // size * size
            if end > begin:
                marks = ", ".join([line] * size)
                parts = (lines[i : i + size] for i in range(begin, end, size))
                self._run_many(
                    f"INSERT INTO rows ({', '.join(names)}) VALUES {marks}",  # noqa: S608  # names are quoted
                    [list(chain.from_iterable(part)) for part in parts],
                )
            begin = end

    def last_row(self) -> int:
        """Return the number of the newest row."""
        return int(self._run("SELECT coalesce(max(id), 0) FROM rows").fetchone()[0])

    def read_rows(self, names: Sequence[str], after: int, limit: int) -> dict[str, list[Any]]:
        """Read the oldest rows numbered above `after`."""
        known = self._registered()
        stored = {name: known[key] for name in names if (key := _name(name)) in known}
        if not stored:
            return {}
        wanted = ", ".join(map(quoted, stored.values()))
        sql = f"SELECT {wanted} FROM rows WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608  # names are quoted
        found = self._run(sql, (after, limit)).fetchall()
        return {name: [line[i] for line in found] for i, name in enumerate(stored)}

    def read_times(self, after: int, limit: int) -> list[float]:
        """Read when those rows arrived."""
        sql = "SELECT at FROM rows WHERE id > ? ORDER BY id LIMIT ?"
        return [at for (at,) in self._run(sql, (after, limit))]

    def trim_rows(self) -> None:
        """Delete the oldest rows, beyond those that are kept."""
        self._run("DELETE FROM rows WHERE id <= ?", (self.last_row() - self._keep_rows,))

    def append_tallies(self, tallies: Sequence[Tally]) -> None:
        """Keep tallies for the next check."""
        self._run_many(
            "INSERT INTO tallies (segment, slice, requests, rows, counts) VALUES (?, ?, ?, ?, ?)",
            [(one.segment, one.slice, one.requests, one.rows, pack(one.counts)) for one in tallies],
        )

    def pending(self) -> tuple[int, int]:
        """Return the requests and rows tallied since the last check."""
        sums = "coalesce(sum(requests), 0), coalesce(sum(rows), 0)"
        found = self._run(f"SELECT {sums} FROM tallies WHERE segment = ''")  # noqa: S608  # constants
        requests, rows = found.fetchone()
        return int(requests), int(rows)

    def pending_tallies(self) -> dict[str, list[Tally]]:
        """Return the tallies since the last check by segment, one per time slice, oldest first."""
        merged: dict[tuple[str, int], Tally] = {}
        columns = "slice, requests, rows, counts, segment"
        found = self._run(f"SELECT {columns} FROM tallies ORDER BY segment, slice")  # noqa: S608  # constants
        for slice_, requests, rows, packed, segment in found:
            tally = Tally(slice_, requests, rows, unpack(packed).astype("i8"), segment)
            known = merged.setdefault((segment, slice_), tally)
            if known is not tally:
                known.add(tally)
        by_segment: dict[str, list[Tally]] = {}
        for tally in merged.values():
            by_segment.setdefault(tally.segment, []).append(tally)
        return by_segment

    def forget_tallies(self) -> None:
        """Drop the tallies since the last check."""
        self._run("DELETE FROM tallies")

    def append_check(
        self, check: Check, fingerprint: str, counts: bytes, signals: bytes, slices: bytes
    ) -> None:
        """Write a check into the history, drop its tallies, and keep to the retention."""
        line = {name: getattr(check, name) for name in CHECK_COLUMNS.split(", ")} | {
            "moved": _json(check.moved).decode(),
            "segments": _json(check.segments).decode(),
            "fingerprint": fingerprint,
            "last_row": self.last_row(),
            "counts": counts,
            "signals": signals.decode(),
            "slices": slices,
        }
        marks = ", ".join(f":{name}" for name in line)
        self._run(f"INSERT INTO checks ({', '.join(line)}) VALUES ({marks})", line)  # noqa: S608  # constants
        self.forget_tallies()
        self.trim_rows()
        self._run("DELETE FROM checks WHERE number <= ?", (check.number - self._keep_checks,))

    def last_check_number(self) -> int:
        """Return the number of the newest check."""
        return int(self._run("SELECT coalesce(max(number), 0) FROM checks").fetchone()[0])

    def put_baseline(self, fingerprint: str, source: str, document: bytes) -> None:
        """Keep a baseline."""
        self._run(
            "INSERT OR REPLACE INTO baselines (fingerprint, source, document) VALUES (?, ?, ?)",
            (fingerprint, _storable(source), document.decode()),
        )

    def get_baseline(self, fingerprint: str) -> bytes | None:
        """Read a kept baseline."""
        return read_baseline(self._db, fingerprint)

    def _registered(self) -> dict[str, str]:
        return dict(self._run("SELECT name, stored_as FROM columns").fetchall())

    def _stored_as(
        self, columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]
    ) -> dict[str, Sequence[Any]]:
        """Give the columns the names that they have in `rows`; their first value adds them."""
        keys = {_name(name): values for name, values in columns.items()}
        if not self._names.keys() >= keys.keys():
            self._names.update(self._registered())  # another process may have added some
            new = {key: values for key, values in keys.items() if key not in self._names}
            present = [key for key, values in new.items() if any(map(_is_present, values))]
            self._add_columns(present, {_name(name): kind for name, kind in types.items()})
        return {self._names[key]: values for key, values in keys.items() if key in self._names}

    def _add_columns(self, keys: Sequence[str], types: Mapping[str, str]) -> None:
        taken = {*RESERVED} | {where.casefold() for where in self._names.values()}
        for key in keys[: max(MAX_COLUMNS - len(self._names), 0)]:
            where = _free_name(key, taken)
            taken.add(where.casefold())
            # Of no type unless all values are of one: to suit the type of a column, SQLite would
            # read the text "01234" as 1234.
            self._run(f"ALTER TABLE rows ADD COLUMN {quoted(where)} {types.get(key, '')}")
            self._run("INSERT INTO columns (name, stored_as) VALUES (?, ?)", (key, where))
            self._names[key] = where


def _is_present(value: Any) -> bool:
    return value is not None and value == value  # noqa: PLR0124  # NaN differs from itself


def _name(text: str) -> str:
    """Write a name so that every database takes it, and each differently."""
    return text.encode("utf-8", "backslashreplace").decode()


def _storable(value: Any) -> Any:
    """Come as near to a value as SQLite can; what is no value of a column is missing."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _float(value)
    return value if isinstance(value, float | bytes) else None


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max


def _free_name(name: str, taken: Set[str]) -> str:
    """Find a column name: SQLite does not tell `Age` from `age`, and strangers choose the names."""
    clean = "".join(char if char.isprintable() else "_" for char in name[:100]) or "_"
    if clean.casefold() not in taken:
        return clean
    return next(f"{clean}_{i}" for i in count(2) if f"{clean}_{i}".casefold() not in taken)


def quoted(name: str) -> str:
    """Write a column's name so that SQL takes it for nothing else."""
    return '"' + name.replace('"', '""') + '"'


_json = msgspec.json.Encoder().encode
