"""From `[[endpoint]]` and extractors to rows in the database, through a served app."""

import sqlite3
from contextlib import closing

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from drift_middleware import Baseline, ConfigError, DriftMiddleware

BASELINE = Baseline.fit(
    {
        "age": [number % 50 for number in range(300)],
        "city": ["Oslo", "Rome", "Bern"] * 100,
        "label": ["no", "yes"] * 150,
    },
    source="test",
)
TABLE = {
    "path": "/models/{model}",
    "request.rows": "cases[].values",
    "request.features": ["age", "city"],
    "response.label": "said[].class",
    "response.classes": ["no", "yes"],
    "align": "key:/id",
}


async def answer(request):
    cases = (await request.json()).get("cases", [])
    said = [{"id": case["id"], "class": case["id"] % 2} for case in reversed(cases)]
    return JSONResponse({"said": said} if cases else {"queued": True})


def served(path, **options):
    app = Starlette(routes=[Route("/models/{name}", answer, methods=["POST"])])
    options = {"baseline": BASELINE, "check_every": 10} | options
    app.add_middleware(DriftMiddleware, buffer=path, **options)
    return TestClient(app)


def stored(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT age, city, label FROM rows ORDER BY id").fetchall()


def cases(*ages):
    return {"cases": [{"id": age, "values": [age, "Oslo"]} for age in ages]}


def test_rows_that_nobody_could_detect_are_stored_with_their_predictions(path):
    with served(path, endpoints=[TABLE]) as client:
        for number in range(6):
            client.post(f"/models/m{number}", json=cases(31, 54))
        client.post("/models/m", json={"other": 1})
        client.post("/models/m", json=cases())
        capture = client.get("/_drift").json()["capture"]
    assert stored(path) == [(31.0, "Oslo", "yes"), (54.0, "Oslo", "no")] * 6
    assert (capture["requests"], capture["rows"]) == (6, 12)
    assert capture["skipped"] == {"mapping does not fit": 1, "not a prediction": 1}
    (endpoint,) = capture["endpoints"]
    assert endpoint == {
        "endpoint": "/models/{model}",
        "content_type": "application/json",
        "format": "mapping",
        "pinned": True,
        "changes": 0,
        "requests": 8,
        "rows": 12,
        "fields": ["model", "age", "city"],
        "outputs": ["label"],
        "skipped": capture["skipped"],
        "unaligned": 0,
    }


def test_the_model_of_the_path_can_be_a_segment(path):
    with served(path, endpoints=[TABLE], segment_by="model", check_every=300) as client:
        for _ in range(300):
            client.post("/models/iris", json=cases(31))
        for _ in range(300):
            client.post("/models/iris", json=cases(32))
        segments = client.get("/_drift").json()["segments"]
    assert [*segments] == ["iris"]


def test_a_wrong_table_is_an_error_when_the_app_is_built(path):
    with (
        pytest.raises(ConfigError, match=r"endpoint\[0\] \(/models/\{model\}\): request.rows="),
        served(path, endpoints=[TABLE | {"request.rows": "cases[?"}]),
    ):
        pass
