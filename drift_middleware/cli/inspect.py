"""`drift-middleware inspect`: what would be captured from recorded exchanges, and what not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drift_middleware.cli.layout import table

if TYPE_CHECKING:
    from drift_middleware.cli.inspected import Inspected, Inspection

MOST_FIELDS = 4
"names in a line"
LONGEST_VALUE = 60


@click.command(no_args_is_help=False)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--baseline", metavar="PATH", help="What is watched, and the names of values without a name."
)
@click.option("--config", "options", metavar="PATH", help="A drift.toml, for its [[endpoint]].")
@click.option("--import", "module", help="A module to import first, for its extractors.")
@click.option("--values", "with_values", is_flag=True, help="Show the values too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every exchange.")
def inspect(
    *,
    file: Path,
    baseline: str | None,
    options: str | None,
    module: str | None,
    with_values: bool,
    as_json: bool,
) -> None:
    """Say what would be captured from the exchanges in FILE, and why not.

    FILE is a HAR file, as browsers and proxies export it, a recording (a JSON list of exchanges),
    or a folder of these.  Nothing is stored, and no value is shown unless asked for.
    """
    import msgspec

    from drift_middleware.cli.exchanges import load
    from drift_middleware.cli.inspected import inspected
    from drift_middleware.config import Config

    environ = {**os.environ, **({"DRIFT_CONFIG": options} if options else {})}
    config = Config.load(environ, **({"baseline": baseline} if baseline else {}))
    sys.path.insert(0, str(Path.cwd()))  # where a server would find the user's modules too
    if module:
        _import(module)
    found = inspected(load(file, config.max_body_bytes), config, with_values=with_values)
    # Not msgspec's own JSON: values may be integers and texts that it cannot write.
    told = json.dumps(msgspec.to_builtins(found, enc_hook=repr)) if as_json else _page(file, found)
    click.echo(told)


def _import(module: str) -> None:
    try:
        import_module(module)
    except Exception as error:  # whatever a module of the user's raises
        msg = f"--import {module}: {type(error).__name__}: {error}."
        raise click.UsageError(msg) from error


def _page(file: Path, found: Inspection) -> str:
    from drift_middleware.cli.inspected import OTHER_METHOD

    lines = [one for one in found.exchanges if one.skipped != OTHER_METHOD]
    parts = [_summary(file, found)]
    if lines:
        headers = ["path", "status", "format", "rows", "fields", "predictions, or why not"]
        parts += ["", table(headers, [_cells(line) for line in lines])]
    for line in lines:
        if line.values:
            parts += ["", f"{line.path}:", table([*line.values[0]], _values(line.values))]
    if found.not_captured is not None:
        missing = ", ".join(found.not_captured) or "none"
        parts += ["", f"columns of the baseline that are not captured: {missing}"]
    return "\n".join(parts)


def _summary(file: Path, found: Inspection) -> str:
    count = len(found.exchanges)
    text = f"{file}: {count:,} exchanges, {found.captured:,} captured with {found.rows:,} rows"
    why = (f"{reason} {number:,}" for reason, number in found.skipped.items())
    return f"{text}; not captured: {', '.join(why)}" if found.skipped else text


def _cells(line: Inspected) -> tuple[Any, ...]:
    if line.skipped is not None:
        return _shown(line.path), line.status, "", "", "", line.skipped
    said = "not one for each row" if line.unaligned else _names(line.predictions) or "none"
    path, fields = _shown(line.path), _names(line.fields)
    return path, line.status, line.format, f"{line.rows:,}", fields, said


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_FIELDS
    text = ", ".join(map(_shown, names[:MOST_FIELDS]))
    return f"{text} and {more:,} more" if more > 0 else text


def _values(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [[_shown(repr(value)) for value in row.values()] for row in rows]


def _shown(text: str) -> str:
    """Write what strangers chose in a line: printable, and not too long."""
    from drift_middleware.logger import printable

    text = printable(text)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
