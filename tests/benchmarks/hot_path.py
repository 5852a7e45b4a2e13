"""What the middleware costs a request, measured side by side in one run.

    python tests/benchmarks/hot_path.py

In the request: a scope as uvicorn makes it, a bare ASGI app, a POST of 1 KB, an answer; wall time
per call, 200 calls a round (what a tenth of a second brings, after which they are read), rounds
interleaved so that the machine's mood hits all alike.  In all: CPU time of the process per
request, reading, counting, SQLite and checks included, for a record of 25 features.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: TID251  # measured, not used

from drift_middleware import Baseline, DriftMiddleware

FEATURES = 25
ANSWER = b'{"prediction": 0.731}'
RNG = np.random.default_rng(0)


def columns(rows: int) -> dict[str, list]:
    """20 numbers, 3 categories, 2 flags, and the prediction."""
    table = {f"number_{i:02}_of_the_customer": RNG.normal(size=rows).tolist() for i in range(20)}
    table |= {f"category_{i}": RNG.choice(list("abcde"), rows).tolist() for i in range(3)}
    table |= {f"flag_{i}": (RNG.random(rows) < 0.3).tolist() for i in range(2)}
    return table | {"prediction": RNG.random(rows).tolist()}


def bodies(rows: int) -> list[bytes]:
    table = columns(rows)
    del table["prediction"]
    return [
        json.dumps(dict(zip(table, row, strict=True))).encode()
        for row in zip(*table.values(), strict=True)
    ]


async def app(scope, receive, send):
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"21")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


class Nothing:
    """A middleware that does nothing, as pure ASGI."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class NothingBase(BaseHTTPMiddleware):
    """A middleware that does nothing, as Starlette's base class has it."""

    async def dispatch(self, request, call_next):
        return await call_next(request)


async def requests(target, payloads: list[bytes]) -> float:
    """Send payloads one after the other; return seconds."""

    async def send(message):
        pass

    started = time.perf_counter()
    for body in payloads:

        async def receive(body=body):
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {  # as uvicorn makes it
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "method": "POST",
            "root_path": "",
            "path": "/predict",
            "raw_path": b"/predict",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")],
            "state": {},
        }
        await target(scope, receive, send)
    return time.perf_counter() - started


def measure_request(folder: Path, rounds: int, count: int) -> dict[str, float]:
    """Microseconds per request, the best of interleaved rounds: the machine undisturbed.

    Our thread is left asleep until a round ends, as on a server with a core to spare.
    """
    ours = DriftMiddleware(app, baseline=Baseline.fit(columns(2000)), buffer=folder / "request.db")
    targets = {
        "no middleware": app,
        "does nothing": Nothing(app),
        "drift_middleware": ours,
        "BaseHTTPMiddleware": NothingBase(app),
    }
    payloads = bodies(count)
    times: dict[str, list[float]] = {name: [] for name in targets}
    for round_ in range(rounds + 1):
        for name, target in targets.items():
            gc.collect()  # nobody pays for the garbage of another
            seconds = asyncio.run(requests(target, payloads))
            if round_:  # the first warms up
                times[name].append(seconds / count * 1e6)
            ours.monitor.drain(60)
    ours.monitor.close()
    return {name: min(found) for name, found in times.items()}


def measure_cpu(folder: Path, rounds: int) -> float:
    """Microseconds of CPU per request that the middleware adds in all, on every thread.

    A round is as many requests as there are between checks, so each has exactly one; the best of
    the rounds.
    """
    ours = DriftMiddleware(app, baseline=Baseline.fit(columns(2000)), buffer=folder / "cpu.db")
    payloads = bodies(ours.monitor.config.check_every)

    def spent(target) -> float:
        gc.collect()
        started = time.process_time()
        asyncio.run(requests(target, payloads))
        if target is ours:
            ours.monitor.drain(60)
        return time.process_time() - started

    added = min(spent(ours) for _ in range(rounds)) - min(spent(app) for _ in range(rounds))
    ours.monitor.close()
    return added / len(payloads) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--strict", action="store_true", help="fail over generous bounds")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        times = measure_request(Path(name), options.rounds, options.requests)
        cpu = measure_cpu(Path(name), options.rounds // 3)
    bare = times["does nothing"]
    print(f"{FEATURES} features, body {len(bodies(1)[0])} bytes, Python {sys.version.split()[0]}")
    print(f"{'in the request':22}{'us':>8}{'ratio':>8}")
    for target, us in times.items():
        print(f"{target:22}{us:8.2f}{us / bare:7.2f}x")
    print(f"{'CPU added in all':22}{cpu:8.2f}   reading, counting, SQLite and checks included")
    is_over = times["drift_middleware"] / bare > 4 or cpu > 60
    return int(options.strict and is_over)


if __name__ == "__main__":
    sys.exit(main())
