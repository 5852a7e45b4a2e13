import io
import json
import logging
import sqlite3
from contextlib import closing, contextmanager

import numpy as np
import pytest

from drift_middleware import logger
from drift_middleware.logger import LOGGER, log, printable
from drift_middleware.monitor import Monitor

HOSTILE = "age\x1b[31m\n2026-01-01 ERROR forged\r\u202e"
STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


def columns(rows=400, seed=0, shift=0.0, name="age"):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(shift, 1, rows).tolist(), "score": rng.random(rows).tolist()}


@contextmanager
def watching(tmp_path, **options):
    one = Monitor(buffer=tmp_path / "drift.db", check_every=100, **options)
    try:
        yield one
    finally:
        one.close()


def record(one, table):
    """Record rows of a feature and a score."""
    (name, values), (_, scores) = table.items()
    for value, score in zip(values, scores, strict=True):
        one.record({name: value}, {"score": score})
    one.drain()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, LOGGER.name)
    return lambda event: [one for one in caplog.records if one.event == event]


def fields(one):
    return {name: value for name, value in vars(one).items() if name not in STANDARD}


def test_every_check_is_logged_with_its_numbers(tmp_path, said):
    with watching(tmp_path, baseline=columns()) as one:
        record(one, columns(200, seed=1))
    first, second = said("check")
    assert fields(first).pop("milliseconds") > 0
    assert fields(first) | {"milliseconds": 0} == {
        "event": "check",
        "check": 1,
        "requests": 100,
        "rows": 100,
        "severity": "none",
        "data": "none",
        "prediction": "none",
        "moved": {},
        "milliseconds": 0,
    }
    assert (first.levelname, first.getMessage()) == ("INFO", "check: 1, severity none")
    assert second.check == 2


def test_a_change_of_severity_is_logged_once_and_loud_when_it_is_grave(tmp_path, said):
    with watching(tmp_path, baseline=columns()) as one:
        record(one, columns(100, seed=1))
        record(one, columns(200, seed=2, shift=4))
    quiet, loud = said("severity changed")
    assert (quiet.levelname, quiet.previous, quiet.severity) == ("INFO", "unknown", "none")
    assert loud.levelname == "WARNING"
    assert loud.getMessage() == "severity changed: none to high (age)"
    assert fields(loud) == {
        "event": "severity changed",
        "previous": "none",
        "severity": "high",
        "data": "high",
        "prediction": "none",
        "check": 2,
        "moved": {"age": "high"},
        "segment": None,
    }


def test_what_was_learned_is_logged(tmp_path, said):
    with watching(tmp_path, learn_rows=60) as one:
        record(one, columns(60))
        fingerprint = one.report().baseline.fingerprint
    (one,) = said("learned")
    assert one.getMessage() == "learned: 3 signals from 60 rows"
    assert fields(one) == {
        "event": "learned",
        "columns": ["age", "score"],
        "rows": 60,
        "fingerprint": fingerprint,
    }


def test_that_nothing_could_be_learned_is_a_warning(tmp_path, said):
    with watching(tmp_path, learn_rows=60) as one:
        for number in range(60):
            one.record({"id": f"key {number}"})
        one.drain()
    (one,) = said("learned")
    assert (one.levelname, one.columns, one.rows) == ("WARNING", [], 0)
    assert "no baseline yet" in one.getMessage()
    assert "key" not in one.getMessage(), "a value of a client"


def test_a_failing_buffer_and_its_recovery_are_logged_once_each(tmp_path, said, monkeypatch):
    monkeypatch.setattr("drift_middleware.writing.RETRY_SECONDS", 0.0)
    with watching(tmp_path, baseline=columns()) as one:
        one._recorder.store.timeout = 0.01
        with closing(sqlite3.connect(one.config.buffer, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            record(one, columns(5, seed=1))
            record(one, columns(5, seed=2))
        record(one, columns(5, seed=3))
        buffer = one.config.buffer
    (degraded,), (recovered,) = said("degraded"), said("recovered")
    reason = f"{buffer} cannot be written: database is locked."
    assert (degraded.levelname, degraded.getMessage()) == ("ERROR", f"degraded: {reason}")
    assert fields(degraded) == {"event": "degraded", "reason": reason}
    assert (recovered.levelname, recovered.getMessage()) == ("INFO", "recovered")
    assert fields(recovered) == {"event": "recovered"}


@pytest.fixture
def lines():
    """Attach a handler as a program would, and give what it writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    LOGGER.addHandler(handler)
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    yield handler, stream
    LOGGER.setLevel(level)
    LOGGER.removeHandler(handler)


def drift_of_a_hostile_column(tmp_path):
    with watching(tmp_path, baseline=columns(name=HOSTILE)) as one:
        record(one, columns(200, seed=2, shift=4, name=HOSTILE))
        assert one.severity == "high"


def test_a_column_name_can_neither_forge_a_line_nor_colour_a_terminal(tmp_path, lines):
    handler, stream = lines
    handler.setFormatter(logging.Formatter("%(message)s"))
    drift_of_a_hostile_column(tmp_path)
    written = stream.getvalue().split("\n")
    assert len(written) == 4, "two checks, one change of severity, and the end"
    assert all(line.isprintable() for line in written)
    assert r"age\x1b[31m\n2026-01-01 ERROR forged\r\u202e" in written[0]


def test_the_fields_are_those_of_a_json_line(tmp_path, lines):
    json_logger = pytest.importorskip("pythonjsonlogger.json")
    handler, stream = lines
    handler.setFormatter(json_logger.JsonFormatter("%(levelname)s %(name)s"))
    drift_of_a_hostile_column(tmp_path)
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["event"] for one in said] == ["check", "severity changed", "check"]
    assert said[1]["moved"] == {HOSTILE: "high"}
    assert (said[1]["levelname"], said[1]["name"]) == ("WARNING", "drift_middleware")


def test_an_event_is_a_field_and_the_message_needs_no_text(said):
    log(logging.WARNING, logger.DROPPED, dropped=3, reason="100 % full")
    log(logging.WARNING, logger.DROPPED, "100 %s full")
    first, second = said("dropped")
    assert fields(first) == {"event": "dropped", "dropped": 3, "reason": "100 % full"}
    assert (first.getMessage(), second.getMessage()) == ("dropped", "dropped: 100 %s full")


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\0", "\u202e", "\u2028", "\ud800", "\x7f"])
def test_what_is_not_printable_is_escaped(char):
    shown = printable(f"a{char}b é 日本")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b é 日本")
