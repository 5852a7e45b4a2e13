"""Requests per second and latency of a FastAPI app under uvicorn, bare and in each middleware.

    pip install '.[flights]' opentelemetry-instrumentation-asgi opentelemetry-sdk \\
        prometheus-fastapi-instrumentator driftwatch
    python tests/benchmarks/serving.py

Needs wrk, and two cores: one is the servers', with all of their threads, the other the load's.
There are three apps: one that answers at once, which is the worst case; the one of
`examples/flights`, whose logistic regression takes .9 ms; and one with a forest of 100 trees.
Traffic is like the baseline, as it is nearly always.

Each is served bare and in each middleware, by a process of its own.  They are asked in turn, the
bare one between any two others, and compared with what it did before and after.  What is shown are
medians, and the quartiles of the ratios.  wrk counts a stall by how many requests would have come
in it.  A middleware that is not installed is left out.

The machine is shared, and what it gives changes within seconds: rates in turn differ by a tenth.
So each is asked together with the bare one, too, both on the one core.  Whatever slows one down
then slows down the other, and the processor time that each takes for a request is compared: on a
core of its own a server answers as many requests as it has of that.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT / "examples" / "flights" / "data" / "live_ok.csv"
BODIES = 2000
AT_ONCE = """
import os
import random
from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.post("/predict")
async def predict(record: dict[str, Any]) -> dict[str, float]:
    return {"prediction": sum(record.values()) / 100}


def baseline():
    chance = random.Random(0)
    columns = {f"feature_{i:02}": [chance.gauss(i / 7, 1) for _ in range(2000)] for i in range(25)}
    return columns | {"prediction": [sum(row) / 100 for row in zip(*columns.values())]}
"""
MODEL = """
import os

from examples.flights.app import app, baseline

app.user_middleware.clear()  # it has ours already
"""
FOREST = """
import os

import numpy
from fastapi import FastAPI
from pydantic import create_model
from sklearn.ensemble import RandomForestRegressor

NAMES = [f"feature_{i:02}" for i in range(25)]
Record = create_model("Record", **dict.fromkeys(NAMES, (float, ...)))
chance = numpy.random.default_rng(0)


def draw(rows):
    return chance.normal(numpy.arange(25) / 7, size=(rows, 25))


features = draw(2000)
model = RandomForestRegressor(random_state=0).fit(features, features[:, :3].sum(axis=1))
app = FastAPI()


@app.post("/predict")
def predict(record: Record) -> dict[str, float]:
    row = [[getattr(record, name) for name in NAMES]]
    return {"prediction": float(model.predict(row)[0])}


def baseline():
    features = draw(2000)
    columns = dict(zip(NAMES, features.T.tolist(), strict=True))
    return columns | {"prediction": model.predict(features).tolist()}
"""
APPS = {
    "an app that answers at once": AT_ONCE,
    "logistic regression, of the flights": MODEL,
    "a forest of 100 trees": FOREST,
}
WRAPPERS = """

def nothing():
    class Nothing:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    app.add_middleware(Nothing)


def ours(**options):
    from drift_middleware import DriftMiddleware

    buffer = os.environ["BUFFER"]
    app.add_middleware(DriftMiddleware, baseline=baseline(), buffer=buffer, **options)


def sampled():
    ours(max_per_second=200)


def base():
    from starlette.middleware.base import BaseHTTPMiddleware

    class NothingBase(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return await call_next(request)

    app.add_middleware(NothingBase)


def opentelemetry():
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    app.add_middleware(OpenTelemetryMiddleware)


def prometheus():
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app)


def driftwatch():
    import pandas
    from driftwatch import Monitor
    from driftwatch.integrations.fastapi import DriftMiddleware

    rows = pandas.DataFrame(baseline())
    features = rows.drop(columns=["prediction", "probability"], errors="ignore")
    monitor = Monitor(reference_data=features)
    app.add_middleware(DriftMiddleware, monitor=monitor, check_interval=500)


wrap = globals().get(os.environ["VARIANT"])
if wrap is not None:
    wrap()
"""
NAMES = {
    "bare": "no middleware",
    "nothing": "does nothing",
    "ours": "drift_middleware",
    "sampled": "the same, max_per_second=200",
    "base": "BaseHTTPMiddleware that does nothing",
    "opentelemetry": "OpenTelemetry's ASGI middleware",
    "prometheus": "prometheus-fastapi-instrumentator",
    "driftwatch": "driftwatch's DriftMiddleware",
}
NEEDS = {
    "opentelemetry": "opentelemetry.instrumentation.asgi",
    "prometheus": "prometheus_fastapi_instrumentator",
    "driftwatch": "driftwatch",
}
LOAD = """
local requests, i = {}, 0

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for body in io.lines("bodies.txt") do
    requests[#requests + 1] = wrk.format(nil, nil, nil, body)
  end
end

function request()
  i = i % #requests + 1
  return requests[i]
end
"""
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def records() -> list[list[dict[str, Any]]]:
    """Return what each app is asked: flights the second one, the others random numbers."""
    chance = random.Random(1)
    numbers = [
        {f"feature_{i:02}": chance.gauss(i / 7, 1) for i in range(25)} for _ in range(BODIES)
    ]
    with FLIGHTS.open(newline="") as file:
        flights = [*islice(csv.DictReader(file), BODIES)]
    kept = ("carrier", "origin", "dep_hour", "weekday", "distance", "temp", "humid")
    kept += ("wind_speed", "precip", "pressure", "visib")
    texts = ("carrier", "origin")
    rows = [
        {name: row[name] if name in texts else json.loads(row[name] or "null") for name in kept}
        for row in flights
    ]
    return [numbers, rows, numbers]


def is_installed(variant: str) -> bool:
    try:
        return variant not in NEEDS or find_spec(NEEDS[variant]) is not None
    except ModuleNotFoundError:
        return False


class Server(NamedTuple):
    port: int
    process: int

    def cpu_seconds(self) -> float:
        """Return the processor time that all of its threads took so far."""
        # Its clock, as clock_getcpuclockid(3) names it: what /proc says is in hundredths.
        return time.clock_gettime(~self.process << 3 | 2)


@contextmanager
def serving(variant: str, folder: Path):
    """Serve one app on the first core."""
    with closing(socket.socket()) as some:
        some.bind(("127.0.0.1", 0))
        port = some.getsockname()[1]
    buffer = folder / f"{variant}-{port}.db"
    environment = {**os.environ, "VARIANT": variant, "BUFFER": str(buffer)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = ["uvicorn", "served:app", "--port", str(port), "--no-access-log"]
    command += ["--log-level", "critical"]
    server = subprocess.Popen(
        [shutil.which("taskset"), "-c", "0", sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
    )
    try:
        for _ in range(300):
            try:
                ask(port, folder)
                break
            except OSError:
                time.sleep(0.1)
        yield Server(port, server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def ask(port: int, folder: Path) -> None:
    with (folder / "bodies.txt").open() as file:
        body = file.readline().encode()
    request = Request(
        f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=5) as answer:  # noqa: S310  # of this machine
        answer.read()


class Load(NamedTuple):
    rate: float
    "requests a second"
    cpu: float
    "microseconds a request"
    p50: float
    "milliseconds"
    p99: float


def load(server: Server, folder: Path, seconds: int) -> Load:
    """Ask an app as fast as it answers."""
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c8", f"-d{seconds}s", "--latency"]
    before = server.cpu_seconds()
    done = subprocess.run(
        [*command, "-s", "load.lua", f"http://127.0.0.1:{server.port}/predict"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    cpu = server.cpu_seconds() - before
    if "Non-2xx" in done.stdout:
        raise RuntimeError(done.stdout)
    (requests,) = re.findall(r"(\d+) requests in", done.stdout)
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)
    shares = dict(re.findall(r"(50|99)%\s+([\d.]+[mu]?s)", done.stdout))
    p50, p99 = (
        float(re.match(r"[\d.]+", shares[share])[0]) * UNITS[re.sub(r"[\d.]+", "", shares[share])]
        for share in ("50", "99")
    )
    return Load(float(rate), 1e6 * cpu / int(requests), p50, p99)


class Beside(NamedTuple):
    """How a variant compares with the bare app."""

    in_turn: float
    "share of its rate, asked before it and after it"
    together: float
    "share of the requests that it answers in the same processor time, both asked at once"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2, help="for which servers are started")
    parser.add_argument("--rounds", type=int, default=2, help="in each run")
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    if shutil.which("wrk") is None or shutil.which("taskset") is None:
        print("wrk or taskset is not installed: nothing was measured")
        return 0
    variants = [name for name in NAMES if is_installed(name)]
    print(f"8 connections, medians of {options.runs} runs of {options.rounds} rounds")
    for (title, app), asked in zip(APPS.items(), records(), strict=True):
        if app is MODEL:
            variants.remove("sampled")  # of all that so few ask
        found: dict[str, list[Load]] = {name: [] for name in variants}
        compared: dict[str, list[Beside]] = {name: [] for name in variants[1:]}
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                (folder / "served.py").write_text(app + WRAPPERS)
                (folder / "load.lua").write_text(LOAD)
                (folder / "bodies.txt").write_text("".join(f"{json.dumps(row)}\n" for row in asked))
                measure(folder, options.rounds, options.seconds, found, compared)
        show(title, found, compared)
    return 0


def measure(folder: Path, rounds: int, seconds: int, found: dict, compared: dict) -> None:
    """Add what `load` says of each variant, and how that compares with the bare app around it."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(name, folder)) for name in found}
        both = stack.enter_context(ThreadPoolExecutor(2))

        def ask(variant: str) -> Load:
            load(servers[variant], folder, 1)  # what it left undone is done in what is measured
            found[variant].append(load(servers[variant], folder, seconds))
            return found[variant][-1]

        def ask_together(variant: str) -> float:
            asked = [servers["bare"], servers[variant]]
            bare, one = both.map(lambda server: load(server, folder, seconds), asked)
            return bare.cpu / one.cpu

        for _ in range(rounds):
            before = ask("bare")
            for variant, found_beside in compared.items():
                one, together, after = ask(variant), ask_together(variant), ask("bare")
                in_turn = 2 * one.rate / (before.rate + after.rate)
                found_beside.append(Beside(in_turn, together))
                before = after


def show(title: str, found: dict[str, list[Load]], compared: dict[str, list[Beside]]) -> None:
    heads = f"{'requests/s':>11}{'p50 ms':>8}{'p99 ms':>8}{'in turn':>10}{'quartiles':>12}"
    print(f"\n{title:37}{heads}{'together':>10}{'quartiles':>12}")
    for variant, loads in found.items():
        rate, _, p50, p99 = (statistics.median(column) for column in zip(*loads, strict=True))
        shares = zip(*compared.get(variant, ()), strict=True)
        shown = "".join(f"{_share(column):>22}" for column in shares)
        print(f"{NAMES[variant]:37}{rate:11,.0f}{p50:8.2f}{p99:8.2f}{shown}".rstrip())


def _share(shares: tuple[float, ...]) -> str:
    """Show a share of the bare app's rate: median and quartiles."""
    low, middle, high = (100 * quartile for quartile in statistics.quantiles(shares, n=4))
    quartiles = f"{low:.0f} to {high:.0f}"
    return f"{middle:.1f}%{quartiles:>12}"


if __name__ == "__main__":
    sys.exit(main())
