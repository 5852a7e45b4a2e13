"""Replay flights against the model server, and watch what it says of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx
import pandas as pd
from tabulate import tabulate
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMMAND = "python -m examples.flights"
LOOK_EVERY = 200  # flights: as often as the app checks
SECONDS_TO_START = 60
UNKNOWN = ["time_hour", "score", "late"]  # before departure, that is; no request has these columns
COLOURS = {"low": "yellow", "medium": "bright_yellow", "high": "bright_red"}
WIDTH = min(shutil.get_terminal_size((100, 24)).columns, 120)
LINE = "{:>6}{:>8}  {}  {}"

INTRODUCTION = (
    "Will a flight out of New York be late? A model that was fitted to flights of January and "
    "February answers. DriftMiddleware compares what it is asked, and what it answers, with 2,000 "
    "other flights of those months."
)
FAMILIAR = (
    "First, more flights of January and February, new to the model and to the baseline. Nothing "
    "has changed, so nothing should be said:"
)
OCTOBER = "Now October. The same carriers from the same airports, but it is warmer:"


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Of the server. Default: a free one.")
@click.option(
    "--buffer",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file to record into, a new one. Default: in a new temporary folder.",
)
@click.option("--serve", is_flag=True, help="Keep the server up after the replay.")
def replay(port: int | None, buffer: Path | None, *, serve: bool) -> None:
    """Replay 4,000 flights, one request each, against a model server that is watched for drift."""
    if buffer is None:
        buffer = Path(tempfile.mkdtemp(prefix="flights-")) / "drift.db"
    elif buffer.exists():
        msg = f"{buffer} exists, and a replay begins with an empty buffer."
        raise click.UsageError(msg)
    buffer.parent.mkdir(parents=True, exist_ok=True)
    log = buffer.with_suffix(".log")
    say(INTRODUCTION)
    with serving(free_port(port), buffer, log) as (server, client):
        familiar = send(client, "live_ok.csv", FAMILIAR)
        october = send(client, "live_sample.csv", OCTOBER)
        show_report(client)
        show_labels({"January, February": familiar, "October": october})
        show_where_to_look(buffer, log, client, stays=serve)
        if serve:
            wait(server, log)


# The server: a process of its own.


@contextmanager
def serving(
    port: int, buffer: Path, log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Run the app under uvicorn.  If it fails, what it logged is shown."""
    command = [sys.executable, "-m", "uvicorn", "examples.flights.app:app", "--app-dir", str(ROOT)]
    command += ["--port", str(port), "--log-config", str(HERE / "logging.json")]
    command += ["--lifespan", "on"]  # without it, an app that cannot start is served all the same
    environ = {**os.environ, "DRIFT_BUFFER": str(buffer)}
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=environ)  # noqa: S603  # no stranger's word is in it
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until_ready(server, client, log)
            yield server, client
    except httpx.HTTPError as error:
        raise failure(str(error).partition("\n")[0], log) from error
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_until_ready(server: subprocess.Popen[bytes], client: httpx.Client, log: Path) -> None:
    began = time.monotonic()
    say("Training the model, starting its server ...")
    while True:
        try:
            client.get("/_drift").raise_for_status()
        except httpx.ConnectError:
            if server.poll() is not None:
                raise ended(server.returncode, log) from None
            if time.monotonic() - began > SECONDS_TO_START:
                raise
            time.sleep(0.1)
        else:
            click.echo(f"Ready after {time.monotonic() - began:.1f} s: {client.base_url}")
            return


def wait(server: subprocess.Popen[bytes], log: Path) -> None:
    try:
        code = server.wait()
    except KeyboardInterrupt:
        return
    raise ended(code, log)


def ended(code: int, log: Path) -> click.ClickException:
    return failure(f"it ended with code {code}.", log)


def failure(what: str, log: Path) -> click.ClickException:
    said = "\n".join(f"  {line}" for line in last_lines(log))
    return click.ClickException(f"The server failed: {what}\nThe end of {log}:\n{said}")


def last_lines(log: Path, most: int = 10) -> list[str]:
    """Give the end of a JSON log as people read it."""
    lines = []
    for line in log.read_text("utf-8", "replace").splitlines()[-most:]:
        try:
            record = json.loads(line)
        except ValueError:
            lines.append(line)
        else:
            lines.append(f"{record['level']}: {record['message'].strip()}")
            lines += record.get("exc_info", "").splitlines()[-1:]
    return lines


def free_port(wanted: int | None) -> int:
    """Give the wanted port if nobody listens there, or any such."""
    try:
        with socket.create_server(("127.0.0.1", wanted or 0)) as found:
            return int(found.getsockname()[1])
    except OSError as error:
        msg = f"Port {wanted}: {error.strerror}."
        raise click.ClickException(msg) from error


# The replay.


def send(client: httpx.Client, name: str, text: str) -> tuple[float, float]:
    """Send a file's flights; return the share that should be late by the model, and that was."""
    flights = pd.read_csv(HERE / "data" / name)
    say(text)
    click.echo(LINE.format("check", "sent", "X-Drift-Severity", "signals that moved"))
    probabilities: list[float] = []
    with (
        ThreadPoolExecutor(4) as pool,
        # Where there is no terminal, there is no bar.
        tqdm(total=len(flights), unit=" flights", disable=None, leave=False, ncols=WIDTH) as bar,
    ):
        for probability in pool.map(partial(ask, client), requests(flights)):
            probabilities.append(probability)
            bar.update()
            if len(probabilities) % LOOK_EVERY == 0:
                with tqdm.external_write_mode():
                    show_check(client)
    return sum(probabilities) / len(flights), float(flights["late"].mean())


def ask(client: httpx.Client, flight: dict[Any, Any]) -> float:
    answer = client.post("/predict", json=flight).raise_for_status()
    return float(answer.json()["probability"])


def requests(flights: pd.DataFrame) -> list[dict[Any, Any]]:
    """Turn rows into requests.  JSON has no NaN: gaps are null."""
    known = flights.drop(columns=UNKNOWN).astype(object)
    return known.where(known.notna(), None).to_dict("records")


def show_check(client: httpx.Client) -> None:
    answer = client.get("/_drift/history", params={"limit": 1}).raise_for_status()
    check = answer.json()["checks"][0]
    sent = f"{check['number'] * LOOK_EVERY:,}"
    severity = coloured(answer.headers["x-drift-severity"], len("X-Drift-Severity"))
    moved = ", ".join(f"{name} {coloured(level)}" for name, level in check["moved"].items())
    click.echo(LINE.format(check["number"], sent, severity, moved).rstrip())


# What came of it.


def show_report(client: httpx.Client) -> None:
    signals = client.get("/_drift").raise_for_status().json()["signals"]
    moved = [signal for signal in signals if signal["severity"] != "none"]
    say(f"{len(moved)} of {len(signals)} signals moved. GET /_drift says how far, and why:")
    rows = [
        {
            "signal": signal["name"],
            "severity": coloured(signal["severity"]),
            "moved": f"{signal['moved']:.0%}",
            "at least": f"{signal['at_least']:.0%}",
            "why": signal["why"],
        }
        for signal in moved
    ]
    others = 46  # columns of the terminal, that the other columns take
    click.echo(tabulate(rows, headers="keys", maxcolwidths=[None] * 4 + [WIDTH - others]))


def show_labels(shares: dict[str, tuple[float, float]]) -> None:
    say(
        "Whether a flight was late is known when it has landed; DriftMiddleware needs no such "
        "labels. Here they bear it out: in October the model expects too few."
    )
    rows = [
        (months, f"{expected:.1%}", f"{late:.1%}") for months, (expected, late) in shares.items()
    ]
    click.echo(tabulate(rows, headers=["flights of", "expected late", "were late"]))


def show_where_to_look(buffer: Path, log: Path, client: httpx.Client, *, stays: bool) -> None:
    say("Where to look next:")
    columns = "-c number -c at -c severity -c moved"
    report = (
        f"{client.base_url}/_drift, until Ctrl-C"
        if stays
        else f"{tool('python')} -m examples.flights --serve"
    )
    places = [
        ("the app", "examples/flights/app.py, and its one line add_middleware(...)"),
        ("its log", f"grep 'severity changed' {log}"),
        ("its buffer", f"{tool('sqlite-utils')} rows {buffer} checks {columns} -t"),
        ("its report", report),
    ]
    click.echo(tabulate(places, tablefmt="plain"))


def tool(name: str) -> str:
    """Return how to call a command of this environment from here."""
    return os.path.relpath(Path(sys.executable).with_name(name))


def say(text: str) -> None:
    click.echo("\n" + textwrap.fill(text, WIDTH))


def coloured(severity: str, width: int = 0) -> str:
    text = f"{severity:<{width}}"
    return click.style(text, fg=COLOURS[severity]) if severity in COLOURS else text


if __name__ == "__main__":
    replay(prog_name=COMMAND)
