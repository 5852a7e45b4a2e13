"""`drift-middleware export`: the captured rows, as a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from drift_middleware.cli.layout import progress
from drift_middleware.cli.options import buffer_option, open_buffer, since_option, until_option

if TYPE_CHECKING:
    from drift_middleware.cli.writers import Writer

STDOUT = "-"
SUFFIXES = (".csv", ".parquet", ".jsonl")
AT = "captured_at"
"name of the column that says when a row came"
FOREVER = float("inf")


@click.command(no_args_is_help=False)
@click.argument("target", metavar="TARGET")
@buffer_option
@since_option
@until_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The newest N of them.")
@click.option("--json", "as_json", is_flag=True, help="For -: JSON Lines, not CSV.")
@click.option("--raw", is_flag=True, help="Leave texts in CSV as they are.")
def export(  # noqa: PLR0913  # the options of the command
    *,
    target: str,
    buffer: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    as_json: bool,
    raw: bool,
) -> None:
    """Write the captured rows to TARGET: rows.csv, rows.parquet, rows.jsonl, or - for CSV on the
    standard output.

    A column captured_at says when each row came, UTC; the others have the names that they came
    with, and what `redact`, `hash` and `store` left of the values.  The database is only read, in
    small parts; a server may be writing it.  A file is whole or not there at all, and only its
    owner may read it: it holds what clients sent.

    In CSV a text, or the name of a column, that a spreadsheet would take for a formula gets an
    apostrophe before it: one that begins with =, +, -, @, a tab, a carriage return or a line feed.
    --raw leaves that out, so that the file has the very values; read that with programs alone.
    Numbers are never touched, nor is anything in Parquet or JSON Lines.
    """  # noqa: D205  # the first sentence is long, for it names what TARGET can be
    from drift_middleware.cli.writers import CsvWriter, JsonWriter

    writer: Writer
    suffix = Path(target).suffix.lower()
    if target != STDOUT and suffix not in SUFFIXES:
        msg = f"{target}: end the name in {', '.join(SUFFIXES)}, or give - for the standard output."
        raise click.UsageError(msg)
    if as_json and target != STDOUT:
        raise click.UsageError("--json is for -: name a file that ends in .jsonl.")
    where = open_buffer(buffer)
    found = where.stretch(_moment("since", since, 0.0), _moment("until", until, FOREVER), limit)
    columns = where.columns()
    names, stored = [_free(AT, columns), *columns], [*columns.values()]
    with _opened(target) as stream:
        if suffix == ".parquet":
            writer = _parquet(stream, names, where.kinds(found, stored))
        elif suffix == ".jsonl" or as_json:
            writer = JsonWriter(stream, names)
        else:
            writer = CsvWriter(stream, names, raw=raw)
        with progress(found.rows, target) as bar:
            for batch in where.batches(found, stored):
                writer.write(batch)
                bar.update(len(batch))
        writer.close()
    if target != STDOUT:
        click.echo(f"{found.rows:,} rows of {len(columns):,} columns in {target}", err=True)


def _moment(name: str, text: str | None, default: float) -> float:
    from drift_middleware.period import moment

    return default if text is None else moment(name, text).timestamp()


def _free(name: str, taken: Collection[str]) -> str:
    """Find a name that no column has."""
    return name if name not in taken else _free(f"_{name}", taken)


def _parquet(stream: IO[bytes], names: Sequence[str], kinds: Sequence[Iterable[str]]) -> Writer:
    from drift_middleware.cli.writers import ParquetWriter

    try:
        return ParquetWriter(stream, names, kinds)
    except ImportError as error:
        msg = "Parquet needs pyarrow: pip install 'drift-middleware[parquet]'."
        raise click.UsageError(msg) from error


@contextmanager
def _opened(target: str) -> Iterator[IO[bytes]]:
    """Open what is written: a file under another name, until it is whole."""
    if target == STDOUT:
        yield sys.stdout.buffer
        return
    path = Path(target)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # For its owner alone: it holds what clients sent.
        file = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(file, "wb") as stream:
                yield stream
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror}."
        raise click.UsageError(msg) from error
