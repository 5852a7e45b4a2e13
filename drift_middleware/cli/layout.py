"""Layout: tables that fit the terminal, lines that nobody can forge, and a bar for long work."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click

MOST_LINES = 40
"of a table"
NARROWEST = 16
"of the column that takes what is left of the terminal"
LONGEST_NAME = 40
"characters of a signal's name"
COLOURS = {"low": "yellow", "medium": "bright_yellow", "high": "bright_red"}


class Bar(Protocol):
    """What is told of progress."""

    def update(self, n_steps: int) -> None:
        """Go on."""
        ...


class NoBar:
    """Nothing to look at: where no terminal is."""

    def update(self, n_steps: int) -> None:
        """Go on, unseen."""


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lay out a table; its last column takes the room that is left, of the first if need be."""
    from tabulate import tabulate

    shown = [[printed(cell) for cell in row] for row in rows[:MOST_LINES]]
    padded = [header + 2 * " " for header in headers]  # as tabulate does
    widths = [max(map(len, column)) for column in zip(padded, *shown, strict=True)]
    left = width() - sum(widths[:-1]) - 2 * (len(widths) - 1)
    most: list[int | None] = [None] * (len(widths) - 1) + [max(left, NARROWEST)]
    if left < NARROWEST:
        most[0] = max(widths[0] - NARROWEST + left, NARROWEST)
    coloured = [[coloured_level(cell) for cell in row] for row in shown]
    text = tabulate(coloured, headers=headers, disable_numparse=True, maxcolwidths=most)
    more = len(rows) - len(shown)
    return f"{text}\n... and {more:,} more; --json gives them all" if more else text


def printed(value: Any) -> str:
    """Write what strangers may have chosen so that it can neither forge a line nor colour one."""
    from drift_middleware.logger import printable

    return printable(str(value))


def name_of(signal: str) -> str:
    """Write the name of a signal, or the beginning of a long one."""
    text = printed(signal)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."


def coloured_level(text: str, to: int = 0) -> str:
    """Give a severity its colour, which is left out where there is no terminal."""
    padded = f"{text:<{to}}"
    return click.style(padded, fg=COLOURS[text]) if text in COLOURS else padded


def time_of(at: str | None) -> str:
    """Write a time of the history as people read it."""
    return (at or "")[:19].replace("T", " ")


def width() -> int:
    """Return the columns of the terminal."""
    return shutil.get_terminal_size().columns


@contextmanager
def progress(length: int, label: str) -> Iterator[Bar]:
    """Show how far a long work is: on the terminal of the errors, if there is one."""
    if not sys.stderr.isatty():
        yield NoBar()
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar
