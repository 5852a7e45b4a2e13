"""What one transaction does in the SQLite buffer."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain, count
from operator import itemgetter
from typing import Any

import msgspec

from drift_middleware.buffer.known import Known, add_to
from drift_middleware.buffer.outbox import SqliteOutbox
from drift_middleware.buffer.packing import pack, unpack
from drift_middleware.buffer.reading import CHECK_COLUMNS, read_baseline, read_state
from drift_middleware.schemas import Check, Tally

MAX_COLUMNS = 1900
"SQLite allows 2,000 columns; further ones are tallied but not kept"
RESERVED = frozenset({"id", "at"})
SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"lines that one statement inserts: few sizes, for each has to be prepared"
MOST_VALUES = 8192
"in one statement"
UNSTORABLE = (UnicodeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"what SQLite raises for a value that it cannot hold"


class SqliteTransaction(SqliteOutbox):
    """A `Transaction`: statements between `BEGIN IMMEDIATE` and `COMMIT`."""

    def __init__(
        self, db: sqlite3.Connection, known: Known, keep_rows: int, keep_checks: int
    ) -> None:
        self._db = db
        self._run = db.execute
        self._known = known
        self._counted: Counter[str] = Counter()
        self._keep_rows = keep_rows
        self._keep_checks = keep_checks

    def get(self, key: str) -> bytes | None:
        """Read a piece of shared state."""
        state = self._known.state
        if key not in state:
            state[key] = read_state(self._db, key)
        return state[key]

    def put(self, key: str, value: bytes) -> None:
        """Write a piece of shared state."""
        self._run("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))
        self._known.state[key] = value

    def count(self, counters: Mapping[str, int]) -> None:
        """Add to the counters."""
        for name, value in counters.items():
            self._counted[_name(name)] += value

    def counters(self) -> dict[str, int]:
        """Read all counters."""
        self.write_counters()
        if self._known.counters is None:
            self._known.counters = dict(self._run("SELECT name, value FROM counters").fetchall())
        return dict(self._known.counters)

    def write_counters(self) -> None:
        """Write what was counted in this transaction: once, as late as can be."""
        counted = {name: value for name, value in self._counted.items() if value}
        self._insert(
            "counters",
            ("name", "value"),
            counted.items(),
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        )
        self._known.note_counted(counted)
        self._counted.clear()

    def append_rows(
        self,
        at: Sequence[float],
        columns: Mapping[str, Sequence[Any]],
        types: Mapping[str, str] | None = None,
    ) -> None:
        """Keep rows, a list per column."""
        stored = self._stored_as(columns, types or {})
        names = ["at", *map(quoted, stored)]
        self._insert("rows", names, zip(at, *stored.values(), strict=True))

    def _insert(
        self, table: str, names: Sequence[str], lines: Iterable[Sequence[Any]], clause: str = ""
    ) -> None:
        """Insert many lines with a statement, not one.

        With each statement that runs, Python's lock is let go of, and a server at its limit gives
        it back late: line by line, the thread would fall behind.
        """
        left, marks = list(lines), f"({', '.join('?' * len(names))})"
        most = min(self._db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER), MOST_VALUES)
        for size in SIZES:
            if size > len(left) or (size > 1 and size * len(names) > most):
                continue
            into = f"{table} ({', '.join(names)})"
            sql = f"INSERT INTO {into} VALUES {', '.join([marks] * size)}{clause}"  # noqa: S608  # names are quoted
            while size <= len(left):
                values = [*chain.from_iterable(left[:size])]
                del left[:size]
                try:
                    self._run(sql, values)
                except UNSTORABLE:
                    # Clients choose the values, and one of them must not lose all the others.
                    self._run(sql, [*map(_storable, values)])

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
        newest = "SELECT max(id) FROM rows"
        self._run(f"DELETE FROM rows WHERE id <= ({newest}) - ?", (self._keep_rows,))  # noqa: S608  # constants

    def append_tallies(self, tallies: Sequence[Tally]) -> None:
        """Keep tallies for the next check."""
        self._insert(
            "tallies",
            ("segment", "slice", "requests", "rows", "counts"),
            [(one.segment, one.slice, one.requests, one.rows, pack(one.counts)) for one in tallies],
        )
        self._known.note_tallies(tallies)

    def pending(self) -> tuple[int, int]:
        """Return the requests and rows tallied since the last check."""
        if self._known.pending is None:
            sums = "coalesce(sum(requests), 0), coalesce(sum(rows), 0)"
            found = self._run(f"SELECT {sums} FROM tallies WHERE segment = ''")  # noqa: S608  # constants
            requests, rows = found.fetchone()
            self._known.pending = int(requests), int(rows)
        return self._known.pending

    def pending_tallies(self) -> dict[str, list[Tally]]:
        """Return the tallies since the last check by segment, one per time slice, oldest first."""
        if self._known.tallies is None:
            self._known.tallies = {}
            columns = "slice, requests, rows, counts, segment"
            for slice_, requests, rows, packed, segment in self._run(
                f"SELECT {columns} FROM tallies"  # noqa: S608  # constants
            ):
                counts = unpack(packed).astype("i8")
                add_to(self._known.tallies, Tally(slice_, requests, rows, counts, segment))
        by_segment: dict[str, list[Tally]] = {}
        for (segment, _), tally in sorted(self._known.tallies.items(), key=itemgetter(0)):
            by_segment.setdefault(segment, []).append(tally)
        return by_segment

    def forget_tallies(self) -> None:
        """Drop the tallies since the last check."""
        self._run("DELETE FROM tallies")
        self._known.pending, self._known.tallies = (0, 0), {}

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
        if not self._known.names.keys() >= keys.keys():
            self._known.names.update(self._registered())  # another process may have added some
            new = {key: values for key, values in keys.items() if key not in self._known.names}
            present = [key for key, values in new.items() if any(map(_is_present, values))]
            self._add_columns(present, {_name(name): kind for name, kind in types.items()})
        return {
            self._known.names[key]: values
            for key, values in keys.items()
            if key in self._known.names
        }

    def _add_columns(self, keys: Sequence[str], types: Mapping[str, str]) -> None:
        taken = {*RESERVED} | {where.casefold() for where in self._known.names.values()}
        for key in keys[: max(MAX_COLUMNS - len(self._known.names), 0)]:
            where = _free_name(key, taken)
            taken.add(where.casefold())
            # Of no type unless all values are of one: to suit the type of a column, SQLite would
            # read the text "01234" as 1234.
            self._run(f"ALTER TABLE rows ADD COLUMN {quoted(where)} {types.get(key, '')}")
            self._run("INSERT INTO columns (name, stored_as) VALUES (?, ?)", (key, where))
            self._known.names[key] = where


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
