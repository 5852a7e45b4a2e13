"""`drift-middleware report`: what `/_drift` says, out of the database."""

from __future__ import annotations

import time
from pathlib import Path

import click

from drift_middleware.cli.options import (
    buffer_option,
    open_buffer,
    output_options,
    since_option,
    until_option,
)


@click.command(no_args_is_help=False)
@buffer_option
@click.option("--window", metavar="LENGTH", help="Sum this much of the history, too: 90m, 24h, 7d.")
@since_option
@until_option
@click.option("--segment", metavar="NAME", help="Of which the signals are, not of all traffic.")
@output_options
def report(  # noqa: PLR0913  # the options of the command
    *,
    buffer: str | None,
    window: str | None,
    since: str | None,
    until: str | None,
    segment: str | None,
    as_json: bool,
    as_markdown: bool,
    html: Path | None,
) -> None:
    """Say what GET /_drift says, out of the database alone.

    It needs neither the server nor its baseline.  The database is only read; a server may be
    writing it.  What its process alone knows is left out: endpoints, what waits in its queue, what
    it adds to requests, what became of its alerts, and whether it is degraded.

    --window, or --since and --until, add distances over that part of the history.
    """
    from drift_middleware.cli.reported import Reported
    from drift_middleware.config import Config
    from drift_middleware.period import period
    from drift_middleware.stored import stored_options, stored_report
    from drift_middleware.web.page import TIMELINE

    asked = None
    if window or since or until:
        asked = period(time.time(), window=window, since=since, until=until)
    where = open_buffer(buffer)
    found = stored_report(where, learn_rows=Config.load().learn_rows, asked=asked, segment=segment)
    history = where.history(TIMELINE)
    told = Reported(found, str(where.path), stored_options(where), history)
    told.give(as_json=as_json, as_markdown=as_markdown, html=html)
