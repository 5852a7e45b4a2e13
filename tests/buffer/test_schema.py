import sqlite3
from contextlib import closing

import pytest
from sqlite_utils import Database

from drift_middleware.buffer.migrations import MIGRATIONS
from drift_middleware.buffer.schema import SCHEMA, STEPS, prepare


@pytest.fixture
def connection():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def database(connection):
    return Database(connection, execute_plugins=False)


def tables(connection):
    return {
        table.name: (table.columns, table.pks, table.foreign_keys, table.indexes)
        for table in database(connection).tables
    }


def test_a_new_file_is_as_the_migrations_would_have_made_it(connection):
    prepare(connection)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as migrated:
        MIGRATIONS.apply(database(migrated))
        assert tables(connection) == tables(migrated)
    assert MIGRATIONS.pending(database(connection)) == []
    assert {step.name for step in MIGRATIONS.applied(database(connection))} == STEPS


def test_sqlite_utils_reads_when_a_step_was_applied(connection):
    prepare(connection)
    (step,) = MIGRATIONS.applied(database(connection))
    sql = "SELECT abs(julianday(?) - julianday('now'))"
    assert connection.execute(sql, (step.applied_at,)).fetchone()[0] < 1


def test_to_prepare_again_changes_nothing(connection):
    prepare(connection)
    connection.execute("INSERT INTO counters VALUES ('seen', 1)")
    before = list(connection.iterdump())
    prepare(connection)
    connection.executescript(SCHEMA)  # of a process that found the file empty too
    assert list(connection.iterdump()) == before


def test_a_file_without_our_steps_is_migrated(connection):
    connection.execute("CREATE TABLE others (a)")
    prepare(connection)
    assert MIGRATIONS.pending(database(connection)) == []
    assert "others" in tables(connection)


def test_a_file_with_the_steps_of_others_is_migrated(connection):
    prepare(connection)
    connection.execute("UPDATE _sqlite_migrations SET migration_set = 'others'")
    connection.execute("DROP TABLE counters")
    for name in ("rows", "columns", "tallies", "checks", "baselines", "state", "alerts"):
        connection.execute(f"DROP TABLE {name}")
    prepare(connection)
    assert MIGRATIONS.pending(database(connection)) == []
    assert "counters" in tables(connection)


def test_a_new_file_that_cannot_be_made_whole_stays_empty(connection):
    connection.execute("PRAGMA max_page_count = 5")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        prepare(connection)
    connection.execute("ROLLBACK")
    assert tables(connection) == {}
