"""The disk fails under a server under load: it serves on, says why, and comes back by itself."""

import os
import resource
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager

import pytest

from tests.faults.load import send
from tests.faults.locking import locked
from tests.faults.serving import serving

EACH = 300
NUMBERS = [float(number) for number in range(3 * EACH)]
IS_ROOT = os.geteuid() == 0
MEGABYTE = 1 << 20


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True)


@contextmanager
def mounted(folder, *words):
    """Mount a file system of its own there, where that is allowed."""
    folder.mkdir()
    if not IS_ROOT:
        pytest.skip("to mount a file system needs root")
    try:
        run("mount", *words, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', error)}")
    try:
        yield folder
    finally:
        run("umount", "-l", folder)


def serves_through(server, fault, *reasons):
    """Send before, during and after a fault: nothing is lost, all is said; return the figures."""
    before, during, after = (NUMBERS[i * EACH : (i + 1) * EACH] for i in range(3))
    send(server.port, before)
    assert server.report()["capture"]["rows"] == EACH
    with fault:
        send(server.port, during)
        began = time.monotonic()
        said = server.wait_for_status("degraded")
        noticed = time.monotonic() - began
        assert any(reason in said["reason"] for reason in reasons), said["reason"]
        assert said["capture"]["queued"] == EACH
        assert said["check"]["number"] == 3, "what is known is still said"
        assert "Degraded" in server.page()
        send(server.port, after)
    began = time.monotonic()
    said = server.wait_for(lambda said: said["capture"]["rows"] == 3 * EACH)
    mended = time.monotonic() - began
    assert (said["status"], said["reason"]) == ("watching", None)
    seen = said["capture"]
    assert (seen["dropped"], seen["errors"], seen["queued"]) == (0, 0, 0)
    assert said["check"]["number"] == 9
    return (
        f"{3 * EACH} answered and counted, none lost; `degraded` after {noticed:.1f} s, well again"
        f" {mended:.1f} s after its end"
    )


@contextmanager
def no_space(folder):
    """Fill the file system to its last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    yield
    filler.unlink()


def test_disk_full(tmp_path, record_property):
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "tmpfs") as small:
        path = small / "drift.db"
        with serving(tmp_path / "app", buffer=str(path)) as server:
            said = serves_through(server, no_space(small), "disk is full", "disk I/O error")
            record_property("figures", said)
            assert server.log().count("degraded: ") == 1, "said once, not at every attempt"
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT count(*) FROM rows").fetchone() == (3 * EACH,)


@contextmanager
def no_further_byte(process):
    """Refuse every byte that would make a file longer than one."""
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, most))
    yield
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))


def test_disk_quota_exceeded(tmp_path, record_property):
    with serving(tmp_path / "app") as server:
        fault = no_further_byte(server.process)
        said = serves_through(server, fault, "disk is full", "disk I/O error")
        record_property("figures", said)
        assert server.query("PRAGMA integrity_check") == [("ok",)]


@contextmanager
def read_only(folder, image):
    """Let a file system become read-only, as one does that finds itself damaged; then mend it."""
    os.sync()  # what was not yet on the disk is lost, as when the power fails
    run("mount", "-o", "remount,abort", folder)
    yield
    run("umount", folder)
    subprocess.run(["e2fsck", "-p", image], check=False, capture_output=True)  # noqa: S607
    run("mount", "-o", "loop", image, folder)


def test_file_system_read_only(tmp_path, record_property):
    image = tmp_path / "image"
    if not shutil.which("mkfs.ext4"):
        pytest.skip("mkfs.ext4 is in e2fsprogs")
    with image.open("wb") as file:
        file.truncate(16 * MEGABYTE)
    run("mkfs.ext4", "-q", image)
    with mounted(tmp_path / "disk", "-o", "loop", image) as disk:  # noqa: SIM117  # first the one
        with serving(tmp_path / "app", buffer=str(disk / "drift.db")) as server:
            fault = read_only(disk, image)
            said = serves_through(server, fault, "readonly", "Read-only", "I/O error")
            record_property("figures", said)


def test_database_locked_for_longer_than_the_timeout(tmp_path, record_property):
    with serving(tmp_path / "app") as server:
        said = serves_through(server, locked(server.database), "database is locked")
        record_property("figures", said)
