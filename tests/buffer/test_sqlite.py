import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from drift_middleware.buffer import SqliteStore, pack, pack_slices, transaction
from drift_middleware.errors import StoreError
from drift_middleware.schemas import Check, Tally

# Imported once and forked, for the processes to open at the same moment.
OPEN_AND_COUNT = """
import os, sys
from drift_middleware.buffer import SqliteStore

def work(number, ready):
    store = SqliteStore(sys.argv[1], keep_rows=10, keep_checks=10)
    os.read(ready, 1)
    store.open()
    for _ in range(20):
        with store.transaction() as tx:
            tx.count({"seen": 1})
            tx.append_rows([1.0], {f"column {number}": [1], "shared": [2]})
    store.close()

ready, start = os.pipe()
children = []
for number in range(8):
    child = os.fork()
    if not child:
        os.close(start)
        work(number, ready)
        os._exit(0)
    children.append(child)
os.write(start, b"x" * 8)
print([os.waitpid(child, 0)[1] for child in children])
"""
SLICES = pack_slices(np.array([[1]]), {})
EVERY_TABLE = {"rows", "columns", "tallies", "checks", "baselines", "state", "counters"}


@contextmanager
def opened(path, **options):
    store = SqliteStore(str(path), **{"keep_rows": 1000, "keep_checks": 100} | options)
    store.open()
    try:
        yield store
    finally:
        store.close()


def run(code, path):
    return subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path / "drift.db") as store:
        yield store


def keep(store, columns):
    rows = len(next(iter(columns.values())))
    with store.transaction() as tx:
        tx.append_rows([1.0] * rows, columns)


def kept(store, *names):
    with store.transaction() as tx:
        return tx.read_rows(names, 0, 10_000)


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 127, 500, 1001])
def test_any_number_of_rows_is_kept_in_its_order(store, rows):
    values = {"x": [float(i) for i in range(rows)], "name": [f"row {i}" for i in range(rows)]}
    keep(store, values)
    assert kept(store, "x", "name") == values


def test_one_value_that_cannot_be_stored_loses_none_of_the_other_rows(store):
    keep(store, {"x": [*range(299), 2**70]})
    assert kept(store, "x")["x"] == [*range(299), 2.0**70]


@pytest.mark.parametrize("columns", [600, transaction.MAX_COLUMNS])
def test_rows_that_are_too_wide_for_one_statement_are_kept(store, columns):
    with store.transaction() as tx:
        tx._db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 2000)
        tx.append_rows([1.0] * 70, {f"c{i}": [i] * 70 for i in range(columns)})
    assert kept(store, "c0", f"c{columns - 1}")[f"c{columns - 1}"] == [columns - 1] * 70


def test_a_row_that_is_too_wide_for_any_statement_is_not_lost_without_a_word(store):
    store.db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 50)
    with pytest.raises(StoreError, match="too many SQL variables"):
        keep(store, {f"c{i}": [i] for i in range(60)})


@contextmanager
def traced(store):
    """Note the statements that are run; each lets go of Python's lock several times."""
    ran = []
    store.db.set_trace_callback(ran.append)
    yield ran
    store.db.set_trace_callback(None)


def test_rows_are_inserted_by_few_statements(store):
    keep(store, {"x": [0.0]})
    with traced(store) as ran:
        keep(store, {"x": [1.0] * 500})
    assert len([sql for sql in ran if sql.startswith("INSERT")]) <= 6


def write_all(store, tallies):
    with store.transaction() as tx:
        raw, pending = tx.get("progress"), tx.pending()
        tx.count({"requests": 10, "errors": 0})
        tx.count({"rows": 12, "requests": 3})
        tx.append_tallies(tallies)
        return raw, pending, tx.counters(), tx.pending_tallies(), tx.pending()


def test_what_nobody_else_wrote_is_not_read_again(store):
    tallies = [Tally(number, 1, 2, np.array([number, 1])) for number in range(8)]
    with store.transaction() as tx:
        tx.put("progress", b"{}")
    write_all(store, tallies)
    with traced(store) as ran:
        raw, before, counters, by_segment, after = write_all(store, tallies)
    assert not [sql for sql in ran if "SELECT" in sql]
    assert [sql.split()[:3] for sql in ran if "INSERT" in sql] == [
        ["INSERT", "INTO", "tallies"],
        ["INSERT", "INTO", "counters"],
    ]
    assert (raw, before, after) == (b"{}", (8, 16), (16, 32))
    assert counters == {"requests": 26, "rows": 24}
    assert [(one.slice, one.requests, one.rows) for one in by_segment[""]] == [
        (number, 2, 4) for number in range(8)
    ]


def everything(store):
    with store.transaction() as tx:
        tallies = tx.pending_tallies()
        return (
            [tx.get(key) for key in "ab"],
            tx.counters(),
            tx.pending(),
            {
                segment: [(one.slice, one.requests, one.rows, one.counts.tolist()) for one in some]
                for segment, some in tallies.items()
            },
        )


class StopError(Exception):
    pass


TRANSACTIONS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(
            st.one_of(
                st.tuples(st.just("put"), st.sampled_from("ab"), st.binary(max_size=3)),
                st.tuples(st.just("count"), st.sampled_from("xy"), st.integers(0, 5)),
                st.tuples(st.just("tally"), st.sampled_from(["", "s"]), st.integers(0, 9)),
                st.tuples(st.just("read"), st.none(), st.none()),
                st.tuples(st.just("forget"), st.none(), st.none()),
            ),
            max_size=4,
        ),
        st.booleans(),
    ),
    max_size=12,
)


def change(tx, what, where, value):
    if what == "put":
        tx.put(where, value)
    elif what == "count":
        tx.count({where: value})
    elif what == "tally":
        tx.append_tallies([Tally(value, 1, value, np.array([value, 300]), where)])
    elif what == "forget":
        tx.forget_tallies()
    else:
        tx.counters(), tx.pending(), tx.pending_tallies(), tx.get("a")


@settings(max_examples=150)
@given(transactions=TRANSACTIONS)
def test_what_is_known_is_what_is_there_whoever_writes_and_whatever_fails(transactions):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drift.db"
        with opened(path) as one, opened(path) as other:
            for which, changes, fails in transactions:
                store = (one, other)[which]
                with suppress(StopError), store.transaction() as tx:
                    for each in changes:
                        change(tx, *each)
                    if fails:
                        raise StopError
                with opened(path) as fresh:
                    found = everything(fresh)
                assert everything(store) == found
            assert everything(one) == everything(other)


def add_check(store, number, signals=b"{}", **fields):
    check = Check(number=number, at=f"at {number}", requests=5, rows=6, **fields)
    with store.transaction() as tx:
        tx.append_check(check, "f" * 16, pack(np.array([1])), signals, SLICES)
    return check


def query(store, sql):
    with store.transaction():
        return store.db.execute(sql).fetchall()


def schema(connection):
    db = Database(connection, execute_plugins=False)
    return {table.name: (table.columns, table.pks, table.indexes) for table in db.tables}


def test_opening_makes_the_tables_in_wal_mode(store):
    assert set(schema(store.db)) >= EVERY_TABLE
    assert query(store, "PRAGMA journal_mode") == [("wal",)]


def test_opening_again_changes_nothing(store):
    keep(store, {"age": [1, 2]})
    before = schema(store.db)
    store.close()
    store.open()
    with opened(store.path) as other:
        assert schema(store.db) == schema(other.db) == before
        assert kept(other, "age") == {"age": [1, 2]}


def test_a_closed_store_opens_itself_when_it_is_written_or_asked(store):
    store.close()
    keep(store, {"age": [1]})
    store.close()
    assert store.is_changed()
    assert kept(store, "age") == {"age": [1]}


def test_eight_processes_may_open_and_write_at_once(tmp_path):
    path = tmp_path / "drift.db"
    done = run(OPEN_AND_COUNT, path)
    assert (done.stdout, done.stderr) == (f"{[0] * 8}\n", "")
    with opened(path) as store:
        assert query(store, "SELECT name, value FROM counters") == [("seen", 160)]
        assert len(kept(store, "shared")["shared"]) == 160
        assert query(store, "SELECT count(*) FROM columns") == [(9,)]


def test_the_files_are_the_owners_alone(store):
    keep(store, {"age": [1]})
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(Path(f"{store.path}{suffix}").stat().st_mode) == 0o600


def test_it_can_be_read_with_sqlite_utils_and_pandas(store):
    keep(store, {"age": [41, 42], "price": [1.5, None], "city": ["Oslo", "Rome"]})
    with closing(sqlite3.connect(store.path)) as connection:
        rows = list(Database(connection).table("rows").rows)
        frame = pd.read_sql("SELECT age, price, city FROM rows", connection)
    assert rows[0] == {"id": 1, "at": 1.0, "age": 41, "price": 1.5, "city": "Oslo"}
    assert [kind.kind for kind in frame.dtypes[:2]] == ["i", "f"]
    assert frame["city"].tolist() == ["Oslo", "Rome"]


HOSTILE = (
    *('a"b', "it's", "`", "[a]", "x]; DROP TABLE rows;--", '"; DROP TABLE rows;--', ":at", "?1"),
    *("id", "ID", "at", "At", "rowid", "select", "", " ", "\0", "\n", "\x1b[31m", "_", "_2"),
    *("age", "Age", "AGE", "age_2", "straße", "STRASSE", "é", "e\u0301", "日本", "🙂"),
    *("a" * 5000, "a" * 4999, "a" * 100),
    *("?", "\ud800", "\udfff", "x\ud800"),
)


def test_every_column_name_is_kept_apart_from_every_other(store):
    keep(store, {name: [number] for number, name in enumerate(HOSTILE)})
    assert kept(store, *HOSTILE) == {name: [number] for number, name in enumerate(HOSTILE)}
    assert query(store, "SELECT id, at FROM rows") == [(1, 1.0)]


@settings(max_examples=20)
@given(st.lists(st.text(st.characters()), min_size=1, unique=True))
def test_any_names_are_kept_apart(names):
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder) / "drift.db") as store,
    ):
        keep(store, {name: [number] for number, name in enumerate(names)})
        assert kept(store, *names) == {name: [number] for number, name in enumerate(names)}


def test_columns_beyond_what_sqlite_holds_are_left_out_and_rows_are_still_kept(store, monkeypatch):
    monkeypatch.setattr(transaction, "MAX_COLUMNS", 150)
    keep(store, {f"c{number}": [number] for number in range(200)})
    keep(store, {f"c{number}": [number] for number in range(100, 300)})
    found = kept(store, *(f"c{number}" for number in range(300)))
    assert list(found) == [f"c{number}" for number in range(150)]
    assert found["c0"] == [0, None]
    assert found["c149"] == [149, 149]


def test_the_bound_on_columns_is_one_that_sqlite_holds(store):
    bound = transaction.MAX_COLUMNS + len(transaction.RESERVED)
    assert bound <= store.db.getlimit(sqlite3.SQLITE_LIMIT_COLUMN)
    assert bound <= store.db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)


@pytest.mark.parametrize(
    "values",
    [
        [0, True, 2**63 - 1, -(2**63), None],
        [1.5, 5e-324, float("inf"), -float("inf"), None],
        ["text", "", "\0", "007", "NaN", "日本", "x" * 100_000, None],
    ],
    ids=["whole numbers", "fractions", "texts"],
)
def test_values_come_back_as_they_are_and_nan_as_no_value(store, values):
    keep(store, {"v": [*values, float("nan")]})
    assert kept(store, "v") == {"v": [*values, None]}


KINDS = {
    "whole": [1, 2**53 + 1, -(2**63)],
    "fractions": [0.5, 2.0, -0.0],
    "texts": ["abc", "01234", "5", "5.0", "1e3", " 7 ", "nan"],
    "bytes": [b"5", b"\xff"],
}


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("then", KINDS)
def test_values_of_two_kinds_stay_what_they_are_in_one_column(store, first, then):
    values = [*KINDS[first], *KINDS[then]]
    for value in values:
        keep(store, {"v": [value]})
    found = kept(store, "v")["v"]
    assert [repr(value) for value in found] == [repr(value) for value in values]


def test_a_column_is_added_with_its_first_value(store):
    keep(store, {"a": [1], "b": [None], "c": [float("nan")]})
    assert kept(store, "a", "b", "c") == {"a": [1]}
    keep(store, {"b": [2]})
    assert kept(store, "a", "b", "c") == {"a": [1, None], "b": [None, 2]}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\ud800b", "a?b"),
        (2**63, float(2**63)),
        (-(10**400), -sys.float_info.max),
        ([1], None),
        ({"a": 1}, None),
        (1j, None),
    ],
    ids=["lone surrogate", "too large", "far too small", "list", "dict", "complex"],
)
def test_a_value_that_sqlite_cannot_hold_does_not_lose_the_others(store, value, stored):
    keep(store, {"v": ["before", value, "after"], "w": [1, 2, 3]})
    keep(store, {"v": [None], "w": [4]})
    assert kept(store, "v", "w") == {"v": ["before", stored, "after", None], "w": [1, 2, 3, 4]}
    assert query(store, "SELECT count(*) FROM rows") == [(4,)]


def test_other_texts_that_are_no_unicode_are_kept_too(store):
    with store.transaction() as tx:
        tx.count({"skipped:\ud800": 1})
        tx.put_baseline("f", "b\udcff.csv", b"{}")
        assert tx.counters() == {"skipped:\\ud800": 1}
        assert tx.get_baseline("f") == b"{}"


def test_the_columns_are_looked_up_once_in_a_transaction_however_many_are_new(store):
    ran = []
    with store.transaction() as tx:
        store.db.set_trace_callback(ran.append)
        tx.append_rows([1.0], {f"c{number}": [number] for number in range(100)})
        tx.read_rows([f"c{number}" for number in range(100)], 0, 10)
        store.db.set_trace_callback(None)
    assert sum("FROM columns" in sql for sql in ran) == 2
    assert sum("ADD COLUMN" in sql for sql in ran) == 100


def test_rows_are_read_oldest_first_from_after_a_number(store):
    keep(store, {"v": [1, 2, 3, 4]})
    with store.transaction() as tx:
        assert tx.last_row() == 4
        assert tx.read_rows(["v"], 1, 2) == {"v": [2, 3]}
        assert tx.read_rows(["v", "unknown"], 4, 2) == {"v": []}
        assert tx.read_rows(["unknown"], 0, 2) == {}


def test_rows_beyond_those_to_keep_are_trimmed_and_numbers_go_on(tmp_path):
    with opened(tmp_path / "drift.db", keep_rows=3) as store:
        keep(store, {"v": [1, 2, 3, 4, 5]})
        with store.transaction() as tx:
            tx.trim_rows()
            tx.trim_rows()
            assert tx.last_row() == 5
        assert kept(store, "v") == {"v": [3, 4, 5]}


def test_a_check_keeps_only_the_newest_rows_and_checks(tmp_path):
    with opened(tmp_path / "drift.db", keep_rows=3, keep_checks=2) as store:
        for number in (1, 2, 3):
            keep(store, {"v": [number] * 2})
            add_check(store, number)
        assert kept(store, "v") == {"v": [2, 3, 3]}
        assert [check.number for check in store.history(10)] == [3, 2]
        with store.transaction() as tx:
            assert (tx.last_row(), tx.last_check_number()) == (6, 3)


def tally(counts, slice_=0, *, rows=1):
    return Tally(slice_, requests=1, rows=rows, counts=np.array(counts))


def test_a_transaction_is_all_or_nothing(store):
    def do(tx):
        tx.append_rows([1.0], {"new": [1]})
        tx.append_tallies([tally([1])])
        tx.count({"requests": 1})
        tx.put("key", b"value")
        tx.put_baseline("f", "source", b"{}")

    class OnPurposeError(Exception):
        pass

    with suppress(OnPurposeError), store.transaction() as tx:
        do(tx)
        raise OnPurposeError
    with store.transaction() as tx:
        assert tx.read_rows(["new"], 0, 10) == {}
        assert (tx.pending(), tx.counters(), tx.get("key")) == ((0, 0), {}, None)
        assert tx.get_baseline("f") is None
        do(tx)
    with store.transaction() as tx:
        assert tx.read_rows(["new"], 0, 10) == {"new": [1]}
        assert (tx.pending(), tx.counters(), tx.get("key")) == ((1, 1), {"requests": 1}, b"value")
        assert tx.get_baseline("f") == b"{}"


def test_counters_add_up_and_nothing_is_noted_of_a_zero(store):
    with store.transaction() as tx:
        tx.count({"a": 2, "zero": 0})
        tx.count({"a": 3, "b": 1})
        assert tx.counters() == {"a": 5, "b": 1}


parts = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.integers(0, 10**12), min_size=3, max_size=3)),
    max_size=12,
)


@settings(max_examples=20)
@given(parts, st.randoms())
def test_tallies_of_a_slice_add_up_however_they_were_split(split, random):
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder) / "drift.db") as store,
    ):
        shuffled = random.sample(split, len(split))
        for slice_, counts in shuffled:
            with store.transaction() as tx:
                tx.append_tallies([tally(counts, slice_, rows=2)])
        with store.transaction() as tx:
            found, pending = tx.pending_tallies().get("", []), tx.pending()
            tx.forget_tallies()
            assert (tx.pending_tallies(), tx.pending()) == ({}, (0, 0))
    expected = {}
    for slice_, counts in split:
        expected.setdefault(slice_, []).append(counts)
    assert [(one.slice, one.requests, one.rows, one.counts.tolist()) for one in found] == [
        (s, len(all_), 2 * len(all_), [sum(c) for c in zip(*all_, strict=True)])
        for s, all_ in sorted(expected.items())
    ]
    assert pending == (len(split), 2 * len(split))


def test_a_check_takes_its_tallies_away(store):
    with store.transaction() as tx:
        tx.append_tallies([tally([1])])
    add_check(store, 1)
    with store.transaction() as tx:
        assert tx.pending() == (0, 0)


def test_the_history_is_newest_first_from_any_thread(store):
    checks = [add_check(store, n, moved={"age": "low"}, severity="low") for n in (1, 2, 3)]
    found = {}

    def read():
        found["all"] = store.history(10)
        found["page"] = store.history(1, before=3)
        found["none"] = store.history(10, before=1)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert found == {"all": checks[::-1], "page": [checks[1]], "none": []}


def test_the_history_of_a_signal_is_read_from_any_thread_and_passes_over_other_checks(store):
    add_check(store, 1, b'{"age": {"moved": 0.5}}')
    add_check(store, 2, b'{"city": {"moved": 0.1}}')
    add_check(store, 3, b'{"age": {"moved": 0.25}}')
    found = []
    thread = threading.Thread(target=lambda: found.extend(store.signal_history("age", 10)))
    thread.start()
    thread.join()
    assert found == [
        {"check": 3, "at": "at 3", "moved": 0.25},
        {"check": 1, "at": "at 1", "moved": 0.5},
    ]
    assert store.signal_history("nobody", 10) == []


@pytest.mark.parametrize("far", [2**63, 10**30, -(10**30)])
def test_the_history_can_be_asked_for_any_number(store, far):
    check = add_check(store, 1, b'{"age": {}}')
    assert store.history(10, before=far) == ([check] if far > 0 else [])
    assert store.history(far) == [check]
    assert len(store.signal_history("age", far)) == 1


def test_a_store_learns_that_another_one_wrote_and_not_of_itself(store):
    store.is_changed()
    keep(store, {"v": [1]})
    assert not store.is_changed()
    with opened(store.path) as other:
        keep(other, {"v": [2]})
        assert store.is_changed()
        assert kept(store, "v") == {"v": [1, 2]}
        assert not store.is_changed()


def test_a_store_that_was_closed_learns_of_what_was_written_meanwhile(store):
    store.is_changed()
    store.close()
    with opened(store.path) as other:
        keep(other, {"v": [1]})
    assert store.is_changed()
