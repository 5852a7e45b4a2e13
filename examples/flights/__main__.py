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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import pandas as pd
from tabulate import tabulate
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
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
OCTOBER = "Now October. The same carriers, airports and routes, but it is warmer:"


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
        raise click.UsageError(f"{buffer} exists; a replay needs a new buffer.")
    log = buffer.with_suffix(".log")
    say(INTRODUCTION)
    with serving(port or free_port(), buffer, log) as (server, client):
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
    click.echo("\nTraining the model and starting its server ... ", nl=False)
    while True:
        try:
            client.get("/_drift").raise_for_status()
        except httpx.ConnectError:
            if server.poll() is not None:
                raise failure(f"it ended with code {server.returncode}", log) from None
            if time.monotonic() - began > SECONDS_TO_START:
                raise
            time.sleep(0.1)
        else:
            click.echo(f"{time.monotonic() - began:.1f} s")
            return


def wait(server: subprocess.Popen[bytes], log: Path) -> None:
    try:
        code = server.wait()
    except KeyboardInterrupt:
        return
    raise failure(f"it ended with code {code}", log)


def failure(what: str, log: Path) -> click.ClickException:
    said = "\n".join(f"  {line}" for line in last_lines(log))
    return click.ClickException(f"The server failed: {what}. The end of {log}:\n{said}")


def last_lines(log: Path, most: int = 10) -> list[str]:
    """Give the end of a JSON log as people read it."""
    lines = []
    for line in log.read_text("utf-8", "replace").splitlines()[-most:]:
        try:
            record = json.loads(line)
        except ValueError:
            lines.append(line)
        else:
            lines.append(f"{record['level']}: {record['message']}")
            lines += record.get("exc_info", "").splitlines()[-1:]
    return lines


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


# The replay.


def send(client: httpx.Client, name: str, text: str) -> tuple[float, float]:
    """Send a file's flights; return the share that should be late by the model, and that was."""
    flights = pd.read_csv(HERE / "data" / name)
    say(text)
    click.echo(LINE.format("check", "sent", "X-Drift-Severity", "signals that moved"))
    probabilities: list[float] = []
    # Where there is no terminal, there is no bar.
    with tqdm(total=len(flights), unit=" flights", disable=None, leave=False, ncols=WIDTH) as bar:
        for flight in requests(flights):
            answer = client.post("/predict", json=flight).raise_for_status()
            probabilities.append(answer.json()["probability"])
            bar.update()
            if len(probabilities) % LOOK_EVERY == 0:
                with tqdm.external_write_mode():
                    show_check(client)
    return sum(probabilities) / len(flights), float(flights["late"].mean())


def requests(flights: pd.DataFrame) -> list[dict[str, Any]]:
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
    say(f"GET /_drift says of the {len(moved)} signals that moved, out of {len(signals)}:")
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
    say("What became of the flights, which nobody knew yet: in October the model is too hopeful.")
    rows = [
        (month, f"{expected:.0%}", f"{late:.0%}") for month, (expected, late) in shares.items()
    ]
    headers = ["flights of", "late, says the model", "were late"]
    click.echo(tabulate(rows, headers=headers))


def show_where_to_look(buffer: Path, log: Path, client: httpx.Client, *, stays: bool) -> None:
    say("Where to look next:")
    places = [
        ("the buffer", f"sqlite-utils rows {buffer} checks --limit 3"),
        ("the log", f"grep severity.changed {log}"),
        ("the one line", "add_middleware(...) in examples/flights/app.py"),
    ]
    if stays:
        places.append(("the report", f"{client.base_url}/_drift until Ctrl-C"))
    else:
        places.append(("the report", "python -m examples.flights --serve"))
    click.echo(tabulate(places, tablefmt="plain"))


def say(text: str) -> None:
    click.echo("\n" + textwrap.fill(text, WIDTH))


def coloured(severity: str, width: int = 0) -> str:
    return click.style(f"{severity:<{width}}", fg=COLOURS.get(severity))


if __name__ == "__main__":
    replay(prog_name="python -m examples.flights")
