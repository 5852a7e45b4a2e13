"""The tables of the SQLite buffer, as they are made in a new file.  `migrations` mends old ones."""

from __future__ import annotations

import sqlite3

# All at once or not at all; two processes that find the file empty may both run it.
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS "rows" (
   "id" INTEGER PRIMARY KEY,
   "at" REAL
);
CREATE TABLE IF NOT EXISTS "columns" (
   "name" TEXT PRIMARY KEY,
   "stored_as" TEXT
);
CREATE TABLE IF NOT EXISTS "tallies" (
   "id" INTEGER PRIMARY KEY,
   "segment" TEXT,
   "slice" INTEGER,
   "requests" INTEGER,
   "rows" INTEGER,
   "counts" BLOB
);
CREATE TABLE IF NOT EXISTS "checks" (
   "number" INTEGER PRIMARY KEY,
   "at" TEXT,
   "requests" INTEGER,
   "rows" INTEGER,
   "last_row" INTEGER,
   "milliseconds" REAL,
   "severity" TEXT,
   "data" TEXT,
   "prediction" TEXT,
   "moved" TEXT,
   "segments" TEXT,
   "fingerprint" TEXT,
   "counts" BLOB,
   "signals" TEXT,
   "slices" BLOB
);
CREATE TABLE IF NOT EXISTS "baselines" (
   "fingerprint" TEXT PRIMARY KEY,
   "source" TEXT,
   "document" TEXT
);
CREATE TABLE IF NOT EXISTS "state" (
   "key" TEXT PRIMARY KEY,
   "value" BLOB
);
CREATE TABLE IF NOT EXISTS "counters" (
   "name" TEXT PRIMARY KEY,
   "value" INTEGER
);
CREATE TABLE IF NOT EXISTS "alerts" (
   "id" INTEGER PRIMARY KEY,
   "at" REAL,
   "number" INTEGER,
   "kind" TEXT,
   "target" TEXT,
   "payload" TEXT,
   "attempts" INTEGER,
   "next_at" REAL,
   "outcome" TEXT,
   "error" TEXT
);
CREATE TABLE IF NOT EXISTS "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
INSERT OR IGNORE INTO "_sqlite_migrations" ("migration_set", "name", "applied_at")
VALUES ('drift_middleware', 'create_tables', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now'));
COMMIT;
"""
STEPS = {"create_tables"}
"the migrations that made these tables out of nothing"


def prepare(connection: sqlite3.Connection) -> None:
    """Create the tables in a new file; bring those of an older version up to date."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in found}
    if not tables:
        connection.executescript(SCHEMA)
    elif not _applied(connection, tables) >= STEPS:
        # Only now, for it loads pandas, where that is installed.
        from sqlite_utils import Database

        from drift_middleware.buffer.migrations import MIGRATIONS

        MIGRATIONS.apply(Database(connection, execute_plugins=False))


def _applied(connection: sqlite3.Connection, tables: set[str]) -> set[str]:
    if "_sqlite_migrations" not in tables:
        return set()
    found = connection.execute(
        "SELECT name FROM _sqlite_migrations WHERE migration_set = 'drift_middleware'"
    )
    return {name for (name,) in found}
