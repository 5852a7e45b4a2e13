import asyncio
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from drift_middleware import DriftMiddleware
from drift_middleware.overhead import KEPT, Overhead

SLOW = 0.02


async def slow_app(scope, receive, send):
    await receive()
    await asyncio.sleep(SLOW)
    await send({"type": "http.response.start", "status": 200})


async def slow_receive():
    await asyncio.sleep(SLOW)
    return {"type": "http.request"}


async def slow_send(message):
    await asyncio.sleep(SLOW)


def run(overhead, receive_adds=0.0, send_adds=0.0):
    """Serve one request as the middleware does; both of its functions may take time themselves."""
    app, awaited = overhead.measure(slow_app, slow_receive)

    async def tee_receive():
        message = await awaited()
        time.sleep(receive_adds)  # noqa: ASYNC251  # it is the middleware that is slow
        return message

    def tee_send(message):
        time.sleep(send_adds)
        return slow_send(message)

    asyncio.run(app({}, tee_receive, tee_send))


def test_neither_the_app_nor_the_server_counts():
    overhead = Overhead()
    run(overhead)
    assert overhead.percentiles()["p99"] < SLOW * 1e6


@pytest.mark.parametrize("where", ["receive_adds", "send_adds"])
def test_what_the_middleware_takes_counts(where):
    overhead = Overhead()
    run(overhead, **{where: 0.05})
    assert overhead.percentiles()["p50"] >= 50_000


def test_a_sample_is_taken_once_and_old_ones_are_forgotten():
    overhead = Overhead()
    assert overhead.percentiles() == {}
    for number in range(KEPT + 5):
        overhead.want(number)
        run_quickly(overhead)
        assert not overhead.is_wanted
        assert len(overhead._samples) == min(number + 1, KEPT)


def run_quickly(overhead):
    async def app(scope, receive, send):
        await send({"type": "http.response.start"})

    async def send(message):
        pass

    measured, receive = overhead.measure(app, send)
    asyncio.run(measured({}, receive, send))


def test_the_report_says_what_requests_pay(tmp_path):
    async def answer(request):
        await request.body()
        return PlainTextResponse("1")

    app = Starlette(routes=[Route("/predict", answer, methods=["POST"])])
    drift = DriftMiddleware(app, baseline={"x": [1.0, 2.0] * 30}, buffer=tmp_path / "drift.db")
    client = TestClient(drift)
    for _ in range(5):
        client.post("/predict", json={"x": 1})
        capture = client.get("/_drift").json()["capture"]
    assert 0 < capture["added_microseconds"]["p50"] <= capture["added_microseconds"]["p99"] < 1e5
    assert capture["queued"] == 0
    assert capture["database_bytes"] >= 4096
    drift.monitor.close()
