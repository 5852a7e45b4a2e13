"""Layout: a table that fits the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

MOST_LINES = 40
"of a table"
NARROWEST = 16
"of the column that takes what is left of the terminal"


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lay out a table; its last column takes the room that is left."""
    from tabulate import tabulate

    shown = [list(map(str, row)) for row in rows[:MOST_LINES]]
    padded = [header + 2 * " " for header in headers]  # as tabulate does
    widths = [max(map(len, column)) for column in zip(padded, *shown, strict=True)]
    left = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
    most = [None] * (len(widths) - 1) + [max(left, NARROWEST)]
    text = tabulate(shown, headers=headers, disable_numparse=True, maxcolwidths=most)
    more = len(rows) - len(shown)
    return f"{text}\n... and {more:,} more; --json gives them all" if more else text
