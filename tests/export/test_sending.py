"""Alerts from the check to a real server: once, again while it fails, by whoever lives."""

import itertools
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from drift_middleware.export import outbox

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
import numpy as np
from drift_middleware import Monitor

rng = np.random.default_rng(0)
baseline = {"amount": rng.normal(size=400).tolist(), "score": rng.random(400).tolist()}
one = Monitor(baseline=baseline, buffer=sys.argv[1], webhook=sys.argv[2], check_every=50)
rng = np.random.default_rng(int(sys.argv[3]))
for shift in (0, 4):
    for _ in range(300):
        one.record({"amount": float(rng.normal(shift))}, float(rng.random()))
        if rng.random() < 0.05:
            one.drain()
"""


def alerts(path, columns="outcome"):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {columns} FROM alerts ORDER BY id").fetchall()  # noqa: S608  # our own


def work(path, url, number="1", code=WORKER):
    command = [sys.executable, "-c", code, str(path), url, number]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def settled(one):
    """Wait until nothing is on its way, and what became of it is written."""
    if one._sender._thread is not None:
        one._sender._thread.join(60)
    assert one.drain(60)


def test_a_change_is_told_once_with_the_facts_and_counted(watching, record, receiver):
    one = watching(webhook=receiver.url)
    record(one, 3)
    assert receiver.rest() == []
    record(one, 2, shift=4)
    alert = receiver.next()
    settled(one)
    record(one, 3, shift=4)
    one.close()
    assert receiver.rest() == []
    assert (alert["kind"], alert["previous"], alert["severity"]) == ("change", "none", "high")
    assert alert["check"]["number"] == 4
    assert alert["path"] == "/_drift"
    assert alert["signals"][0]["name"] == "amount"
    assert "%" in alert["signals"][0]["why"]
    told = one.report().alerts
    assert (told.sent, told.failed, told.given_up, told.pending) == (1, 0, 0, 0)
    assert told.last_error is None


def test_an_end_is_told_and_what_lasts_is_told_again(watching, record, receiver, clock):
    one = watching(webhook=receiver.url, alert_repeat_hours=2)
    record(one, 2, shift=4)
    first = receiver.next()
    settled(one)
    clock.now += 2 * 3600 - 1
    record(one, 1, shift=4)
    settled(one)
    assert receiver.rest() == []
    clock.now += 1
    record(one, 1, shift=4)
    repeat = receiver.next()
    settled(one)
    record(one, 60)
    one.close()
    *_, last = [first, repeat, *receiver.rest()]
    assert (repeat["kind"], repeat["previous"], repeat["severity"]) == ("repeat", "high", "high")
    assert last["kind"] == "recovery"
    assert last["severity"] in ("none", "low")


def test_without_an_interval_nothing_is_repeated(watching, record, receiver, clock):
    one = watching(webhook=receiver.url, alert_repeat_hours=None)
    record(one, 2, shift=4)
    clock.now += 1e8
    record(one, 1, shift=4)
    one.close()
    assert [alert["kind"] for alert in receiver.rest()] == ["change"]


def test_below_the_level_nothing_is_told(watching, record, receiver):
    thresholds = {"low": 0.05, "medium": 5, "high": 6}
    one = watching(webhook=receiver.url, thresholds=thresholds, ignore="joint")
    record(one, 6, shift=0.8)
    one.close()
    assert one.severity == "low"
    assert receiver.rest() == []
    other = watching(webhook=receiver.url, thresholds=thresholds, alert_at="low", ignore="joint")
    record(other, 1, shift=0.8)
    other.close()
    assert [(alert["kind"], alert["severity"]) for alert in receiver.rest()] == [("change", "low")]


def test_what_fails_is_tried_again_ever_later_and_counted(
    watching, record, receiver, clock, caplog
):
    caplog.set_level(logging.DEBUG)
    receiver.answers.extend([500, 503, 301, 404])
    one = watching(webhook=receiver.url)
    record(one, 1, shift=4)
    seen = [receiver.next()]
    for number, wait in enumerate((5, 10, 20, 40), 1):
        settled(one)
        told = one.report().alerts
        assert (told.sent, told.failed, told.pending) == (0, number, 1)
        assert told.last_error == f"HTTP {(500, 503, 301, 404)[number - 1]}"
        clock.now += wait - 1
        settled(one)
        assert receiver.rest() == []
        clock.now += 1
        settled(one)
        seen.append(receiver.next())
    settled(one)
    told = one.report().alerts
    assert (told.sent, told.failed, told.given_up, told.pending) == (1, 4, 0, 0)
    assert all(alert == seen[0] for alert in seen)
    events = [record.event for record in caplog.records if hasattr(record, "event")]
    assert events.count("alert failed") == 4
    assert events.count("alert sent") == 1
    assert "S3CRET" not in caplog.text


def test_after_a_day_it_is_given_up(watching, record, receiver, clock):
    receiver.answers.extend([500] * 2)
    one = watching(webhook=receiver.url)
    record(one, 1, shift=4)
    settled(one)
    clock.now += outbox.GIVE_UP_SECONDS
    settled(one)
    settled(one)
    told = one.report().alerts
    assert (told.failed, told.given_up, told.pending) == (2, 1, 0)
    one.close()
    assert alerts(one.config.buffer) == [("given up",)]


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 5), (2, 10), (8, 640), (9, 900), (100, 900), (10**9, 900)]
)
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(attempts, seconds):
    assert outbox.retry_seconds(attempts) == seconds


def test_a_target_that_hangs_keeps_nobody_waiting(watching, record, receiver):
    receiver.hanging.set()
    one = watching(webhook=receiver.url)
    record(one, 1, shift=4)
    receiver.next()
    record(one, 5, shift=4)  # asserts that all of it is written, while the target hangs
    assert one.report().check.number == 6
    assert one.report().alerts.pending == 1
    receiver.go_on.set()
    settled(one)
    assert one.report().alerts.sent == 1


def test_each_target_has_its_own_attempts_and_its_own_order(watching, record, receiver, clock):
    calls = []
    one = watching(webhook=receiver.url, on_change=lambda check, was: calls.append((check, was)))
    receiver.answers.append(500)
    record(one, 1, shift=4)
    settled(one)
    settled(one)
    record(one, 60)  # it is over before the webhook knows that it began
    one.close()
    assert [was for _, was in calls][:1] == ["unknown"]
    assert calls[-1][0].severity == "none"
    assert len(receiver.rest()) == 1
    again = watching(webhook=receiver.url)
    clock.now += 5
    again.drain()
    again.close()
    kinds = [alert["kind"] for alert in receiver.rest()]
    assert (kinds[0], kinds[-1]) == ("change", "recovery")


def test_a_function_that_raises_is_counted_and_logged_and_not_called_again(
    watching, record, clock, caplog
):
    calls = []

    def on_change(check, previous):
        calls.append(previous)
        raise KeyError("S3CRET")

    one = watching(on_change=on_change)
    record(one, 1, shift=4)
    settled(one)
    clock.now += 1000
    settled(one)
    told = one.report().alerts
    assert (told.sent, told.failed, told.given_up, told.pending) == (0, 1, 1, 0)
    assert told.last_error.startswith("KeyError in test_sending.py, line ")
    assert calls == ["unknown"]
    assert "on_change raised" in caplog.text


def test_a_segment_has_alerts_of_its_own(watching, record, receiver):
    one = watching(webhook=receiver.url, segment_by="city")
    record(one, 6, shift=4, city="Rome")
    one.close()
    told = receiver.rest()
    assert {alert["segment"] for alert in told} == {None, "Rome"}
    of_rome = [alert for alert in told if alert["segment"] == "Rome"]
    assert of_rome[-1]["severity"] == "high"
    assert of_rome[0]["signals"][0]["name"] == "amount"


def test_what_is_pending_stays_in_the_buffer_and_the_next_process_sends_it(
    watching, record, receiver, clock
):
    receiver.answers.append(500)
    one = watching(webhook=receiver.url)
    record(one, 1, shift=4)
    one.close()
    assert alerts(one.config.buffer) == [(None,)]
    first = receiver.next()
    clock.now += 5
    other = watching(webhook=receiver.url)
    other.drain()
    assert receiver.next() == first
    other.close()
    assert alerts(one.config.buffer) == [("sent",)]


def test_another_baseline_does_not_forget_what_was_told(watching, record, receiver):
    one = watching(webhook=receiver.url)
    record(one, 1, shift=4)
    one.close()
    other = watching(webhook=receiver.url, baseline={"amount": [k / 99 for k in range(99)] * 4})
    for k in range(200):
        other.record({"amount": k * 7 % 99 / 99})
    other.close()
    assert [alert["kind"] for alert in receiver.rest()] == ["change", "recovery"]


def test_a_buffer_that_fails_keeps_what_became_of_an_alert(watching, record, receiver):
    one = watching(webhook=receiver.url)
    receiver.hanging.set()
    record(one, 1, shift=4)
    receiver.next()
    one._recorder.store.timeout = 0.01
    with closing(sqlite3.connect(one.config.buffer, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        receiver.go_on.set()
        one._sender._thread.join(60)
        one.drain(60)
        assert one.report().status == "degraded"
        connection.execute("ROLLBACK")
    assert one.drain(60)
    assert one.report().alerts.sent == 1
    one.close()
    assert receiver.rest() == []


def test_two_processes_tell_each_change_once(tmp_path, receiver):
    path = tmp_path / "drift.db"
    workers = [work(path, receiver.url, number) for number in "12"]
    for worker in workers:
        assert "Traceback" not in worker.communicate()[1]
        assert worker.returncode == 0
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT number, severity FROM checks ORDER BY number").fetchall()
    assert len(found) == 24
    levels = [("none", "none"), *found]
    grave = [
        number
        for (_, was), (number, severity) in itertools.pairwise(levels)
        if severity != was and (severity in ("medium", "high") or was in ("medium", "high"))
    ]
    assert grave
    assert [alert["check"]["number"] for alert in receiver.rest()] == grave


def test_the_claim_of_a_killed_process_is_taken_over(watching, tmp_path, receiver, clock):
    path = tmp_path / "drift.db"
    receiver.hanging.set()
    worker = work(path, receiver.url)
    first = receiver.next()
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    receiver.hanging.clear()
    ((claimed_until,),) = alerts(path, "next_at")[:1]
    with closing(sqlite3.connect(path)) as connection:
        (document,) = connection.execute("SELECT document FROM baselines").fetchone()
    (tmp_path / "baseline.json").write_text(document)
    clock.now = claimed_until - 1
    one = watching(webhook=receiver.url, baseline=tmp_path / "baseline.json")
    settled(one)
    settled(one)
    assert receiver.rest() == []
    clock.now = claimed_until
    settled(one)
    assert receiver.next() == first
    settled(one)
    assert alerts(path, "outcome, attempts")[0] == ("sent", 2)


FORKS = """
import os, sys
import numpy as np
from drift_middleware import Monitor

rng = np.random.default_rng(0)
baseline = {"amount": rng.normal(size=400).tolist(), "score": rng.random(400).tolist()}
one = Monitor(baseline=baseline, buffer=sys.argv[1], webhook=sys.argv[2], check_every=50)
one.drain()
if os.fork() == 0:
    for _ in range(100):
        one.record({"amount": float(rng.normal(4))}, float(rng.random()))
    one.close()
    os._exit(0)
assert os.wait()[1] == 0
one.drain()
one.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_sends_by_itself(tmp_path, receiver):
    worker = work(tmp_path / "drift.db", receiver.url, code=FORKS)
    assert "Traceback" not in worker.communicate()[1]
    assert worker.returncode == 0
    assert [alert["kind"] for alert in receiver.rest()] == ["change"]
    assert json.dumps(alerts(tmp_path / "drift.db")) == '[["sent"]]'
