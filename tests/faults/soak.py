"""A server at the machine's limit for minutes: memory must stay flat, the database bounded.

    python tests/faults/soak.py --minutes 10

A server and its client take all that two cores give; memory and database are looked at every
second.  Fails if memory grows by more than 1 MB a minute after the first fifth of the time, by
least squares, or if the database becomes half as large again as it was by then, when it holds all
that it may keep.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.load import Connection
from tests.faults.serving import Server, serving

MEGABYTE = 1e6
CONNECTIONS, DEPTH, PADDING = 8, 16, 500
KEEP_ROWS, KEEP_CHECKS = 20_000, 100
STEEPEST = 1.0
"megabytes a minute"
WIDEST = 1.5
"times what it was when it was full"


class Sample(NamedTuple):
    """How it stood at one moment."""

    minutes: float
    resident: float
    "megabytes"
    database: float
    "megabytes, with its log"


class Soaked(NamedTuple):
    """What became of it."""

    samples: list[Sample]
    answered: int
    rows: int
    dropped: int
    checks: int

    @property
    def settled(self) -> list[Sample]:
        """Samples after the first fifth of the time."""
        return [one for one in self.samples if one.minutes >= self.samples[-1].minutes / 5]

    @property
    def slope(self) -> float:
        """Megabytes of memory a minute, by least squares."""
        return _slope(self.settled)

    @property
    def late_slope(self) -> float:
        """The same, of the last half of the time: less than the whole if it levels off."""
        return _slope(self.samples[len(self.samples) // 2 :])

    @property
    def widening(self) -> float:
        """The largest that the database became, in what it was when it was full."""
        full = [one.database for one in self.samples if one not in self.settled]
        return max(one.database for one in self.settled) / max(full)

    @property
    def holds(self) -> bool:
        return self.slope <= STEEPEST and self.widening <= WIDEST

    def lines(self) -> Iterator[str]:
        """Tell it in a few lines."""
        first, last = self.settled[0], self.samples[-1]
        most = max(one.database for one in self.samples)
        yield f"minutes                    {last.minutes:10.1f}"
        yield f"requests answered          {self.answered:10,}"
        yield f"requests a second          {self.answered / last.minutes / 60:10,.0f}"
        yield f"checks                     {self.checks:10,}"
        yield f"dropped, and counted       {self.dropped:10,}"
        yield f"resident, settled          {first.resident:10.1f} MB"
        yield f"resident, at the end       {last.resident:10.1f} MB"
        yield f"slope of it                {self.slope:+10.2f} MB a minute, at most {STEEPEST:g}"
        yield f"the same, of its last half {self.late_slope:+10.2f} MB a minute"
        yield f"database, at its largest   {most:10.1f} MB"
        yield f"of what it was when full   {self.widening:10.2f} times, at most {WIDEST:g}"


def _slope(samples: list[Sample]) -> float:
    minutes, resident, _ = zip(*samples, strict=True)
    return float(np.polyfit(minutes, resident, 1)[0])


async def _load(server: Server, seconds: float) -> tuple[list[Sample], int]:
    numbers = (float(number % 1000) for number in count())
    spoken = [Connection(numbers, DEPTH, padding=PADDING) for _ in range(CONNECTIONS)]
    tasks = [asyncio.create_task(one.speak(server.port)) for one in spoken]
    samples, answered, began = [], 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        await asyncio.sleep(1)
        sizes = (Path(f"{server.database}{suffix}") for suffix in ("", "-wal"))
        database = sum(path.stat().st_size for path in sizes if path.exists())
        samples.append(Sample(passed / 60, server.resident() / MEGABYTE, database / MEGABYTE))
        for one in spoken:  # it is the server whose memory is to be seen
            answered += len(one.answered)
            one.answered.clear()
            one.heard_at.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return samples, answered + sum(len(one.answered) for one in spoken)


def soak(folder: Path, minutes: float) -> Soaked:
    """Keep a server at its limit; raise unless it counts all, or says that it did not."""
    options = {"check_every": 500, "keep_rows": KEEP_ROWS, "keep_checks": KEEP_CHECKS}
    with serving(folder, **options) as server:
        samples, answered = asyncio.run(_load(server, minutes * 60))
        said = server.wait_for(lambda said: said["capture"]["queued"] == 0)
    seen = said["capture"]
    assert seen["requests"] + seen["dropped"] >= answered
    assert seen["errors"] == 0
    return Soaked(samples, answered, seen["rows"], seen["dropped"], said["check"]["number"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        soaked = soak(Path(name) / "app", options.minutes)
    print("\n".join(soaked.lines()))  # noqa: T201  # this is a command
    return int(not soaked.holds)


if __name__ == "__main__":
    sys.exit(main())
