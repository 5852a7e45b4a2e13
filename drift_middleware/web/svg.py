"""Pictures as inline SVG: pure functions from numbers to markup, with every text escaped.

Colours and sizes of type are the style sheet's, by class: a picture is right in the dark and in
print.  Where a picture is wide, what is measured along it is in percent, so that it stretches and
its text does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import groupby

from drift_middleware.schemas import CellShare, Check

WIDTH, HEIGHT = 200, 40
"of a small picture, in pixels"
SLOTS = 30
"checks that a timeline has room for, at the least: one check shall be no wall"
LEVELS = {"unknown": 3, "none": 4, "low": 14, "medium": 25, "high": 36}
"how high the bar of a severity is, in pixels"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
FAR = 1e6
"beyond all that is drawn: evidence may be infinite"
LONGEST_NAME = 24
LONGEST_LINE = 56
"characters of a timeline's line, which has to fit on a phone"


class Markup(str):
    """Markup that a template takes as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Say that all is escaped."""
        return self


def histogram(cells: Sequence[CellShare], label: str) -> Markup:
    """Draw the live cells over those of the baseline.

    What both have is one area; what the live rows have more is another, on top, and that one is
    the share of rows that moved; what they have less is hollow.
    """
    top = max((max(cell.baseline, cell.live) for cell in cells), default=0) or 1
    both: list[str] = []
    more: list[str] = []
    less: list[str] = []
    # In whole numbers, which are short: ten to a cell, a hundred to the highest share.
    for place, cell in enumerate(cells):
        low, high = (round(98 * share / top) for share in sorted((cell.baseline, cell.live)))
        both.append(_bar(10 * place, 100, 9, low))
        changed = more if cell.live > cell.baseline else less
        changed.append(_bar(10 * place, 100 - low, 9, high - low))
    named = (("both", both), ("less", less), ("more", more))
    paths = (f'<path class="{name}" d="{"".join(parts)}"/>' for name, parts in named if any(parts))
    return Markup(
        f'<svg class="hist" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {10 * len(cells)} 100" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(label)}">{"".join(paths)}</svg>'
    )


def large_histogram(cells: Sequence[CellShare], label: str) -> Markup:
    """Draw the same at the width of a page, with names below and a title on each cell."""
    height = 180
    top = max((max(cell.baseline, cell.live) for cell in cells), default=0) or 1
    step = 100 / max(len(cells), 1)
    parts = []
    for place, cell in enumerate(cells):
        low, high = (share / top * (height - 16) for share in sorted((cell.baseline, cell.live)))
        x = f'x="{place * step + 0.3:.2f}%" width="{max(step - 0.6, 0.2):.2f}%"'
        kind = "more" if cell.live > cell.baseline else "less"
        name = _isolated(cell.cell, 200)
        said = f"{name}: {cell.live:.1%} now, {cell.baseline:.1%} in the baseline"
        words = escape(_isolated(_end(cell.cell), max(4, 130 // len(cells))))
        parts.append(
            f"<g><title>{escape(said)}</title>"
            f'<rect class="hit" {x} y="0" height="{height}"/>'
            f'<rect class="both" {x} y="{height - low:.1f}" height="{low:.1f}"/>'
            f'<rect class="{kind}" {x} y="{height - high:.1f}" height="{high - low:.1f}"/>'
            f'<text x="{(place + 0.5) * step:.2f}%" y="{height + 16}">{words}</text></g>'
        )
    axis = f'<line class="axis" x2="100%" y1="{height}" y2="{height}"/>'
    return Markup(
        f'<svg class="hist large" width="100%" height="{height + 22}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}{axis}</svg>'
    )


def effect(
    moved: float, at_least: float, levels: Sequence[float], top: float, label: str
) -> Markup:
    """Draw an effect against the levels' ticks: solid to its lower bound, thin to its estimate.

    Along the square root, which shows small levels apart and large effects too.
    """

    def at(value: float) -> float:
        return round(math.sqrt(min(max(value, 0), top) / top) * WIDTH, 1)

    ticks = "".join(f"M{at(level)} 1v14" for level in levels)
    bound, estimate = at(at_least), at(moved)
    drawn = (
        f'<path class="track" d="M0 8h{WIDTH}"/><path class="tick" d="{ticks}"/>'
        f'<path class="bound" d="M0 5h{bound}v6H0z"/>'
    )
    if estimate > bound:
        drawn += f'<path class="estimate" d="M{bound} 8H{estimate}M{estimate} 5v6"/>'
    return _picture("effect", WIDTH, 16, label, drawn)


def strip(levels: Sequence[str], label: str) -> Markup:
    """Draw the severities of one signal over the last checks, oldest first, very small."""
    place, width = 0, 3 * max(len(levels), 1)
    bars: dict[str, str] = dict.fromkeys(LEVELS, "")
    for level, run in groupby(levels):
        count = len(list(run))
        if level != "none":
            bars[level] += _bar(3 * place, 14, 3 * count, LEVELS[level] // 3)
        place += count
    drawn = (f'<path class="{level}" d="{path}"/>' for level, path in bars.items() if path)
    return _picture("strip", width, 14, label, f'<path d="M0 13h{width}v1H0z"/>{"".join(drawn)}')


def timeline(checks: Sequence[Check], label: str) -> Markup:
    """Draw the severity of each check, oldest first.

    Pointing at a check shows its line; so does the focus, which goes from one run of equal
    severities to the next: a stop for each check would be many.
    """
    slots = max(len(checks), SLOTS)
    place, runs = slots - len(checks), []
    for severity, group in groupby(checks, key=lambda check: check.severity):
        run = list(group)
        bars = "".join(_check(check, place + i, slots) for i, check in enumerate(run))
        said = escape(_run_line(run))
        runs.append(
            f'<g class="run {severity}" tabindex="0" role="img" aria-label="{said}">'
            f'<text x="100%" y="56">{said}</text>{bars}</g>'
        )
        place += len(run)
    return Markup(
        f'<svg class="timeline" width="100%" height="60" role="group" aria-label="{escape(label)}">'
        f"{''.join(runs)}{_ends(checks, slots)}</svg>"
    )


def lines(series: dict[str, Sequence[float]], marks: Sequence[float], label: str) -> Markup:
    """Draw series over the checks, oldest first, each in a class of its name; marks are levels.

    Along the signed square root: what is far from 0 is drawn nearer.
    """
    drawn = {name: [_root(value) for value in values] for name, values in series.items()}
    at = [_root(mark) for mark in marks]
    every = [*at, *(value for values in drawn.values() for value in values), 0.0]
    low, span = min(every), (max(every) - min(every)) or 1

    def y(value: float) -> float:
        return round(96 - 92 * (value - low) / span, 1)

    paths = "".join(f'<path class="mark" d="M0 {y(mark)}H600"/>' for mark in at)
    for name, values in drawn.items():
        step = 600 / max(len(values) - 1, 1)
        points = "L".join(f"{i * step:.1f} {y(value)}" for i, value in enumerate(values))
        end = "H600" if len(values) == 1 else ""
        paths += f'<path class="{name}" d="M{points}{end}"/>' if values else ""
    return Markup(
        f'<svg class="lines" width="100%" height="100" viewBox="0 0 600 100" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(label)}">{paths}</svg>'
    )


def _ends(checks: Sequence[Check], slots: int) -> str:
    """Say when the last check was and, where there is room below the bars, when the first.

    That is on a phone, too, if the first bar is in the left half.
    """
    last = f'<text class="end" x="100%" y="56">{short(checks[-1].at)} UTC</text>' if checks else ""
    if 2 * len(checks) <= slots or short(checks[0].at) == short(checks[-1].at):
        return last
    x = min(100 * (slots - len(checks)) / slots, 45)
    return f'<text class="begin" x="{x:.2f}%" y="56">{short(checks[0].at)}</text>{last}'


def short(at: str) -> str:
    """Write a time for people, to the minute.

    Examples
    --------
    >>> short("2026-11-04T17:37:09.766Z")
    '4 Nov 17:37'
    """
    return f"{int(at[8:10])} {MONTHS[int(at[5:7]) - 1]} {at[11:16]}"


def _end(cell: str) -> str:
    """Name an interval by its end, which is short."""
    low, _, high = cell.partition(", ")
    return f"\u2264 {high[:-1]}" if low[:1] == "(" and high[-1:] == "]" else cell


def _check(check: Check, place: int, slots: int) -> str:
    x = f'x="{100 * place / slots:.2f}%" width="{100 / slots:.2f}%"'
    height = LEVELS[check.severity]
    return (
        f'<g><rect class="hit" {x} height="38"/><rect {x} y="{38 - height}" height="{height}"/>'
        f'<text x="100%" y="56">{escape(_check_line(check))}</text></g>'
    )


def _check_line(check: Check) -> str:
    line = f"#{check.number} · {short(check.at)} · {check.severity}"
    return _with_names(line, list(check.moved))


def _run_line(run: Sequence[Check]) -> str:
    first, last = run[0], run[-1]
    numbers = f"#{first.number}" if first is last else f"#{first.number} to #{last.number}"
    line = f"{numbers} · since {short(first.at)} · {first.severity}"
    return _with_names(line, list(last.moved))


def _with_names(line: str, names: list[str]) -> str:
    for place, name in enumerate(names):
        more = f"{': ' if place == 0 else ', '}{_isolated(name, LONGEST_NAME)}"
        if len(line) + len(more) > LONGEST_LINE:
            return f"{line} +{len(names) - place}"
        line += more
    return line


def _isolated(text: str, longest: int) -> str:
    """Cut a name of strangers, and keep its direction from turning what is around it."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return f"\u2068{cut}\u2069"


def _root(value: float) -> float:
    return math.copysign(math.sqrt(min(abs(value), FAR)), value)


def _bar(x: int, bottom: int, width: int, height: int) -> str:
    return f"M{x} {bottom}v-{height}h{width}v{height}z" if height else ""


def _picture(name: str, width: int, height: int, label: str, drawn: str) -> Markup:
    return Markup(
        f'<svg class="{name}" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(label)}">{drawn}</svg>'
    )
