import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest

from drift_middleware.buffer import SqliteStore
from drift_middleware.errors import StoreError
from drift_middleware.schemas import Check


@contextmanager
def opened(path, timeout=5.0):
    store = SqliteStore(str(path), keep_rows=1000, keep_checks=100, timeout=timeout)
    store.open()
    try:
        yield store
    finally:
        store.close()


def keep(store, columns):
    with store.transaction() as tx:
        tx.append_rows([1.0], columns)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "gone" / "drift.db"
    with pytest.raises(StoreError) as caught, opened(path):
        pass
    assert f"{path} cannot be opened: there is no folder {path.parent}" in str(caught.value)


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(StoreError, match=f"{tmp_path} cannot be opened"), opened(tmp_path):
        pass


def test_another_file_is_no_database_and_stays_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and not a database. " * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="file is not a database"), opened(path):
        pass
    assert path.read_bytes() == before


@contextmanager
def as_nobody(folder):
    """Give up the rights of root, for whom nothing is read-only."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_cannot_be_written_is_refused_at_the_first_transaction_at_the_latest():
    with tempfile.TemporaryDirectory() as folder, as_nobody(folder):
        path = Path(folder) / "drift.db"
        with opened(path):
            pass
        path.chmod(0o400)
        with pytest.raises(StoreError, match="readonly"), opened(path) as store:  # noqa: SIM117  # opening may do
            with store.transaction() as tx:
                tx.put("key", b"value")


def test_a_new_file_in_a_folder_that_cannot_be_written_is_refused():
    with tempfile.TemporaryDirectory() as folder, as_nobody(folder):
        Path(folder).chmod(0o500)
        with pytest.raises(StoreError, match="Permission denied"), opened(Path(folder) / "d.db"):
            pass
        Path(folder).chmod(0o700)


def test_a_writer_that_waits_too_long_says_so_and_can_go_on_later(tmp_path):
    with (
        opened(tmp_path / "drift.db") as holder,
        opened(tmp_path / "drift.db", timeout=0.01) as waiting,
    ):
        with (
            holder.transaction(),
            pytest.raises(StoreError, match="cannot be written: database is locked"),
            waiting.transaction(),
        ):
            pass
        keep(waiting, {"v": [1]})
        with holder.transaction() as tx:
            assert tx.read_rows(["v"], 0, 10) == {"v": [1]}


FULL_DISK = """
import resource, signal, sys
from drift_middleware.buffer import SqliteStore
from drift_middleware.errors import StoreError

store = SqliteStore(sys.argv[1], keep_rows=10, keep_checks=10)
store.open()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
forever = resource.RLIM_INFINITY
def write():
    with store.transaction() as tx:
        tx.put("key", b"x" * 20000)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, forever))
for _ in range(2):
    try:
        write()
    except StoreError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (forever, forever))
write()
store.close()
"""


def test_a_disk_that_was_full_can_be_written_again(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "drift.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.count("disk I/O error") == 2


def removed(path):
    path.unlink()


def replaced(path):
    """Put another buffer in its place, as one does with a backup."""
    other = path.with_name("other.db")
    with opened(other) as store, store.transaction() as tx:
        tx.count({"other": 1})
    other.replace(path)


def moved(path):
    path.rename(path.with_name("moved.db"))


GONE = pytest.mark.parametrize(
    ("act", "counters"), [(removed, {}), (replaced, {"other": 1}), (moved, {})]
)


@GONE
@pytest.mark.parametrize("notice", ["is_changed", "transaction"])
def test_a_file_that_is_not_there_any_more_is_noticed_and_the_next_write_opens_anew(
    tmp_path, act, counters, notice
):
    path = tmp_path / "drift.db"
    with opened(path) as store:
        keep(store, {"v": [1]})
        act(path)
        with pytest.raises(StoreError, match="was removed or replaced"):  # noqa: SIM117  # a block is what fails
            with store.transaction() if notice == "transaction" else nullcontext():
                store.is_changed()
        keep(store, {"w": [2]})
        with store.transaction() as tx:
            assert tx.read_rows(["v", "w"], 0, 10) == {"w": [2]}
            assert tx.counters() == counters
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with opened(path) as other, other.transaction() as tx:
            assert tx.read_rows(["v", "w"], 0, 10) == {"w": [2]}


@GONE
def test_two_stores_notice_one_after_the_other_and_meet_in_the_same_file(tmp_path, act, counters):
    path = tmp_path / "drift.db"
    with opened(path) as first, opened(path) as second:
        for store in (first, second):
            keep(store, {"v": [1]})
        act(path)
        for number, store in enumerate((first, second, first)):
            if number < 2:
                with pytest.raises(StoreError, match="removed or replaced"):
                    store.is_changed()
            keep(store, {"w": [number]})
        with second.transaction() as tx:
            assert tx.read_rows(["v", "w"], 0, 10) == {"w": [0, 1, 2]}
            assert tx.counters() == counters
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_who_comes_after_a_removal_shares_nothing_with_who_has_not_noticed_it(tmp_path):
    path = tmp_path / "drift.db"
    with opened(path) as old:
        keep(old, {"v": [1]})
        before = {suffix: Path(f"{path}{suffix}").stat().st_ino for suffix in ("", "-wal", "-shm")}
        path.unlink()
        with opened(path) as new:
            for suffix, number in before.items():
                assert Path(f"{path}{suffix}").stat().st_ino != number
            keep(new, {"w": [2]})
            with pytest.raises(StoreError, match="removed or replaced"):
                old.is_changed()
            keep(old, {"w": [3]})
            with new.transaction() as tx:
                assert tx.read_rows(["v", "w"], 0, 10) == {"w": [2, 3]}


def test_reading_makes_no_file(tmp_path):
    path = tmp_path / "drift.db"
    with opened(path) as store:
        path.unlink()
        with pytest.raises(StoreError, match="cannot be read: unable to open database file"):
            store.history(10)
        assert not path.exists()


def test_what_is_kept_can_be_read_after_closing(tmp_path):
    with opened(tmp_path / "drift.db") as store:
        keep(store, {"v": [1]})
        store.close()
        assert store.history(10) == store.signal_history("v", 10) == []


def test_a_relative_path_stays_where_it_was_when_the_folder_is_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with opened("drift.db") as store:
        monkeypatch.chdir("/")
        keep(store, {"v": [1]})
        store.close()
        keep(store, {"v": [2]})
    with opened(tmp_path / "drift.db") as store, store.transaction() as tx:
        assert tx.read_rows(["v"], 0, 10) == {"v": [1, 2]}


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "a?mode=memory", "a#b.db", "größe.db"])
def test_the_name_of_the_file_may_have_any_characters(tmp_path, name):
    with opened(tmp_path / name) as store:
        keep(store, {"v": [1]})
        assert store.history(1) == []
    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize(
    "damage", ["UPDATE checks SET moved = '?'", "UPDATE checks SET severity = 'none at all'"]
)
def test_a_line_of_the_history_that_is_damaged_is_said(tmp_path, damage):
    with opened(tmp_path / "drift.db") as store:
        with store.transaction() as tx:
            tx.append_check(Check(number=1, at="", requests=1, rows=1), "", b"", b"?", b"")
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            connection.execute(damage)
        with pytest.raises(StoreError, match="cannot be read: "):
            store.history(10)
        with pytest.raises(StoreError, match="cannot be read: "):
            store.signal_history("age", 10)
