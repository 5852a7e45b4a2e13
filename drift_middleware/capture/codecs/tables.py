"""Comma-separated values: which are numbers, and whether the first line is a header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.codecs.declared import Declared, to_text
from drift_middleware.capture.codecs.documents import REFUSED, fast_json
from drift_middleware.capture.reasons import Reason, SkipError

# Of a table that is not all numbers, where each costs a fifth of a microsecond.
MOST_CELLS = 250_000

# None of these goes back over what it has read: a cell may be a million digits and a letter.
_NUMBER = r"[+-]?+(?:\d++(?:\.\d*+)?|\.\d++|nan|inf(?:inity)?)(?:e[+-]?+\d++)?"
_is_number = re.compile(rf"\s*+{_NUMBER}\s*+", re.ASCII | re.IGNORECASE).fullmatch
_find_number = re.compile(rf",\s*+{_NUMBER}\s*+,", re.ASCII | re.IGNORECASE).search
_find_sign_of_one = re.compile(r"[\dni]", re.ASCII | re.IGNORECASE).search
_is_numeric = re.compile(r"[-+.\deE,\s]*", re.ASCII).fullmatch
# Telling by both ends spares most texts the pattern.
_FIRST = frozenset("0123456789+-. \tnNiI")
_LAST = frozenset("0123456789. \tnNyYfF")


def read_csv(body: bytes, said: Declared) -> Grid:
    """Decode comma-separated values.

    The first line is a header if the content type says so (RFC 4180), or if it has no number and
    a later line has one.
    """
    text = to_text(body, said.parameter(b"charset"))
    header = said.parameter(b"header").lower()
    if header != b"present" and (numbers := _numbers(text)):
        return Grid(None, numbers)
    first, _, rest = text.partition("\n")
    if header != b"absent" and (numbers := _numbers(rest)):
        names = _names(first)
        if len(names) == len(numbers[0]) and (header or not any(map(_is_number, names))):
            return Grid(names, numbers)
    return _mixed(text, header)


def looks_csv(body: bytes) -> bool:
    """Tell lines of as many cells each, the last of which looked at has a number."""
    lines = [line.decode("utf-8", "replace") for line in body.split(b"\n", 2)[:2] if line.strip()]
    commas = {line.count(",") for line in lines}
    if len(commas) != 1 or commas == {0} or "\0" in lines[0]:
        return False
    cells = lines[-1].split(",")
    return (all if len(lines) == 1 else any)(map(_is_number, cells))


def _numbers(text: str) -> list[list[Any]] | None:
    """Read lines of numbers and gaps as JSON, in a fifth of the time; None if they are not."""
    if not _is_numeric(text):
        return None
    lines = ",".join(f"[{line}]" for line in text.splitlines() if line.strip())
    if ",," in lines or "[," in lines or ",]" in lines:
        lines = lines.replace("[,", "[null,").replace(",]", ",null]")
        # Twice, as one comma may end a gap and begin the next.
        lines = lines.replace(",,", ",null,").replace(",,", ",null,")
    try:
        rows: list[list[Any]] = fast_json(f"[{lines}]")
    except REFUSED:
        return None
    return rows if len(set(map(len, rows))) == 1 else None


def _names(line: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line]), [])]


def _mixed(text: str, header: bytes) -> Grid:
    if text.count(",") + text.count("\n") > MOST_CELLS:
        raise SkipError(Reason.TRUNCATED)
    first, *lines = _cells(text) or [[]]
    if not first:
        raise SkipError(Reason.UNREADABLE)
    has_numbers = _has_number(f",{','.join(map(','.join, lines))},")
    is_header = not header and has_numbers and not any(map(_is_number, first))
    rows = _typed(lines) if has_numbers else [[cell or None for cell in line] for line in lines]
    if is_header or header == b"present":
        return Grid([name.strip() for name in first], rows)
    return Grid(None, [list(map(_value, first)), *rows])


def _cells(text: str) -> list[list[str]]:
    """Split lines into cells, as many each; a short line lacks its last ones."""
    if '"' in text:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    else:
        lines = [
            line.split(",") for line in io.StringIO(text, newline=None).read().split("\n") if line
        ]
    widths = set(map(len, lines))
    if len(widths) > 1:
        width = len(lines[0])
        if max(widths) > width:
            raise SkipError(Reason.UNREADABLE)
        lines = [line + [""] * (width - len(line)) for line in lines]
    return lines


def _has_number(joined: str) -> bool:
    """Tell whether a cell is a number, of cells between commas."""
    return bool(_find_sign_of_one(joined) and _find_number(joined))


def _typed(lines: list[list[str]]) -> list[list[Any]]:
    """Turn cells into values: by column, or by line where these are longer."""
    if len(lines[0]) > len(lines):
        return list(map(_values, lines))
    columns = map(_values, zip(*lines, strict=True))
    return list(map(list, zip(*columns, strict=True)))


def _values(cells: Sequence[str]) -> list[Any]:
    """Turn the cells of a column into numbers, where they are, and empty ones into None."""
    # Python reads "1_000", which is a name.
    if "_" not in ",".join(cells):
        for number in (int, float):
            try:
                return list(map(number, cells))
            except ValueError:
                pass
    # A category is looked at once, however many rows have it.
    known = {cell: _value(cell) for cell in set(cells)}
    return list(map(known.__getitem__, cells))


def _value(cell: str) -> Any:
    if not cell:
        return None
    if cell[0] not in _FIRST or cell[-1] not in _LAST:
        return cell
    if cell.isdecimal():
        return int(cell)
    return float(cell) if _is_number(cell) else cell
