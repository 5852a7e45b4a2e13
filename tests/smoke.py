"""What must work with the package and its own dependencies alone: one request, one verdict."""

import asyncio
import tempfile
from pathlib import Path

from drift_middleware import DriftMiddleware


async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"prediction": 0.5}'})


async def request(app, method, path, body=b""):
    sent = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return sent


async def main():
    with tempfile.TemporaryDirectory() as folder:
        baseline = {
            "age": [i * 37 % 100 for i in range(100)],
            "prediction": [i / 100 for i in range(100)],
        }
        watched = DriftMiddleware(
            app, baseline=baseline, buffer=Path(folder) / "drift.db", check_every=50
        )
        for age in range(50):
            await request(watched, "POST", "/predict", b'{"age": %d}' % age)
        start, body = await request(watched, "GET", "/_drift")
        watched.monitor.close()
    assert (b"x-drift-check", b"1") in start["headers"], start
    assert b'"requests":50' in body["body"], body
    print("serves, checks and reports")


asyncio.run(main())
