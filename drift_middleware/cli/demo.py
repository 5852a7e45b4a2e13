"""`drift-middleware demo`: a model server whose traffic drifts, to look at before one has any."""

from __future__ import annotations

import importlib.util
import json
import logging
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drift_middleware.cli.tail import HEADER, line_of

if TYPE_CHECKING:
    import uvicorn

CHECK_EVERY = 100
QUIET_CHECKS = 8
"before the traffic drifts"
PER_SECOND = 100
"requests: a check a second, which one can follow"
START_SECONDS = 30
HOST = "127.0.0.1"
FOREVER = float("inf")
INTRODUCTION = """\
A model says how many minutes a delivery takes. DriftMiddleware compares what it is asked, and what
it answers, with 2,000 deliveries that it knows. The page is at

    {page}

After {quiet} checks of {every} requests, one a second, parcels become heavier, and half of them go
to a town that is new. Ctrl-C ends it.
"""


@click.command(no_args_is_help=False)
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Of the server; if not given, a free one."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="End after so many; if not given, at Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each check as a line of JSON.")
def demo(*, port: int | None, seconds: float | None, as_json: bool) -> None:
    """Serve a small model, send it traffic that drifts after a while, and print each check.

    Needs no app and no data, but uvicorn: pip install uvicorn.  The server listens on this machine
    alone; its database is in a temporary folder, and ends with it.
    """
    if importlib.util.find_spec("uvicorn") is None:
        raise click.UsageError("The demo is served by uvicorn: pip install uvicorn.")
    end = time.monotonic() + (seconds or FOREVER)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="drift-demo-") as folder,
            closing(_bound(port)) as bound,
            _only_errors_logged(),
            _serving(bound, Path(folder) / "drift.db") as client,
        ):
            if not as_json:
                page = f"http://{HOST}:{client.port}/_drift"
                told = INTRODUCTION.format(page=page, quiet=QUIET_CHECKS, every=CHECK_EVERY)
                click.echo(f"{told}\n{HEADER}")
            with _interrupted() as stopped:
                _send(client, end, stopped, as_json=as_json)
    except KeyboardInterrupt:  # how it is to end
        return


def _bound(port: int | None) -> socket.socket:
    # By its protocol: else asyncio leaves Nagle's algorithm on, and an answer takes 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port or 0))
        bound.listen()
    except OSError as error:
        bound.close()
        msg = f"--port {port}: {error.strerror}. Give another, or none for a free one."
        raise click.UsageError(msg) from error
    return bound


@contextmanager
def _serving(bound: socket.socket, buffer: Path) -> Iterator[HTTPConnection]:
    """Run the server in a thread; give a connection to it."""
    import msgspec
    import uvicorn

    from drift_middleware.cli import deliveries
    from drift_middleware.config import Config
    from drift_middleware.middleware import DriftMiddleware

    # All options: those of the user's own servers are not meant.
    options = msgspec.structs.asdict(Config()) | {
        "baseline": deliveries.baseline(),
        "buffer": str(buffer),
        "check_every": CHECK_EVERY,
    }
    app: Any = DriftMiddleware(deliveries.app, **options)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        _wait(server, thread)
        with closing(HTTPConnection(HOST, bound.getsockname()[1], timeout=30)) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def _only_errors_logged() -> Iterator[None]:
    """Keep from the terminal what each line says of its check already."""
    from drift_middleware.logger import LOGGER

    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    latest = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > latest:
            raise click.ClickException("The server did not start; what it said is above.")
        time.sleep(0.02)


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Note Ctrl-C in place of raising: an exception that comes in a finalizer is lost."""
    stopped = threading.Event()
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # somebody else's
        yield stopped
        return
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _send(client: HTTPConnection, end: float, stopped: threading.Event, *, as_json: bool) -> None:
    """Send deliveries, and print each check that they make."""
    import msgspec

    from drift_middleware.cli.deliveries import Deliveries
    from drift_middleware.schemas import Check

    drawn, began = Deliveries(seed=1), time.monotonic()
    for sent in count(1):
        has_drifted = sent > QUIET_CHECKS * CHECK_EVERY
        _ask(client, "POST", "/predict", json.dumps(drawn.draw(has_drifted=has_drifted)))
        if sent % CHECK_EVERY == 0:
            answer = json.loads(_ask(client, "GET", "/_drift/history?limit=1"))
            check = msgspec.convert(answer["checks"][0], Check)
            click.echo(line_of(check, as_json=as_json))
        if time.monotonic() >= end:
            return
        if stopped.wait(max(began + sent / PER_SECOND - time.monotonic(), 0)):
            return


def _ask(client: HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
    client.request(method, path, body, {"content-type": "application/json"} if body else {})
    return client.getresponse().read()
