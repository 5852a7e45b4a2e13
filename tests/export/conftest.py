import json
import queue
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor

RNG = np.random.default_rng(0)
BASELINE = Baseline.fit(
    {"amount": RNG.normal(size=400), "city": ["Oslo", "Rome"] * 200, "score": RNG.random(400)}
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Receiver:
    """A real HTTP server that notes what it gets, answers as it is told, and can hang."""

    def __init__(self):
        self.received = queue.Queue()
        self.answers = deque()
        self.hanging = threading.Event()
        self.go_on = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.put(SimpleNamespace(headers=self.headers, body=body))
                if receiver.hanging.is_set():
                    receiver.go_on.wait(60)
                self.send_response(receiver.answers.popleft() if receiver.answers else 200)
                self.send_header("content-length", "0")
                self.send_header("location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815  # what a redirected POST would become

            def log_message(self, *_): ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # who is killed hangs up
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/T0PS3CRET?key=K3Y"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        return json.loads(self.received.get(timeout=60).body)

    def rest(self):
        return [self.next() for _ in range(self.received.qsize())]

    def close(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def clock():
    """A clock that stands still until a test moves it."""
    return SimpleNamespace(now=1_800_000_000.0)


@pytest.fixture
def watching(tmp_path, clock):
    """Make monitors of one buffer, and close them in the end."""
    made = []

    def make(**options):
        given = {"baseline": BASELINE, "buffer": tmp_path / "drift.db", "check_every": 50}
        made.append(Monitor(clock=lambda: clock.now, **given | options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _record(one, checks, shift=0.0, city=None):
    rng = np.random.default_rng(1)
    for number in range(50 * checks):
        place = city or ("Oslo", "Rome")[number % 2]
        one.record(
            {"amount": float(rng.normal(shift)), "city": place}, {"score": float(rng.random())}
        )
    assert one.drain(60)


@pytest.fixture
def record():
    return _record
