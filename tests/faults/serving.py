"""A model server in a process of its own, as users run one, and what can be seen of it."""

import csv
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
PAGE = os.sysconf("SC_PAGE_SIZE")

# `{"amount": 3.0}` is answered `{"score": 3.0}`: the body says which request an answer is to.
APP = """
import asyncio
import time

from drift_middleware import DriftMiddleware

HEADERS = [(b"content-type", b"application/json")]


async def body_of(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body")
    return body


async def count(receive):
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body")
    return size


async def model(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/events":
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        event = b"data: " + b"x" * 65000 + b"\\n\\n"
        await body_of(receive)
        gone = asyncio.create_task(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(0)
        return
    if scope["path"] == "/upload":
        answer = b'{"bytes": %d}' % await count(receive)
    else:
        answer = (await body_of(receive)).replace(b"amount", b"score")
    headers = [*HEADERS, (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


app = DriftMiddleware(model)
"""
UVICORN = "-m uvicorn app:app --port {port} --no-access-log --log-level warning"


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen, port: int, folder: Path) -> None:
        self.process, self.port, self.folder = process, port, folder
        self.database = folder / "drift.db"

    def report(self) -> dict[str, Any]:
        """Read `/_drift`."""
        return json.loads(self.page("application/json"))

    def page(self, accept: str = "text/html") -> str:
        url = f"http://127.0.0.1:{self.port}/_drift"
        asked = urllib.request.Request(url, headers={"accept": accept})  # ours
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310  # ours
            return answer.read().decode()

    def wait_for(self, is_so: Callable[[dict], bool], seconds: float = 60) -> dict[str, Any]:
        """Wait until `/_drift` says what is waited for; return what it says."""
        ends = time.monotonic() + seconds
        while not is_so(said := self.report()):
            assert time.monotonic() < ends, json.dumps(said, indent=1)[:2000] + self.log()
            time.sleep(0.05)
        return said

    def wait_for_status(self, status: str) -> dict[str, Any]:
        return self.wait_for(lambda said: said["status"] == status)

    def query(self, sql: str) -> list[tuple]:
        """Ask the database, as anybody could."""
        return query(self.database, sql)

    def resident(self) -> int:
        """Return the bytes of memory that the process has now."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE

    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def terminate(self) -> int:
        """Ask it to end, as whoever runs servers does, and wait for that."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


def query(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return db.execute(sql).fetchall()


def write_baseline(path: Path, mean: float = 0.0) -> None:
    """Write a table of numbers that are nothing but `amount` and `score`."""
    values = np.random.default_rng(0).normal(mean, 1.0, (500, 2)).tolist()
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["amount", "score"], *values])


def prepare(folder: Path, **options: Any) -> None:
    """Write all that a server needs: the app, its baseline and its options."""
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(APP)
    if not (folder / "baseline.csv").exists():
        write_baseline(folder / "baseline.csv")
    options = {"baseline": "baseline.csv", "buffer": "drift.db", "check_every": 100} | options
    lines = (f"{name} = {json.dumps(value)}" for name, value in options.items())
    (folder / "drift.toml").write_text("\n".join(lines))


def start(folder: Path, command: str = UVICORN, **environment: str) -> Server:
    """Start a server in a folder that is prepared, and wait until it answers."""
    port = free_port()
    words = [sys.executable, *command.format(port=port).split()]
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
    server = Server(process, port, folder)
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        with closing(socket.socket()) as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.02)
    raise AssertionError("the server did not come up: " + server.log())


@contextmanager
def serving(folder: Path, command: str = UVICORN, **options: Any) -> Iterator[Server]:
    """Run a server until the end of the block, and end it as it should be ended."""
    prepare(folder, **options)
    server = start(folder, command)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.terminate()


def free_port() -> int:
    with closing(socket.socket()) as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]
