import sqlite3
from contextlib import closing, contextmanager
from itertools import islice

import numpy as np
import pytest

from drift_middleware.buffer import SqliteReader, SqliteStore, pack, pack_slices
from drift_middleware.buffer.reading import PAGE
from drift_middleware.errors import StoreError
from drift_middleware.schemas import Check

MANY = 2 * PAGE + 3


@contextmanager
def written(path, checks):
    store = SqliteStore(str(path), keep_rows=10, keep_checks=10_000)
    store.open()
    with store.transaction() as tx:
        tx.put("key", b"value")
        tx.put_baseline("f", "source", b"{}")
        for number in range(1, checks + 1):
            slices = np.array([[number, 0], [1, 2]])
            check = Check(number=number, at=f"{number:05}", requests=3, rows=4, severity="low")
            captured = {"age": "feature"}
            counts = pack(slices.sum(axis=0))
            tx.append_check(check, "f", counts, b"{}", pack_slices(slices, captured))
    try:
        yield store
    finally:
        store.close()


def test_the_counts_of_all_checks_are_read_oldest_first_page_by_page(path):
    with written(path, MANY):
        found = list(SqliteReader(path).counted(""))
    assert [one.number for one in found] == list(range(1, MANY + 1))
    assert (found[6].at, found[6].requests, found[6].rows) == ("00007", 3, 4)
    assert found[6].counts.tolist() == [8, 2]


@pytest.mark.parametrize(
    ("since", "until", "numbers"),
    [
        ("00003", None, [3, 4, 5]),
        ("00002", "00004", [2, 3]),
        ("", "00002", [1]),
        ("00006", None, []),
        ("00003", "00003", []),
    ],
)
def test_a_stretch_has_its_beginning_and_not_its_end(path, since, until, numbers):
    with written(path, 5) as store:
        assert [one.number for one in store.counted(since, until)] == numbers


def test_what_a_replay_needs_is_read_as_it_was_written(path):
    with written(path, MANY):
        found = list(SqliteReader(path).sliced())
    assert [one.check.number for one in found] == list(range(1, MANY + 1))
    assert found[1].check == Check(number=2, at="00002", requests=3, rows=4, severity="low")
    assert found[1].slices.tolist() == [[2, 0], [1, 2]]
    assert (found[1].fingerprint, found[1].captured) == ("f", {"age": "feature"})


def test_state_and_baselines_can_be_read_without_writing(path):
    with written(path, 0):
        reader = SqliteReader(path)
        assert (reader.get("key"), reader.get("other")) == (b"value", None)
        assert (reader.get_baseline("f"), reader.get_baseline("g")) == (b"{}", None)


def test_a_writer_does_not_wait_for_a_reader_nor_a_reader_for_a_writer(path):
    with written(path, MANY) as store:
        found = SqliteReader(path, timeout=0).counted("")
        first = list(islice(found, 2))
        assert store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        with store.transaction() as tx:
            tx.count({"seen": 1})
            rest = list(found)
        with store.transaction() as tx:
            assert tx.counters() == {"seen": 1}
    assert len(first) + len(rest) == MANY


def test_checks_that_are_trimmed_while_they_are_read_are_passed_over(path):
    with written(path, MANY) as store:
        found = store.sliced()
        assert next(found).check.number == 1
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM checks WHERE number BETWEEN 300 AND 310")
        assert len(list(found)) == MANY - 12


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE checks SET counts = x'0901', slices = x''", "are damaged"),
        ("UPDATE checks SET moved = '?', counts = x''", "cannot be read: "),
        ("ALTER TABLE checks DROP COLUMN counts", "no such column: counts"),
    ],
)
def test_a_history_that_is_damaged_is_said(path, damage, message):
    with written(path, 1):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(damage)
        with pytest.raises(StoreError, match=message):
            list(SqliteReader(path).counted(""))


def test_slices_that_are_damaged_are_said(path):
    with written(path, 1):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE checks SET slices = x'00'")
        with pytest.raises(StoreError, match="the slices of a check are damaged"):
            list(SqliteReader(path).sliced())


def test_reading_a_file_that_is_not_there_makes_none(path):
    with pytest.raises(StoreError, match="cannot be read: unable to open database file"):
        SqliteReader(path).get("key")
    assert not path.exists()
