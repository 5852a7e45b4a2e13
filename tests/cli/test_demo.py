"""`demo`: a real server with real traffic, until it is told to end."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

from tests.cli.conftest import refused

# The same program with less patience.
FAST = """
import sys
from importlib import import_module

demo = import_module("drift_middleware.cli.demo")
demo.PER_SECOND, demo.QUIET_CHECKS = 10_000, 4
from drift_middleware.cli import main

main(sys.argv[1:], prog_name="drift-middleware")
"""


@contextmanager
def started(folder, *arguments):
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", FAST, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=folder,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_it_serves_and_drifts_until_it_is_told_to_stop(tmp_path):
    # The options of the user's own servers are not meant.
    (tmp_path / "drift.toml").write_text("token = 'secret'\nroute = '/elsewhere'\n")
    with started(tmp_path) as process:
        lines, page = [], None
        for line in process.stdout:
            page = line.strip() if "http://" in line else page
            lines += [line.split()] if line.split()[:1] and line.split()[0].isdigit() else []
            if lines and lines[-1][4] == "high":
                break
        assert [line[4] for line in lines[:4]] == ["none"] * 4
        assert "town" in lines[-1]
        with urllib.request.urlopen(page, timeout=30) as answer:  # noqa: S310  # a page of ours
            assert json.load(answer)["status"] == "watching"
        assert [file.name for file in tmp_path.iterdir() if file.name.startswith("drift-demo")]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")
    assert [file.name for file in tmp_path.iterdir()] == ["drift.toml"]


def test_it_ends_by_itself(tmp_path):
    with started(tmp_path, "--seconds", "0.1", "--json") as process:
        told, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert all(json.loads(line)["rows"] == 100 for line in told.splitlines())
    assert not [*tmp_path.iterdir()]


def test_a_port_that_is_taken_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused("demo", "--port", port)
    assert f"--port {port}: Address already in use. Give another, or none" in message


def test_without_uvicorn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "The demo is served by uvicorn: pip install uvicorn." in refused("demo")


@pytest.mark.parametrize("seconds", ["0", "soon"])
def test_seconds_are_a_time(seconds):
    assert "--seconds" in refused("demo", "--seconds", seconds)


def test_the_model_says_what_the_baseline_has():
    from drift_middleware.cli import deliveries

    table = deliveries.baseline()
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    assert all(deliveries.predict(row) == row["predicted_minutes"] for row in rows)
