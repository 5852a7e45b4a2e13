"""`drift-middleware check`: files of live rows against a baseline, without a server."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drift_middleware.cli.layout import name_of, progress
from drift_middleware.cli.options import (
    LEVELS,
    output_options,
    policy_options,
    table_options,
    table_settings,
    thresholds_of,
)

if TYPE_CHECKING:
    from drift_middleware.comparison import Comparison
    from drift_middleware.config import Config

STDIN = "-"
REACHED = 1
"exit code where --fail-on is reached; 2 is for wrong use"


@click.command(no_args_is_help=False)
@click.argument("live", nargs=-1, required=True, metavar="LIVE...")
@click.option("--baseline", metavar="PATH", help="A table, or a saved baseline (.json).")
@click.option("--check-every", metavar="N", help="Rows between checks; as for a server, 500.")
@policy_options
@click.option(
    "--fail-on",
    type=click.Choice(LEVELS),
    help="End with exit code 1 if any check is as severe, or more.",
)
@table_options
@output_options
def check(  # noqa: PLR0913  # the options of the command
    *,
    live: tuple[str, ...],
    baseline: str | None,
    check_every: str | None,
    policy: str | None,
    single: tuple[str, ...],
    thresholds: str | None,
    fail_on: str | None,
    as_json: bool,
    as_markdown: bool,
    html: Path | None,
    **given: Any,
) -> None:
    """Say whether the rows of LIVE have drifted from a baseline.

    LIVE is one or more CSV, TSV or Parquet files, read one after the other, or - for CSV from the
    standard input.  Their rows go, in their order, through the detector of a server, in checks of
    as many rows; the last check has what is left.  The same rows always give the same report, and
    no database is made.  Options that are not given are those of DRIFT_* variables and drift.toml.

    Rows should be in order of time: of rows that are sorted by anything else, each check sees a
    part that is unlike the whole, which is drift.

    \b
    Exit codes:
      0  the rows were checked
      1  --fail-on was reached
      2  wrong use, or a file that cannot be read
    """  # noqa: D301  # click's mark of lines that stay as they are
    from drift_middleware.comparison import Comparison
    from drift_middleware.config import Config
    from drift_middleware.opening import open_baseline

    texts = [*single, *([thresholds] if thresholds else [])]
    config = Config.load(
        **table_settings(
            **given,
            baseline=baseline,
            check_every=check_every,
            policy=policy,
            thresholds=thresholds_of(texts, policy, Config.load()) if texts else None,
        )
    )
    expected = open_baseline(config)
    if expected is None:
        raise click.UsageError("There is nothing to compare with: give --baseline.")
    comparison = Comparison(expected, config, time.time())
    _run(comparison, live)
    source = ", ".join("standard input" if name == STDIN else name for name in live)
    _tell(comparison, source, config, as_json=as_json, as_markdown=as_markdown, html=html)
    if fail_on is not None and _reaches(comparison.worst, fail_on):
        click.get_current_context().exit(REACHED)


def _run(comparison: Comparison, live: Sequence[str]) -> None:
    """Check all files, one in memory at a time."""
    from drift_middleware.drift.sources import load_columns

    for name in live:
        with _as_file(name) as path:
            columns = load_columns(path)
        rows = len(next(iter(columns.values()), ()))
        with progress(rows, name) as bar:
            for made in comparison.add(columns, name):
                bar.update(made.rows)
    for _ in comparison.finish():
        pass


@contextmanager
def _as_file(name: str) -> Iterator[Path]:
    """Give the standard input a name that tells what it is."""
    if name != STDIN:
        yield Path(name)
        return
    from drift_middleware.errors import BaselineError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin.csv"
        path.write_bytes(sys.stdin.buffer.read())
        try:
            yield path
        except BaselineError as error:
            msg = str(error).replace(str(path), "the standard input")
            raise BaselineError(msg) from error


def _tell(
    comparison: Comparison,
    source: str,
    config: Config,
    *,
    as_json: bool,
    as_markdown: bool,
    html: Path | None,
) -> None:
    from drift_middleware.cli.reported import Reported

    report, checks = comparison.report(), comparison.checks
    more = {"worst": comparison.worst, "checks": checks}
    notes = list(_notes(comparison)) if checks else []
    history = checks[::-1]
    told = Reported(report, source, config, history, more, notes)
    told.give(as_json=as_json, as_markdown=as_markdown, html=html)


def _notes(comparison: Comparison) -> Iterator[str]:
    """Say how it came to this: the report itself is of the end."""
    checks, worst = comparison.checks, comparison.worst
    reached = next((one for one in checks if one.severity == worst), None)
    if reached is not None and worst != "none":
        which = f"first at check {reached.number:,} of {len(checks):,}"
        yield f"worst: {worst}, {which}, by {', '.join(map(name_of, reached.moved))}"
    if comparison.strange:
        yield f"not in the baseline: {', '.join(map(name_of, comparison.strange))}"


def _reaches(worst: str, level: str) -> bool:
    return worst in LEVELS and LEVELS.index(worst) >= LEVELS.index(level)
