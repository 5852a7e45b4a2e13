"""Workers share one database: exactly one check for each `check_every` of all their requests."""

import time
from pathlib import Path
from typing import NamedTuple

from tests.faults.load import send
from tests.faults.serving import UVICORN, serving

REQUESTS, EVERY = 40_000, 500


class Worked(NamedTuple):
    """What so many workers made of what they were sent."""

    workers: int
    seconds: float
    checks: int
    counted: int


def work(folder: Path, workers: int, requests: int = REQUESTS, every: int = EVERY) -> Worked:
    """Send requests to so many workers; raise unless all are counted, once, in even checks."""
    numbers = [float(number) for number in range(requests)]
    command = f"{UVICORN} --workers {workers}"
    with serving(folder, command, check_every=every, keep_rows=10**9) as server:
        began = time.monotonic()
        send(server.port, numbers, connections=16, depth=16)
        seconds = time.monotonic() - began
    checks = server.query("SELECT requests, rows FROM checks ORDER BY number")
    assert checks == [(every, every)] * (requests // every)
    counters = dict(server.query("SELECT name, value FROM counters"))
    assert counters["requests"] == counters["rows"] == requests
    assert server.query("SELECT count(*) FROM rows") == [(requests,)]
    assert sorted(server.query("SELECT amount FROM rows")) == [(number,) for number in numbers]
    assert server.query("PRAGMA integrity_check") == [("ok",)]
    return Worked(workers, seconds, len(checks), counters["requests"])
