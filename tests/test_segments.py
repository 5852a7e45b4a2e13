"""Segments, from the request to what is said of each."""

import sqlite3
from contextlib import closing, contextmanager

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from drift_middleware import Baseline, DriftMiddleware, Monitor
from drift_middleware.errors import ConfigError

CLIENTS = ["big", "middle", "small"]
EVERY = 300


def table(rows, seed, shifted=None):
    """Each client has a level of its own; `shifted` is the one whose numbers moved."""
    rng = np.random.default_rng(seed)
    client = rng.choice(CLIENTS, rows, p=[0.6, 0.3, 0.1])
    level = np.searchsorted(CLIENTS, client) * 3.0
    return {
        "client": client.tolist(),
        "x": (rng.normal(size=rows) + level + 1.5 * (client == shifted)).tolist(),
        "y": rng.normal(size=rows).tolist(),
    }


BASELINE = Baseline.fit(table(4000, 0), segment_by="client")


@contextmanager
def watching(path, **options):
    given = {"baseline": BASELINE, "segment_by": "client"} | options
    one = Monitor(buffer=path, check_every=EVERY, **given)
    try:
        yield one
    finally:
        one.close()


def send(one, columns):
    for values in zip(*columns.values(), strict=True):
        one.record(dict(zip(columns, values, strict=True)))
    assert one.drain(30)


def levels(one):
    return {name: said.severity for name, said in one.report().segments.items()}


def test_the_client_that_changed_is_named_and_the_others_are_not(path):
    with watching(path) as one:
        send(one, table(3 * EVERY, 1))
        assert levels(one) == dict.fromkeys(CLIENTS, "none")
        send(one, table(6 * EVERY, 2, shifted="small"))
        assert levels(one) == {"big": "none", "middle": "none", "small": "high"}
        small = one.report(segment="small")
        assert (small.segment, small.severity, small.data) == ("small", "high", "high")
        assert small.signals[0].name == "x"
        assert one.report(segment="big").severity == "none"
        assert one.history(1)[0].segments["small"].moved["x"] == "high"


def test_a_severity_that_changed_is_logged_with_its_segment(path, caplog):
    caplog.set_level("INFO", logger="drift_middleware")
    with watching(path) as one:
        send(one, table(4 * EVERY, 2, shifted="small"))
    said = [line for line in caplog.records if line.event == "severity changed"]
    grave = [line for line in said if line.segment == "small" and line.levelname == "WARNING"]
    assert grave[-1].severity == "high"
    assert grave[-1].getMessage().startswith("severity changed: small, ")
    assert {line.severity for line in said if line.segment in ("big", "middle")} == {"none"}


def test_the_rows_of_all_segments_are_those_of_the_whole(path):
    with watching(path) as one:
        send(one, table(2 * EVERY, 3))
        for check in one.history(2):
            assert sum(said.rows for said in check.segments.values()) == check.rows


def test_a_restart_goes_on_with_every_segment(path, tmp_path):
    parts = [table(EVERY, seed, shifted="small" if seed > 5 else None) for seed in range(4, 10)]
    for part in parts:
        with watching(path) as one:
            send(one, part)
            in_pieces = one.report(segment="small").signals
    with watching(tmp_path / "other.db") as one:
        for part in parts:
            send(one, part)
        assert one.report(segment="small").signals == in_pieces


def test_segments_that_are_asked_for_later_are_watched_from_then_on(path):
    columns = table(4000, 0)
    with watching(path, baseline=Baseline.fit(columns), segment_by=None) as one:
        send(one, table(EVERY, 7))
    with watching(path) as one:
        send(one, table(EVERY, 8))
        assert levels(one) == dict.fromkeys(CLIENTS, "none")
        assert [check.number for check in one.history(5)] == [2, 1]


def test_an_unknown_segment_is_an_error_that_names_the_known(path):
    with watching(path) as one, pytest.raises(ConfigError, match="'tiny'"):
        one.report(segment="tiny")


def test_segments_that_no_column_tells_are_compared_with_the_whole_baseline(path):
    rng = np.random.default_rng(5)

    async def predict(request):
        return JSONResponse({"prediction": (await request.json())["x"] / 10})

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    columns = {"x": rng.normal(size=2000), "prediction": rng.normal(size=2000) / 10}
    drift = DriftMiddleware(
        app,
        baseline=Baseline.fit(columns),
        buffer=path,
        check_every=EVERY,
        segment_by="header:x-client",
    )
    client = TestClient(drift)
    for i in range(4 * EVERY):
        name = "broken" if i % 3 == 0 else "fine"
        x = rng.normal() + 2 * (name == "broken")
        client.post("/predict", json={"x": x}, headers={"X-Client": name})
    report = client.get("/_drift").json()
    assert {name: said["severity"] for name, said in report["segments"].items()} == {
        "broken": "high",
        "fine": "none",
    }
    assert client.get("/_drift?segment=broken").json()["severity"] == "high"
    refused = client.get("/_drift?segment=<b>")
    assert (refused.status_code, "Watched: " in refused.json()["error"]) == (400, True)
    drift.monitor.close()


def test_endless_names_of_segments_take_no_more_than_a_bound(path):
    with watching(path, baseline=Baseline.fit({"x": np.arange(300.0) % 7}), segment_by="id") as one:
        for number in range(1500):
            one.record({"x": number % 7, "id": f"name {number}"})
        one.drain()
        assert one.report().segments == {}
    with closing(sqlite3.connect(path)) as db:
        (progress,) = db.execute("SELECT value FROM state WHERE key = 'progress'").fetchone()
    assert len(progress) < 40_000


def test_segments_share_the_false_alarm_budget(path):
    with watching(path) as one:
        send(one, table(10, 6))
        alone = one.report().signals[0].evidence
    with watching(path.with_name("alone.db"), segment_by=None) as one:
        send(one, table(10, 6))
        assert one.report().signals[0].evidence - alone == pytest.approx(np.log(4), abs=1e-3)
