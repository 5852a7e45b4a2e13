"""Cost and size of the page of 200 signals, half of which have moved, as a browser gets it.

    python -m tests.benchmarks.page [--strict]

Best and median of checks: the first view after one, and the second.  With --strict, exits with 1
if the page is over 150 kB or the median of the first view over 50 ms.
"""

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from drift_middleware import Baseline, DriftMiddleware
from tests.benchmarks.check import machine

SIGNALS, ROWS, CHECKS = 200, 500, 20
MOST_KILOBYTES, SLOWEST = 150, 50


async def app(scope, receive, send):
    await JSONResponse({})(scope, receive, send)


def columns(rng, rows, shift=0.0):
    x = rng.normal(size=(SIGNALS, rows))
    x[: SIGNALS // 2] += shift
    return {f"feature_{i:03}": values.tolist() for i, values in enumerate(x)}


def view(client):
    started = time.perf_counter()
    page = client.get("/_drift", headers={"accept": "text/html"})
    seconds = time.perf_counter() - started
    assert page.status_code == 200
    return seconds * 1e3, len(page.content) / 1e3


def measure(folder):
    """Milliseconds of first and second views after checks, and kilobytes."""
    rng = np.random.default_rng(0)
    baseline = Baseline.fit(columns(rng, 5000), ignore=["joint"])
    watched = DriftMiddleware(app, baseline=baseline, buffer=folder / "page.db", check_every=ROWS)
    client, first, second, kilobytes = TestClient(watched), [], [], 0.0
    for _ in range(CHECKS):
        table = columns(rng, ROWS, shift=0.8)
        for row in zip(*table.values(), strict=True):
            watched.monitor.record(dict(zip(table, row, strict=True)))
        watched.monitor.drain(60)
        first.append(view(client)[0])
        cost, kilobytes = view(client)
        second.append(cost)
    watched.monitor.close()
    return first, second, kilobytes


def main() -> int:
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        first, second, kilobytes = measure(Path(name))
    print(f"{SIGNALS} signals, {SIGNALS // 2} of them moved, {machine()}")
    print(f"{'':28}{'best':>8}{'median':>8}{'bound':>8}")
    for what, times, bound in (("first view", first, SLOWEST), ("second view", second, SLOWEST)):
        best, median = min(times), statistics.median(times)
        print(f"{what + ' after a check, ms':28}{best:8.1f}{median:8.1f}{bound:8}")
    print(f"{'page, kB':28}{kilobytes:16.1f}{MOST_KILOBYTES:8}")
    is_over = kilobytes > MOST_KILOBYTES or statistics.median(first) > SLOWEST
    return int(is_over and "--strict" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
