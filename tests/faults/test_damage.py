"""What befalls the buffer's file under a running monitor: it goes on, with what can be kept."""

import logging
import os
import sqlite3
import stat
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from drift_middleware import Baseline, Monitor, writing
from drift_middleware.errors import StoreError
from tests.faults.load import send
from tests.faults.serving import query, serving

EVERY = 20
EACH = 300
BASELINE = Baseline.fit({"x": np.random.default_rng(0).normal(size=500)})


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.0)


@contextmanager
def watching(path, **options):
    with Monitor(baseline=BASELINE, buffer=path, check_every=EVERY, **options) as one:
        yield one


def record(one, rows, shift=0.0, seed=1):
    for value in np.random.default_rng(seed).normal(shift, size=rows):
        one.record({"x": float(value)})


def overwritten(path):
    """Write over the pages of the file and of its log, in place."""
    for file in (path, path.with_name(f"{path.name}-wal")):
        with file.open("r+b") as raw:
            raw.write(os.urandom(max(file.stat().st_size, 8192)))


def truncated(path):
    for file in (path, path.with_name(f"{path.name}-wal")):
        os.truncate(file, 0)


def removed(path):
    for file in path.parent.iterdir():
        file.unlink()


@pytest.mark.parametrize("fault", [overwritten, truncated, removed])
def test_the_detector_and_the_counters_go_on_in_a_new_file(path, caplog, fault):
    caplog.set_level(logging.INFO, "drift_middleware")
    with watching(path) as one:
        record(one, 3 * EVERY, shift=4.0)
        assert one.drain(20)
        before = one.report()
        assert (before.severity, before.check.number) == ("high", 3)
        fault(path)
        with suppress(StoreError):
            one.history(1)  # of a damaged file, that is what is noticed first
        record(one, 1)
        one.drain(20)
        assert one.severity == "high"
        record(one, EVERY, shift=4.0, seed=2)
        assert one.drain(20)
        after = one.report()
    assert (after.status, after.severity, after.check.number) == ("watching", "high", 4)
    assert after.capture.rows == 3 * EVERY + 1 + EVERY
    (signal,) = after.signals
    assert signal.since_check == before.signals[0].since_check
    events = [line.event for line in caplog.records]
    assert events.count("degraded") == events.count("recovered") == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_damage_that_no_reader_sees_is_found_by_looking(path, monkeypatch):
    with watching(path) as one:
        record(one, 10)
        assert one.drain(20)
        overwritten(path)
        record(one, 1)
        assert one.drain(20), "its cache hides it from the writer"
        monkeypatch.setattr(one._recorder.store, "_look_at", 0.0)  # a minute is over
        record(one, 1)
        one.drain(20)
        record(one, 1)
        assert one.drain(20)
        assert one.report().capture.rows == 13
    assert path.with_name("drift.db.damaged-1").exists()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_damaged_file_is_moved_aside_and_said_to_be(path, caplog):
    with watching(path) as one:
        record(one, 10)
        assert one.drain(20)
        overwritten(path)
        with pytest.raises(StoreError):
            one.history(1)
        record(one, 1)
        one.drain(20)
    reasons = [line.reason for line in caplog.records if line.event == "degraded"]
    aside = path.with_name("drift.db.damaged-1")
    assert len(reasons) == 1
    assert str(aside) in reasons[0]
    assert aside.exists()


def test_two_processes_worth_of_monitors_meet_in_one_new_file(path):
    with watching(path) as one, watching(path) as other:
        for each in (one, other):
            record(each, 10)
            assert each.drain(20)
        overwritten(path)
        for each in (one, other, one, other):
            with suppress(StoreError):
                each.history(1)
            record(each, 10)
            each.drain(20)
        assert one.drain(20)
        assert other.drain(20)
        assert one.report().capture.rows == other.report().capture.rows >= 50
    assert [file.name for file in path.parent.glob("*.damaged-*[0-9]")] == ["drift.db.damaged-1"]


def scribbled(path, *tables):
    """Write over the first page of some tables."""
    with closing(sqlite3.connect(path)) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
        pages = dict(db.execute("SELECT name, rootpage FROM sqlite_master"))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as raw:
        for table in tables:
            raw.seek((pages[table] - 1) * size)
            raw.write(b"\xff" * size)


@pytest.mark.parametrize(
    ("tables", "severity", "number"),
    [
        (("counters", "tallies", "rows"), "high", 3),
        (("state",), "unknown", None),
        (("sqlite_schema",), "unknown", None),
    ],
)
def test_a_file_that_was_damaged_while_nobody_ran_costs_no_start(
    path, caplog, tables, severity, number
):
    with watching(path) as one:
        record(one, 3 * EVERY, shift=4.0)
        assert one.drain(20)
        assert one.severity == "high"
    if tables == ("sqlite_schema",):
        with path.open("r+b") as raw:
            raw.seek(100)  # after the header by which a database is known
            raw.write(b"\xff" * 3000)
    else:
        scribbled(path, *tables)
    damaged = path.read_bytes()
    with watching(path) as one:
        assert one.severity == severity
        check = one.report().check
        assert (check.number if check else None) == number
        record(one, EVERY, shift=4.0, seed=2)
        assert one.drain(20)
        assert one.report().status == "watching"
        assert one.report().check.number == (number or 0) + 1
        assert len(one.history(10)) == 1, "the history went with the file"
    aside = path.with_name("drift.db.damaged-1")
    assert aside.read_bytes() == damaged
    (said,) = [line.reason for line in caplog.records if line.event == "degraded"]
    assert str(aside) in said


@pytest.mark.parametrize("fault", [overwritten, truncated, removed], ids=lambda f: f.__name__)
def test_a_file_that_is_lost_under_a_server_costs_no_request(fault, tmp_path, record_property):
    sent = [float(number) for number in range(3 * EACH)]
    with serving(tmp_path / "app", buffer=str(tmp_path / "data.db")) as server:
        send(server.port, sent[:EACH])
        before = server.report()
        fault_at = tmp_path / "data.db"
        if fault is removed:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{fault_at}{suffix}").unlink()
        else:
            fault(fault_at)
        server.page()  # reads the history: else it is noticed within a minute, see below
        send(server.port, sent[EACH : 2 * EACH])
        server.wait_for(lambda said: said["capture"]["rows"] >= 2 * EACH)
        send(server.port, sent[2 * EACH :])
        said = server.wait_for(lambda said: said["capture"]["rows"] >= 3 * EACH)
        assert (said["status"], said["capture"]["errors"]) == ("watching", 0)
        assert said["check"]["number"] > before["check"]["number"]
        assert server.log().count("degraded: ") == 1
        kept = query(fault_at, "SELECT count(*) FROM rows")[0][0]
    record_property(
        "figures",
        f"{3 * EACH} answered and counted, {kept} of them in the new file; the detector went on"
        f" at check {before['check']['number'] + 1}",
    )


def test_a_file_that_is_no_database_at_start_is_an_error_and_stays_as_it_is(path):
    path.write_text("a letter to somebody, of more than a hundred bytes " * 30)
    with pytest.raises(Exception, match="is not a database"):
        Monitor(baseline=BASELINE, buffer=path)
    assert path.read_text().startswith("a letter")
