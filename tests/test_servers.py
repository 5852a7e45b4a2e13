"""Apps as they are served: what they were asked and answered is found in the SQLite file."""

import http.client
import json
import sqlite3
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import Body, FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from drift_middleware import DriftMiddleware

RECORD = {"age": 31, "city": "Paris"}
RECORDS = [RECORD, {"age": 54, "city": "Oslo"}]
MATRIX = [[31, "Paris"], [54, "Oslo"]]
BASELINE = {
    "age": [20 + row % 50 for row in range(200)],
    "city": [("Paris", "Oslo", "Rome")[row % 3] for row in range(200)],
    "score": [row / 200 for row in range(200)],
}


@pytest.fixture
def watch(tmp_path):
    """Wrap apps, each with a buffer of its own, and stop their threads in the end."""
    watched = []

    def wrap(app, **options):
        buffer = tmp_path / f"{len(watched)}.db"
        watched.append(DriftMiddleware(app, **{"buffer": buffer, **options}))
        return watched[-1]

    yield wrap
    for one in watched:
        one.monitor.close()


def read(watched, query):
    """Look into the buffer, as anybody could."""
    with closing(sqlite3.connect(watched.monitor.config.buffer)) as connection:
        return connection.execute(query).fetchall()


def rows_of(watched, *columns):
    assert watched.monitor.drain()
    return read(watched, f"SELECT {', '.join(columns)} FROM rows")  # noqa: S608  # of this file


def answering(answer):
    """Make a model server that always answers so, on any path."""
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "PATCH", "POST", "PUT"])
    async def predict(path, body: Annotated[Any, Body()] = None):
        return answer

    return app


REQUESTS = {
    "records": RECORDS,
    "records with more": [{**record, "id": n} for n, record in enumerate(RECORDS)],
    "a matrix": MATRIX,
    "instances": {"instances": RECORDS},
    "an instance matrix": {"instances": MATRIX, "signature_name": "serving_default"},
    "inputs by column": {"inputs": {"age": [31, 54], "city": ["Paris", "Oslo"]}},
    "inputs by row": {"inputs": RECORDS},
    "an input matrix": {"inputs": MATRIX},
}
ANSWERS = {
    "a list": [0.25, 0.5],
    "records": [{"score": 0.25}, {"score": 0.5}],
    "predictions": {"predictions": [0.25, 0.5]},
    "predictions and more": {"model": "m1", "predictions": [{"score": 0.25}, {"score": 0.5}]},
    "columns": {"score": [0.25, 0.5]},
    "columns of one": {"predictions": [[0.25], [0.5]]},
}


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("answered", ANSWERS)
def test_each_row_is_kept_with_its_prediction(asked, answered, watch):
    watched = watch(answering(ANSWERS[answered]), baseline=BASELINE)
    answer = TestClient(watched).post("/predict", json=REQUESTS[asked])
    assert answer.json() == ANSWERS[answered]
    assert rows_of(watched, "age", "city", "score") == [(31, "Paris", 0.25), (54, "Oslo", 0.5)]
    capture = watched.monitor.report().capture
    assert (capture.requests, capture.rows, capture.unaligned, capture.skipped) == (1, 2, 0, {})


ONE_ANSWER = {
    "a number": (0.5, {"prediction": 0.5}),
    "a word": ("yes", {"prediction": "yes"}),
    "a boolean": (True, {"prediction": "true"}),
    "a list of one": ([0.5], {"prediction": 0.5}),
    "a record": ({"score": 0.5, "class": "b"}, {"score": 0.5, "class": "b"}),
    "a nested record": ({"output": {"mean": 1.5, "sd": 2}}, {'"mean"': 1.5, '"sd"': 2}),
    "predictions": ({"predictions": [7]}, {"prediction": 7}),
    "probabilities": ([0.1, 0.7, 0.2], {"label": 1, "confidence": 0.7}),
    "rows of probabilities": ([[0.1, 0.9]], {"label": 1, "confidence": 0.9}),
    "a label": ({"label": "cat", "score": 0.9}, {"label": "cat", "score": 0.9}),
    "a ranking": (
        [{"label": "dog", "score": 0.1}, {"label": "cat", "score": 0.9}],
        {"label": "cat", "score": 0.9},
    ),
}


@pytest.mark.parametrize("name", ONE_ANSWER)
@pytest.mark.parametrize("asked", [RECORD, [RECORD], {"instances": [RECORD]}])
def test_the_prediction_of_one_record_is_kept_by_its_names(name, asked, watch):
    answer, kept = ONE_ANSWER[name]
    watched = watch(answering(answer))
    assert TestClient(watched).post("/predict", json=asked).json() == answer
    assert rows_of(watched, "age", "city", *kept) == [(31, "Paris", *kept.values())]


@pytest.mark.parametrize("answer", [[0.5], [0.1, 0.2, 0.3], 0.5, {"predictions": []}, "yes"])
def test_an_answer_that_does_not_line_up_is_counted_and_the_rows_are_kept(answer, watch):
    watched = watch(answering(answer), baseline=BASELINE)
    TestClient(watched).post("/predict", json=RECORDS)
    assert rows_of(watched, "age", "city") == [(31, "Paris"), (54, "Oslo")]
    capture = watched.monitor.report().capture
    assert (capture.requests, capture.rows, capture.unaligned) == (1, 2, 1)


@pytest.mark.parametrize(
    ("patterns", "captured"),
    [
        ((), ["/predict", "/models/a", "/models/a/b", "/login"]),
        (("/predict",), ["/predict"]),
        ("/models/*", ["/models/a", "/models/a/b"]),
        (("/predict", "/models/?"), ["/predict", "/models/a"]),
    ],
)
def test_only_the_given_paths_are_captured(patterns, captured, watch):
    watched = watch(answering(0.5), paths=patterns)
    client = TestClient(watched)
    for path in ("/predict", "/models/a", "/models/a/b", "/login"):
        for _ in range(2):
            client.post(path, json={"path": path})
    assert rows_of(watched, "path") == [(path,) for path in captured for _ in range(2)]
    assert watched.monitor.report().capture.skipped == {}


@pytest.mark.parametrize(("method", "rows"), [("POST", 2), ("PUT", 2), ("GET", 0), ("PATCH", 0)])
def test_only_posts_and_puts_are_captured(method, rows, watch):
    watched = watch(answering(0.5))
    for _ in range(2):
        TestClient(watched).request(method, "/predict", json=RECORD)
    assert len(rows_of(watched, "id")) == rows


@pytest.mark.parametrize("method", ["GET", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_of_a_captured_path_are_not_captured(method, watch):
    watched = watch(answering(0.5))
    for each in ("POST", method):
        TestClient(watched).request(each, "/predict", json=RECORD)
    assert len(rows_of(watched, "id")) == 1
    assert watched.monitor.report().capture.skipped == {}


def test_what_other_routes_are_asked_is_not_captured_nor_kept(watch):
    app = FastAPI()

    @app.post("/login")
    async def login(body: Annotated[Any, Body()]):
        return {"session": "abc123"}

    app.mount("/", answering(0.5))
    watched = watch(app, baseline=BASELINE)
    client = TestClient(watched)
    for _ in range(3):
        client.post("/login", json={"user": "ann", "code": "hunter2"})
        client.post("/predict", json=RECORD)
    assert rows_of(watched, "age", "city", "score") == [(31, "Paris", 0.5)] * 3
    assert watched.monitor.report().capture.skipped == {"no column of the baseline": 3}
    files = list(Path(watched.monitor.config.buffer).parent.iterdir())
    assert not any(word in file.read_bytes() for file in files for word in (b"hunter2", b"abc123"))


def test_the_app_reads_the_severity_that_the_client_reads(watch):
    async def predict(request):
        await request.body()
        return JSONResponse({"score": 0.5, "severity": request.state.drift.severity})

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    client = TestClient(watch(app, baseline=BASELINE, check_every=50))
    assert client.post("/predict", json=RECORD).json()["severity"] == "unknown"
    for _ in range(499):  # the same one each time: as far from the baseline as can be
        client.post("/predict", json=RECORD)
    report = client.get("/_drift").json()
    answer = client.post("/predict", json=RECORD)
    assert report["check"]["number"] == 10
    assert report["severity"] == answer.json()["severity"] == "high"
    for name in ("severity", "data", "prediction"):
        assert answer.headers[f"x-drift-{name}"] == report[name]
    assert answer.headers["x-drift-check"] == "10"


# Over real sockets.


@contextmanager
def serving(app):
    """Serve an app with uvicorn, on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


async def score(request):
    record = await request.json()
    return JSONResponse({"score": record["age"] / 100})


def ask(port, records):
    """Send records over one connection; return the numbers of the checks that the answers name."""
    checks = []
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for record in records:
            body = json.dumps(record)
            connection.request("POST", "/predict", body, {"content-type": "application/json"})
            with connection.getresponse() as answer:
                assert json.load(answer) == {"score": record["age"] / 100}
                checks.append(int(answer.headers["x-drift-check"]))
    return checks


def test_four_clients_at_once_get_a_check_after_every_500_requests(watch):
    app = Starlette(routes=[Route("/predict", score, methods=["POST"])])
    watched = watch(app, baseline=BASELINE, check_every=500)
    records = [{"age": 20 + place % 50, "city": "Oslo", "id": place} for place in range(10_000)]
    with serving(watched) as port:
        with ThreadPoolExecutor(4) as pool:
            heard = list(pool.map(lambda part: ask(port, records[part::4]), range(4)))
        report = httpx.get(f"http://127.0.0.1:{port}/_drift").json()
        after = httpx.get(f"http://127.0.0.1:{port}/predict")
    assert all(checks == sorted(checks) for checks in heard)
    assert report["capture"]["requests"] == report["capture"]["rows"] == 10_000
    assert report["capture"]["skipped"] == {}
    assert report["check"]["number"] == 20
    assert after.headers["x-drift-check"] == "20"
    assert after.headers["x-drift-severity"] == report["severity"]
    checks = read(watched, "SELECT number, requests, rows FROM checks ORDER BY number")
    assert checks == [(number, 500, 500) for number in range(1, 21)]
    found = read(watched, "SELECT age, city, score FROM rows")
    assert sorted(found) == sorted((r["age"], r["city"], r["age"] / 100) for r in records)


MEBIBYTE = b"x" * (1 << 20)


async def take(request):
    return JSONResponse(sum([len(piece) async for piece in request.stream()]))


async def events(request):
    await request.body()
    event = b"data: " + MEBIBYTE[: 1 << 16] + b"\n\n"

    async def endless():
        for _ in range(800):
            yield event

    return StreamingResponse(endless(), media_type="text/event-stream")


@pytest.mark.parametrize("path", ["/take", "/events"])
def test_a_long_upload_and_a_long_stream_take_no_memory(path, watch):
    routes = [Route("/take", take, methods=["POST"]), Route("/events", events, methods=["POST"])]
    watched = watch(Starlette(routes=routes))
    upload = (MEBIBYTE for _ in range(50)) if path == "/take" else b"{}"
    received = 0
    with serving(watched) as port, httpx.Client(timeout=60) as client:
        url = f"http://127.0.0.1:{port}{path}"
        tracemalloc.start()
        with client.stream("POST", url, content=upload) as answer:
            for piece in answer.iter_raw():
                received += len(piece)
        assert watched.monitor.drain()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert received == (8 if path == "/take" else 800 * ((1 << 16) + 8))
    assert peak < 20 << 20
    assert watched.monitor.report().capture.skipped == {"body over the limit": 1}


def test_what_is_queued_is_written_before_the_server_is_told_of_the_shutdown(watch):
    found = []

    @asynccontextmanager
    async def lifespan(app):
        yield
        for age in range(20):  # at the last moment: nothing but the flush writes them in time
            watched.monitor.record({"age": age})

    routes = [Route("/predict", score, methods=["POST"])]
    watched = watch(Starlette(routes=routes, lifespan=lifespan))

    async def noted(scope, receive, send):
        async def note(message):
            if message["type"] == "lifespan.shutdown.complete":
                found.extend(read(watched, "SELECT age FROM rows ORDER BY id"))
            await send(message)

        await watched(scope, receive, note)

    with serving(noted) as port:
        ask(port, [{"age": age} for age in range(50)])
    assert found == [(age,) for age in [*range(50), *range(20)]]
