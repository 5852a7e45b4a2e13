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
from drift_middleware.capture.records import bounded, kinds

# Of a table of numbers, which costs a tenth of a microsecond a cell, and of any other.
MOST_NUMBERS = 600_000
MOST_CELLS = 250_000

# None of these goes back over what it has read: a cell may be a million digits and a letter.
_NUMBER = r"[+-]?+(?:\d++(?:\.\d*+)?|\.\d++|nan|inf(?:inity)?)(?:e[+-]?+\d++)?"
_is_number = re.compile(rf"\s*+{_NUMBER}\s*+", re.ASCII | re.IGNORECASE).fullmatch
# What a table of numbers is written with.
_NUMERIC = b"-+.0123456789eE, \t\n\r\f\v"
# Telling by both ends spares most texts the pattern.
_FIRST = frozenset("0123456789+-. \tnNiI")
NUMBERS = frozenset({int, float})
NUMBERS_AND_GAPS = NUMBERS | {type(None)}
_LAST = frozenset("0123456789. \tnNyYfF")


def read_csv(body: bytes, said: Declared) -> Grid:
    """Decode comma-separated values.

    The first line is a header if the content type says so (RFC 4180), or if it has no number and
    a later line has one.
    """
    text = to_text(body, said.parameter(b"charset"))
    bounded(text.count("\n"))
    header = said.parameter(b"header").lower()
    is_numeric = _is_numeric(text)
    if header != b"present" and is_numeric and (numbers := _numbers(text)):
        return Grid(None, numbers)
    first, _, rest = text.partition("\n")
    may_have_header = header == b"present" or (not header and not is_numeric)
    if may_have_header and _is_numeric(rest) and (numbers := _numbers(rest)):
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


def _is_numeric(text: str) -> bool:
    """Tell whether a text may be a table of numbers and gaps alone."""
    # A quarter of the time that a pattern takes.
    return text.isascii() and not text.encode().translate(None, _NUMERIC)


def _numbers(text: str) -> list[list[Any]] | None:
    """Read lines of numbers and gaps as JSON, in a fifth of the time; None if they are not."""
    if text.count(",") > MOST_NUMBERS:
        raise SkipError(Reason.TOO_MANY)
    first, _, _ = text.lstrip().partition("\n")
    if not all(map(_is_number, filter(str.strip, first.split(",")))):
        return None  # such as `498-7`
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
        raise SkipError(Reason.TOO_MANY)
    first, *lines = _cells(text) or [[]]
    if not first:
        raise SkipError(Reason.UNREADABLE)
    rows, has_numbers = _typed(lines) if lines else ([], False)
    is_header = not header and has_numbers and not any(map(_is_number, first))
    if is_header or header == b"present":
        return Grid([name.strip() for name in first], rows)
    return Grid(None, [list(map(_value, first)), *rows])


def _cells(text: str) -> list[list[str]]:
    """Split lines into cells, as many each; a short line lacks its last ones."""
    if '"' in text:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    else:
        if "\r" in text:
            text = io.StringIO(text, newline=None).read()
        lines = [line.split(",") for line in text.split("\n") if line]
    widths = set(map(len, lines))
    if len(widths) > 1:
        width = len(lines[0])
        if max(widths) > width:
            raise SkipError(Reason.UNREADABLE)
        lines = [line + [""] * (width - len(line)) for line in lines]
    return lines


def _typed(lines: list[list[str]]) -> tuple[list[list[Any]], bool]:
    """Turn cells into values; say whether any is a number.

    By column, or by line where these are longer.
    """
    known: dict[str, Any] = {"": None}
    if len(lines[0]) > len(lines):
        rows, has_numbers = zip(*(_values(line, known) for line in lines), strict=True)
        return list(rows), any(has_numbers)
    # One after the other: the cells of a column are at hand while it is looked at.
    found = (_values(cells, known) for cells in zip(*lines, strict=True))
    columns, has_numbers = zip(*found, strict=True)
    return list(map(list, zip(*columns, strict=True))), any(has_numbers)


def _values(cells: Sequence[str], known: dict[str, Any]) -> tuple[list[Any], bool]:
    """Turn the cells of a column into numbers, where they are, and empty ones into None.

    `known` remembers what cells are: one is looked at once, however many rows have it.  Says too
    whether any is a number.
    """
    if not cells[0] or _is_number(cells[0]):
        numbers = _numbers_and_gaps(cells)
        if numbers is not None:
            return numbers, any(cells)
    distinct = {*cells}
    if _FIRST.isdisjoint({cell[:1] for cell in distinct}):  # texts
        return [cell or None for cell in cells], False
    known |= {cell: _value(cell) for cell in distinct - known.keys()}
    has_numbers = not NUMBERS.isdisjoint({type(known[cell]) for cell in distinct})
    return list(map(known.__getitem__, cells)), has_numbers


def _numbers_and_gaps(cells: Sequence[str]) -> list[Any] | None:
    """Read a column of numbers as JSON; None if it is not one."""
    try:
        found: list[Any] = fast_json(f"[{','.join([cell or 'null' for cell in cells])}]")
    except REFUSED:
        return None
    # As many as there are cells: one that was quoted may have had a comma.
    held = kinds(found)
    if len(found) != len(cells) or not held <= NUMBERS_AND_GAPS:
        return None
    return None if type(None) in held and "null" in cells else found


def _value(cell: str) -> Any:
    if not cell:
        return None
    if cell[0] not in _FIRST or cell[-1] not in _LAST:
        return cell
    if cell.isascii() and cell.isdecimal():
        return int(cell)
    try:
        number = float(cell)
    except ValueError:  # told in a third of the time that the pattern takes
        return cell
    return number if _is_number(cell) else cell
