"""`drift-middleware tail`: the last checks, and those to come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drift_middleware.cli.layout import coloured_level, name_of, time_of, width
from drift_middleware.cli.options import buffer_option, open_buffer

if TYPE_CHECKING:
    from drift_middleware.buffer import SqliteRows
    from drift_middleware.schemas import Check

LOOK_SECONDS = 0.5
HEADER = f"{'check':>6}  {'at (UTC)':<19}  {'rows':>7}  {'severity':<8}  signals that moved"


@click.command(no_args_is_help=False)
@buffer_option
@click.option(
    "-n", "--number", type=click.IntRange(0), default=10, show_default=True, help="How many checks."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new checks, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print each check as a line of JSON.")
def tail(*, buffer: str | None, number: int, follow: bool, as_json: bool) -> None:
    """Print the last checks, a line each, the newest last.

    With --follow it looks for new ones twice a second.  The database is only read; a server may be
    writing it, or begin another in its place.
    """
    where = open_buffer(buffer)
    checks = where.history(number)[::-1]
    last = checks[-1].number if checks else _newest(where)
    if not as_json:
        click.echo(HEADER)
    for check in checks:
        click.echo(line_of(check, as_json=as_json))
    if follow:
        try:
            for check in _following(where, last):
                click.echo(line_of(check, as_json=as_json))
        except KeyboardInterrupt:  # how it is to end
            return


def line_of(check: Check, *, as_json: bool) -> str:
    """Write a check as a line; what is too long for the terminal is cut."""
    import msgspec

    if as_json:
        return msgspec.json.encode(check).decode()
    severity = coloured_level(check.severity, len("severity"))
    start = f"{check.number:>6}  {time_of(check.at)}  {check.rows:>7,}  "
    room = width() - len(start) - len("severity  ") if sys.stdout.isatty() else sys.maxsize
    moved = ", ".join(f"{name_of(name)} {level}" for name, level in check.moved.items())
    if len(moved) > room:
        moved = f"{moved[: max(room - 3, 0)]}{'...'[: max(room, 0)]}"
    return f"{start}{severity}  {moved}".rstrip()


def _newest(where: SqliteRows) -> int:
    return next((check.number for check in where.history(1)), 0)


def _following(where: SqliteRows, last: int) -> Iterator[Check]:
    """Give new checks as they come."""
    from drift_middleware.errors import StoreError

    is_well = True
    while True:
        try:
            newest = _newest(where)
            last = last if newest >= last else 0  # a file that began anew
            checks = where.history(newest - last)[::-1] if newest > last else []
            is_well = True
        except StoreError as error:  # its server may be about to begin another
            if is_well:
                click.echo(f"{error} Waiting for it.", err=True)
            checks, is_well = [], False
        for check in checks:
            yield check
            last = check.number
        time.sleep(LOOK_SECONDS)
