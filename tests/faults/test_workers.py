"""Several processes serve one app: together they make one check every `check_every` requests."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.faults.working import work

ROOT = Path(__file__).parents[2]
WORKERS, EVERY = 2, 100
APP = """
import os
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from drift_middleware import DriftMiddleware


async def score(request):
    record = await request.json()
    return JSONResponse({"score": record["age"] / 100}, headers={"x-worker": str(os.getpid())})


app = Starlette(routes=[Route("/predict", score, methods=["POST"])])
ages = [20.0 + i % 50 for i in range(500)]
app = DriftMiddleware(
    app,
    baseline={"age": ages, "score": [age / 100 for age in ages]},
    buffer="drift.db",
    check_every=EVERY,
)
"""

# Each as its documentation has it.  `--preload` forks after the app was built.
SERVERS = {
    "uvicorn": "uvicorn app:app --port {port} --workers 2",
    "gunicorn": "gunicorn app:app -b 127.0.0.1:{port} -w 2 -k uvicorn_worker.UvicornWorker",
    "gunicorn, preloaded": (
        "gunicorn app:app -b 127.0.0.1:{port} -w 2 -k uvicorn_worker.UvicornWorker --preload"
    ),
    "hypercorn": "hypercorn app:app -b 127.0.0.1:{port} -w 2",
    "granian": "granian app:app --interface asgi --port {port} --workers 2",
    "uvicorn, reloading": "uvicorn app:app --port {port} --reload",
}


def free_port():
    with closing(socket.socket()) as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


@contextmanager
def serving(command, folder):
    """Run a server by its own command, until all of its workers answer."""
    (folder / "app.py").write_text(APP.replace("EVERY", str(EVERY)))
    port = free_port()
    words = command.format(port=port).split()
    words = [sys.executable, "-m", *words]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            words, cwd=folder, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            await_port(port, server)
            yield port
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def await_port(port, server):
    ends = time.monotonic() + 60
    while time.monotonic() < ends and server.poll() is None:
        try:
            return ask(port, [25], path="/nothing")
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not come up")


def ask(port, ages, path="/predict"):
    """Send records over one connection; return who answered, and the check that each names."""
    heard = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for age in ages:
            body = json.dumps({"age": age})
            connection.request("POST", path, body, {"content-type": "application/json"})
            with connection.getresponse() as answer:
                answer.read()
                heard.append((answer.headers.get("x-worker"), answer.headers.get("x-drift-check")))
    return heard


def query(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


@pytest.mark.parametrize("name", SERVERS)
def test_workers_make_one_check_for_each_check_every_of_all_their_requests(name, tmp_path):
    ages = [20 + i % 50 for i in range(10 * EVERY)]
    with serving(SERVERS[name], tmp_path) as port:
        with ThreadPoolExecutor(8) as pool:
            parts = pool.map(lambda i: ask(port, ages[i::8]), range(8))
            heard = [one for part in parts for one in part]
        workers = {worker for worker, _ in heard}
        # Whoever answers knows of the others' checks within a second.
        ends = time.monotonic() + 20
        told = set()
        while told != {"10"} and time.monotonic() < ends:
            time.sleep(0.2)
            told = {check for i in range(4) for _, check in ask(port, [30 + i])}
    path = tmp_path / "drift.db"
    assert None not in workers
    assert told == {"10"}, (tmp_path / "server.log").read_text()
    checks = query(path, "SELECT requests, rows FROM checks")
    assert len(checks) == 10
    assert {requests for requests, _ in checks} == {EVERY}
    counted = dict(query(path, "SELECT name, value FROM counters"))
    assert counted["requests"] == counted["rows"] == query(path, "SELECT count(*) FROM rows")[0][0]
    assert counted["requests"] >= len(ages)
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_of_forty_thousand_requests_workers_make_exactly_eighty_checks(workers, tmp_path):
    done = work(tmp_path / "app", workers)
    assert (done.checks, done.counted) == (80, 40_000)


OPENER = """
import sys, time
from drift_middleware import Monitor
while time.time() < float(sys.argv[2]):
    pass
with Monitor(baseline={"x": [1.0, 2.0, 3.0] * 20}, buffer=sys.argv[1], check_every=10) as one:
    for i in range(10):
        one.record({"x": i % 3 + 1})
"""


def test_sixteen_processes_may_open_a_new_database_at_once(tmp_path):
    path, moment = tmp_path / "drift.db", time.time() + 4
    command = [sys.executable, "-c", OPENER, str(path), str(moment)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(16)
    ]
    said = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 16, said
    assert query(path, "SELECT count(*) FROM rows") == [(160,)]
    assert query(path, "SELECT count(*), sum(requests) FROM checks") == [(16, 160)]
