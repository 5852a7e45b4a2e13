"""Kill a server at any moment under load, again and again, in one database."""

import asyncio
import time
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drift_middleware.pacing import GATHER_SECONDS
from tests.faults.load import Connection
from tests.faults.serving import Server, prepare, start

CONNECTIONS = 4
EVERY = 50
BY_RUN, BY_CONNECTION = 10_000_000, 1_000_000
"what a number begins with, so that a row tells which request it is of"


class Killed(NamedTuple):
    """What one killed server left behind."""

    answered: int
    lost: int
    "requests that were answered, and are in no row"
    seconds: float
    "how long before the end the oldest of them was answered"


def kill_servers(folder: Path, times: int, seed: int = 0) -> list[Killed]:
    """Start and kill a server so many times; raise if anything of what it left is wrong."""
    # Until four times, and a bit, was written what had gathered.
    moments = np.random.default_rng(seed).uniform(0.0, 4.4 * GATHER_SECONDS, times)
    prepare(folder, check_every=EVERY, keep_rows=10**9)
    return [_kill_one(folder, run, moment) for run, moment in enumerate(moments)]


def _kill_one(folder: Path, run: int, moment: float) -> Killed:
    server = start(folder)
    firsts = [run * BY_RUN + each * BY_CONNECTION for each in range(CONNECTIONS)]
    spoken = [Connection(map(float, count(first)), depth=8) for first in firsts]
    killed_at = asyncio.run(_speak_until_killed(server, spoken, moment))
    server.process.wait(30)
    _assert_that_all_agrees(server)
    # Killed before anything was written, it has no column yet.
    is_there = server.query("SELECT * FROM columns WHERE name = 'amount'")
    found = server.query("SELECT amount FROM rows") if is_there else []
    rows = sorted(int(amount) for (amount,) in found)
    lost, ages = 0, [0.0]
    for first, one in zip(firsts, spoken, strict=True):
        own = [row for row in rows if first <= row < first + BY_CONNECTION]
        assert own == list(range(first, first + len(own))), "a request in the middle is missing"
        lost += max(len(one.answered) - len(own), 0)
        ages += [killed_at - at for at in one.heard_at[len(own) :]]
    return Killed(sum(len(one.answered) for one in spoken), lost, max(ages))


async def _speak_until_killed(server: Server, spoken: list[Connection], moment: float) -> float:
    """Send as fast as can be heard until the server is killed; return when that was."""
    tasks = [asyncio.create_task(one.speak(server.port)) for one in spoken]
    while not spoken[0].answered:  # noqa: ASYNC110  # it is heard in many places
        await asyncio.sleep(0.001)
    await asyncio.sleep(moment)  # to be killed at another point, not to wait for anything
    server.process.kill()
    killed_at = time.monotonic()
    await asyncio.gather(*tasks)
    return killed_at


def _assert_that_all_agrees(server: Server) -> None:
    assert server.query("PRAGMA integrity_check") == [("ok",)]
    (numbers,) = server.query(
        "SELECT (SELECT count(*) FROM rows),"
        " (SELECT value FROM counters WHERE name = 'rows'),"
        " (SELECT value FROM counters WHERE name = 'requests'),"
        " (SELECT coalesce(sum(rows), 0) FROM checks)"
        " + (SELECT coalesce(sum(rows), 0) FROM tallies),"
        " (SELECT count(*) FROM checks WHERE requests <> 50)"
    )
    rows, counted, requests, tallied, uneven = (number or 0 for number in numbers)
    assert rows == counted == requests == tallied, numbers
    assert uneven == 0
