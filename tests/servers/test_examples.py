"""Each example, started by its server's own command, does what it shows, and what it was asked
and answered is found in the SQLite file.
"""

import ast
import doctest
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

from examples.servers.iris import NAMES, classify, flowers

ROOT = Path(__file__).parents[2]
CHECK_EVERY = 50
SECONDS_TO_START = 60
QUIET = {  # nothing is sent to the makers of the servers
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}


# How flowers are said to a server.


def record(some):
    (one,) = some.to_dict("records")
    return {"json": one}


def records(some):
    return {"json": some.to_dict("records")}


def matrix(some):
    return {"json": some.to_numpy().tolist()}


def of(key, body):
    """Say it as `body` does, under a key."""
    return lambda some: {"json": {key: body(some)["json"]}}


def split(some):
    return {"json": {"dataframe_split": some.to_dict("split")}}


def csv(some):
    return {"content": some.to_csv(index=False), "headers": {"content-type": "text/csv"}}


def parquet(some):
    content_type = {"content-type": "application/vnd.apache.parquet"}
    return {"content": some.to_parquet(index=False), "headers": content_type}


def tensor(some):
    numbers = some.to_numpy().ravel().tolist()
    described = {"name": "flowers", "shape": list(some.shape), "datatype": "FP64"}
    return {"json": {"inputs": [described | {"data": numbers}]}}


def binary_tensor(some):
    numbers = some.to_numpy().tobytes()
    described = {"name": "flowers", "shape": list(some.shape), "datatype": "FP64"}
    described["parameters"] = {"binary_data_size": len(numbers)}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }
    return {"content": head + numbers, "headers": headers}


class Ask(NamedTuple):
    path: str
    say: Callable[..., dict[str, Any]]
    rows: int
    "flowers in a request"
    format: str
    "as `/_drift` should name it"


class Server(NamedTuple):
    packages: tuple[str, ...]
    asks: tuple[Ask, ...]
    extra: str = "servers"


SERVERS = {
    "fastapi_app": Server(("fastapi",), (Ask("/predict", record, 1, "record"),), "test"),
    "starlette_app": Server(
        ("starlette",),
        (Ask("/predict", matrix, 3, "matrix"), Ask("/predict", records, 2, "records")),
        "test",
    ),
    "litestar_app": Server(("litestar",), (Ask("/predict", record, 1, "record"),), "test"),
    "django_app": Server(
        ("django",),
        (
            Ask("/predict", of("instances", matrix), 3, "tfs_row"),
            Ask("/predict", of("instances", records), 1, "tfs_row"),
        ),
        "test",
    ),
    "flask_app": Server(
        ("flask", "a2wsgi"), (Ask("/predict", of("instances", matrix), 3, "tfs_row"),), "test"
    ),
    "mlflow_app": Server(
        ("mlflow",),
        (
            Ask("/invocations", split, 3, "mlflow"),
            Ask("/invocations", of("dataframe_records", records), 1, "mlflow"),
            Ask("/invocations", of("instances", records), 2, "tfs_row"),
            Ask("/invocations", csv, 2, "csv"),
            Ask("/invocations", parquet, 2, "parquet"),
        ),
    ),
    "bentoml_service": Server(
        ("bentoml",), (Ask("/predict", of("flowers", matrix), 3, "bentoml"),)
    ),
    "litserve_api": Server(("litserve",), (Ask("/predict", of("input", matrix), 3, "litserve"),)),
    "kserve_model": Server(
        ("kserve",),
        (
            Ask("/v1/models/iris:predict", of("instances", matrix), 3, "tfs_row"),
            Ask("/v2/models/iris/infer", tensor, 2, "oip_v2"),
            Ask("/v2/models/iris/infer", binary_tensor, 2, "oip_v2"),
        ),
        "servers-large",
    ),
    "ray_app": Server(("ray",), (Ask("/predict", matrix, 3, "matrix"),), "servers-large"),
}
# Where what is refused is an error that nothing catches: Starlette's answer to these is made
# outside of all middleware that is added to its app.
UNCAUGHT = {"starlette_app"}
NAMED = [
    pytest.param(name, marks=pytest.mark.servers if server.extra != "test" else ())
    for name, server in SERVERS.items()
]


# How they are started.


class Shown(NamedTuple):
    """What an example's docstring says: what prepares it, starts it, asks it; and the answer."""

    prepare: list[str]
    start: str
    ask: str
    answer: str


def shown_in(example):
    text = ast.get_docstring(ast.parse(example.read_text()))
    block = text[text.index("\n$ ") :]
    commands, http, answer = block.partition("HTTP/1.1")
    *prepare, start, ask = re.split(r"^\$ ", commands, flags=re.MULTILINE)[1:]
    return Shown(prepare, start, ask, http + answer + "\n")


def install(name, folder):
    """Copy the example and its model as a user does, but for a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for file in ("iris.py", f"{name}.py"):
        text = (ROOT / "examples" / "servers" / file).read_text()
        (folder / file).write_text(text.replace("8000", str(port)))
    return port


def start_of(shown, folder, port):
    """Give the command that starts the example, and the port where the example does not."""
    start = shlex.split(shown.start)
    if start[0] == "uvicorn":
        start += ["--port", str(port)]
    elif "--http_port" in start:  # KServe would also take a port for gRPC, always the same
        start += ["--enable_grpc", "false"]
    elif start[:2] == ["serve", "run"]:  # Ray Serve takes a port from a file alone
        applications = [{"import_path": start.pop()}]
        config = {"http_options": {"port": port}, "applications": applications}
        (folder / "serve.json").write_text(json.dumps(config))
        start.append("serve.json")
    return start


@contextmanager
def serving(shown, folder, port):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRIFT_")}
    environ |= QUIET | {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    environ["DRIFT_CHECK_EVERY"] = str(CHECK_EVERY)
    for command in shown.prepare:
        subprocess.run(
            shlex.split(command), cwd=folder, env=environ, capture_output=True, check=True
        )
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            start_of(shown, folder, port),
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://localhost:{port}", timeout=30) as client:
            wait_until_ready(server, client, log)
            yield client
        server.send_signal(signal.SIGINT)  # Ctrl-C
        server.wait(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_until_ready(server, client, log):
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and server.poll() is None:
        with suppress(httpx.TransportError):
            if client.get("/_drift").is_success:
                return
        time.sleep(0.1)
    pytest.fail(log.read_text("utf-8", "replace"))


# What they are asked, and what becomes of it.


def curl(client, command):
    """Do as curl does, which not every machine has, and return what it prints."""
    program, show, url, json_follows, body = shlex.split(command)
    assert (program, show, json_follows) == ("curl", "-i", "--json")
    content_type = {"content-type": "application/json"}
    answer = client.post(f"http://{url}", content=body, headers=content_type)
    headers = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
    return (
        f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}\n{headers}\n{answer.text.strip()}\n"
    )


class Sender:
    """Send flowers, in each of a server's ways in turn, and note what should be stored of them."""

    def __init__(self, client, asks):
        self.client = client
        self.asks = cycle(asks)
        self.random = np.random.default_rng(0)
        self.requests = 0
        self.stored = []

    def send(self, some=flowers):
        """Send some of these flowers; return how it was said, and the answer."""
        ask = next(self.asks)
        drawn = some.sample(ask.rows, replace=True, random_state=self.random)
        answer = self.client.post(ask.path, **ask.say(drawn))
        assert answer.is_success, answer.text
        self.note(drawn)
        return ask, answer

    def send_until_check(self, number, some=flowers):
        """Send as many requests as it takes; return the severity that the check found."""
        while self.requests < number * CHECK_EVERY:
            self.send(some)
        report = self.client.get("/_drift")
        assert report.json()["check"]["number"] == number
        assert report.json()["check"]["requests"] == CHECK_EVERY
        return report.headers["x-drift-severity"]

    def note(self, some):
        self.requests += 1
        self.stored += zip(*some.to_numpy().T.tolist(), classify(some), strict=True)


def rows_in(folder):
    with closing(sqlite3.connect(folder / "drift.db")) as connection:
        columns = ", ".join([*NAMES, "prediction"])
        return connection.execute(f"SELECT {columns} FROM rows ORDER BY id").fetchall()  # noqa: S608  # of this file


def formats_of(client):
    capture = client.get("/_drift").json()["capture"]
    assert capture["skipped"] == {}
    assert capture["unaligned"] == 0
    return {endpoint["format"] for endpoint in capture["endpoints"]}


@pytest.mark.parametrize("name", NAMED)
def test_an_example_does_what_it_shows(name, tmp_path):
    server = SERVERS[name]
    for package in server.packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install '.[{server.extra}]'")
    port = install(name, tmp_path)
    shown = shown_in(tmp_path / f"{name}.py")
    with serving(shown, tmp_path, port) as client:
        told = curl(client, shown.ask)
        assert doctest.OutputChecker().check_output(shown.answer, told, doctest.ELLIPSIS), told

        sender = Sender(client, server.asks)
        sender.note(flowers[:1])  # the one that is shown
        for _ in server.asks:
            ask, answer = sender.send()
            assert ask.format in formats_of(client)
            assert answer.headers["x-drift-severity"] == "unknown"
        assert rows_in(tmp_path) == sender.stored

        assert sender.send_until_check(1) == "none"
        assert sender.send_until_check(3, flowers[100:]) == "high"  # the virginica alone
        _, answer = sender.send()
        assert answer.headers["x-drift-severity"] == "high"

        unknown = httpx.get(client.base_url.join("/nothing"))
        refused = httpx.post(client.base_url.join(ask.path), json={"nothing": 1})
        assert unknown.is_client_error
        assert refused.is_error
        assert unknown.headers["x-drift-severity"] == "high"
        assert ("x-drift-severity" in refused.headers) == (name not in UNCAUGHT)
        sender.send()
    assert rows_in(tmp_path) == sender.stored  # the last of which was queued at Ctrl-C


def test_each_example_is_tested():
    files = (ROOT / "examples" / "servers").glob("*.py")
    assert {file.stem for file in files} == SERVERS.keys() | {"iris"}
