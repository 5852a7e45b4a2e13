"""`drift-middleware baseline`: what would be watched of a table, and what not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drift_middleware.cli.options import FILE, table_options, table_settings

if TYPE_CHECKING:
    from drift_middleware.drift.baseline import Baseline


@click.command(no_args_is_help=False)
@click.argument("table", metavar="TABLE")
@click.option(
    "-o", "--output", type=FILE, metavar="FILE.json", help="Save it; servers load it sooner."
)
@table_options
@click.option("--segment-by", metavar="COLUMN", help="Its most frequent values are watched apart.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def baseline(
    *, table: str, output: Path | None, segment_by: str | None, as_json: bool, **given: Any
) -> None:
    """Say what a baseline watches, how finely, and what not and why.

    TABLE is a CSV, TSV or Parquet file: rows like those that the model was built on, a column for
    each feature and, best of all, for each of the model's own answers; or a saved baseline (.json).
    Options that are not given are those of DRIFT_* variables and drift.toml, as for a server.

    Of each signal it says from which shift of the mean on a change can be noticed at all, and which
    share of the traffic must move for the severity `low`.
    """
    import msgspec

    from drift_middleware.config import Config
    from drift_middleware.opening import open_baseline

    if output is not None and output.suffix.lower() != ".json":
        msg = f"--output {output}: a saved baseline is told by its name: end it in .json."
        raise click.UsageError(msg)
    options = table_settings(**given, segment_by=segment_by)
    found = open_baseline(Config.load(**options, baseline=table))
    assert found is not None  # noqa: S101  # for a table is given
    if output is not None:
        found.save(output)
    if as_json:
        click.echo(msgspec.json.encode(_plain(found)))
    else:
        click.echo(_page(found, output))


def _page(found: Baseline, output: Path | None) -> str:
    from drift_middleware.cli.layout import printed

    # Names are out of a file; lines are ours.
    text = "\n".join(printed(line) for line in found.describe().split("\n"))
    if output is None:
        return f"{text}\n\nNot saved; -o baseline.json does."
    return f"{text}\n\nSaved to {output}: DriftMiddleware(app, baseline={str(output)!r})"


def _plain(found: Baseline) -> dict[str, Any]:
    from drift_middleware.drift.description import reaches

    reached = reaches(found)
    return {
        "source": found.source,
        "rows": found.rows,
        "fingerprint": found.fingerprint,
        "smallest_shift": found.smallest_shift,
        "ordered": found.ordered,
        "columns": found.columns,
        "signals": [
            {
                "name": signal.name,
                "column": signal.column,
                "role": signal.role,
                "kind": signal.kind,
                "cells": len(signal.cells),
                "rows": signal.cells.present,
                "missing": signal.cells.missing,
                "noticed_from_sd": reached[signal.name].noticed
                if signal.cells.spread > 0
                else None,
                "low_from": reached[signal.name].low if len(signal.cells) > 1 else None,
            }
            for signal in found.signals
        ],
        "segments": {name: part.rows for name, part in found.segments.items()},
        "left_out": found.left_out,
    }
