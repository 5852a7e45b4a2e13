import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from drift_middleware.buffer import SqliteStore
from drift_middleware.errors import StoreError


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
    assert done.stdout.count("cannot be written") == 2
