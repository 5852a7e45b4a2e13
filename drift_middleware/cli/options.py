"""Options that several commands have, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from drift_middleware.buffer import SqliteRows
    from drift_middleware.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])

LEVELS = ("low", "medium", "high")
FILE = click.Path(dir_okay=False, path_type=Path)

buffer_option = click.option(
    "--buffer", metavar="PATH", help="The database; if not given, the server's, or drift.db."
)
since_option = click.option(
    "--since", metavar="TIME", help="From this time on, such as 2026-11-01 or 2026-11-01T12:00Z."
)
until_option = click.option("--until", metavar="TIME", help="Until before this time.")


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


policy_options = _all(
    click.option("--policy", help="The distance that severity is about: moved, psi, ..."),
    click.option(
        "--threshold",
        "single",
        multiple=True,
        metavar="LEVEL=N",
        help="One level, such as low=.1, or age.low=.1 for one column.  May be repeated.",
    ),
    click.option("--thresholds", metavar="low=N,...", help="All levels at once."),
)

table_options = _all(
    click.option(
        "--predictions",
        multiple=True,
        metavar="COLUMN",
        help="A column that the model puts out.  May be repeated.  If none is given, names tell:"
        " prediction, probability, score, label, output and the like.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        metavar="COLUMN",
        help="A column that is not watched: a key, a target.  May be repeated.",
    ),
    click.option(
        "--kind",
        "kinds",
        multiple=True,
        metavar="COLUMN=KIND",
        help="What a column holds, where its values would tell otherwise, such as zip=category:"
        " number, category, text, time or vector.  May be repeated.",
    ),
    click.option(
        "--timestamp",
        metavar="COLUMN",
        help="The column that says when each row came.  It is not watched itself; other times are"
        " watched by their age then, too.",
    ),
    click.option(
        "--ordered",
        is_flag=True,
        default=None,
        help="The baseline's rows are in time order: learn from them how far they move by"
        " themselves, and allow for that.",
    ),
)
"how a table is read, as in the options of the same names"

output_options = _all(
    click.option("--json", "as_json", is_flag=True, help="Print JSON, as GET /_drift gives it."),
    click.option(
        "--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a comment or a chat."
    ),
    click.option(
        "--html",
        type=FILE,
        metavar="FILE",
        help="Write the page of /_drift, too, as one file that needs no other.",
    ),
)
"how a report is given"


def table_settings(
    predictions: Sequence[str], ignore: Sequence[str], kinds: Sequence[str], **others: Any
) -> dict[str, Any]:
    """Give the options of a table that were set, by the names that they have elsewhere."""
    pairs = [kind.rpartition("=") for kind in kinds]
    for given, (column, _, _) in zip(kinds, pairs, strict=True):
        if not column:
            msg = f"--kind {given}: give COLUMN=KIND, such as zip=category."
            raise click.UsageError(msg)
    found = {
        "predictions": tuple(predictions) or None,
        "ignore": tuple(ignore) or None,
        "kinds": {column: kind for column, _, kind in pairs} or None,
        **others,
    }
    return {name: value for name, value in found.items() if value is not None}


def thresholds_of(texts: Sequence[str], policy: str | None, usual: Config) -> dict[str, Any] | None:
    """Read levels, and take those that are not given from what the policy has."""
    from drift_middleware.config import Config
    from drift_middleware.drift.thresholds import THRESHOLDS

    if not texts:
        return None
    parts = [part.strip() for text in texts for part in text.split(",")]
    levels: dict[str, Any] = dict(
        zip(LEVELS, THRESHOLDS.get(policy or usual.policy, ()), strict=False)
    )
    if policy in (None, usual.policy):
        levels |= {name: n for name, n in usual.thresholds.items() if name in LEVELS}
    named = {part.partition("=")[0].strip() for part in parts}
    if named & {*LEVELS}:
        parts += [f"{name}={n}" for name, n in levels.items() if name not in named]
    return Config.load({"DRIFT_THRESHOLDS": ",".join(parts)}).thresholds


def open_buffer(given: str | None) -> SqliteRows:
    """Open the database that a command was told of, to read it.  Raises StoreError."""
    from drift_middleware.buffer import SqliteRows
    from drift_middleware.config import Config
    from drift_middleware.errors import StoreError

    path = Path(given or Config.load().buffer)
    if not path.is_file():
        msg = f"{path}: there is no such file. Name the server's database with --buffer."
        raise StoreError(msg)
    return SqliteRows(path)


def write_file(path: Path, text: str) -> None:
    """Write a file that a user asked for."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}."
        raise click.UsageError(msg) from error
