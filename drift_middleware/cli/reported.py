"""A report as text for a terminal, as Markdown, as a page, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from drift_middleware.cli.layout import coloured_level, name_of, printed, table, time_of
from drift_middleware.cli.options import write_file

if TYPE_CHECKING:
    from drift_middleware.config import Config
    from drift_middleware.schemas import Check, Report, SignalReport, WindowReport

OF_A_PROCESS = ("lag_seconds", "queued", "added_microseconds", "endpoints")
"what of `capture` only a server's process knows"
MOST_NAMES = 12
MARKED = str.maketrans(
    {sign: f"\\{sign}" for sign in "\\`*_[]#|~"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
)


class Reported(NamedTuple):
    """A report, and what is shown with it."""

    report: Report
    source: str
    "whence it is: a database, or a file of live rows"
    config: Config
    "under which policy it was judged"
    history: Sequence[Check]
    "the newest checks, newest first"
    more: Mapping[str, Any] = {}
    "what JSON has, beside the report"
    notes: Sequence[str] = ()
    "what is said first, beside the severity"

    def give(self, *, as_json: bool, as_markdown: bool, html: Path | None) -> None:
        """Print it, and write the page."""
        if as_json and as_markdown:
            raise click.UsageError("--json and --markdown both say what is printed: give one.")
        if html is not None:
            write_file(html, self._page())
        if as_json:
            click.echo(self._json())
        else:
            click.echo(self._markdown() if as_markdown else self._text())

    def _json(self) -> bytes:
        import msgspec

        plain = msgspec.to_builtins(self.report)
        plain["capture"] = {k: v for k, v in plain["capture"].items() if k not in OF_A_PROCESS}
        del plain["alerts"]  # whom the server tells, the buffer does not say
        return msgspec.json.encode({**plain, **msgspec.to_builtins(self.more)})

    def _page(self) -> str:
        from drift_middleware.web import page
        from drift_middleware.web.effect import Policy

        policy = Policy(self.config.policy, self.config.thresholds)
        return page.render_report(self.report, history=self.history[: page.TIMELINE], policy=policy)

    def _text(self) -> str:
        parts = [f"{printed(self.source)}: {self._headline(coloured_level)}", *self.notes]
        moved, others = _moved(self.report), _unmoved(self.report)
        if moved:
            headers = ["signal", "severity", "moved", "at least", "since", "why"]
            rows = [self._cells(one, name_of) for one in moved]
            parts += ["", f"{len(moved)} of {len(self.report.signals)} signals moved:"]
            parts += [table(headers, rows)]
        parts += [""] if moved or others else []
        parts += [f"did not move: {_names(others)}"] if others else []
        parts += self._facts()
        if self.report.segments:
            segments = self.report.segments.items()
            rows = [(name_of(k), f"{v.rows:,}", v.severity, _list(v.moved)) for k, v in segments]
            parts += ["", table(["segment", "rows", "severity", "signals that moved"], rows)]
        if self.report.window is not None:
            parts += ["", *_window(self.report.window)]
        return "\n".join(parts)

    def _markdown(self) -> str:
        parts = [f"### Drift: {self._headline(str)}", "", _marked(self.source)]
        parts += [_marked(note) for note in self.notes]
        moved, others = _moved(self.report), _unmoved(self.report)
        if moved:
            rows = [self._cells(one, str) for one in moved]
            parts += ["", "| signal | severity | moved | at least | since | why |"]
            parts += ["|---|---|--:|--:|---|---|"]
            parts += [f"| {' | '.join(map(_marked, row))} |" for row in rows]
        facts = [f"did not move: {_names(others)}"] if others else []
        parts += ["", *(f"- {_marked(fact)}" for fact in [*facts, *self._facts()])]
        return "\n".join(parts)

    def _headline(self, level: Callable[[str], str]) -> str:
        report, check = self.report, self.report.check
        of = f" of segment {printed(report.segment)!r}" if report.segment is not None else ""
        text = f"{level(report.severity)}{of}"
        if check is None:
            learning = report.learning
            if learning:
                return f"{text}, {learning['rows']:,} rows learned from so far"
            return f"{text}, no check was made yet"
        text += f" (inputs {level(report.data)}, outputs {level(report.prediction)})"
        since, at = time_of(report.since), time_of(check.at)
        since = f" since {since}" if since < at else ""
        rows = f"{report.capture.rows:,} rows"
        return f"{text}{since}; check {check.number:,} at {at} UTC, after {rows}"

    def _cells(self, signal: SignalReport, name: Callable[[str], str]) -> tuple[str, ...]:
        from drift_middleware.web.effect import Policy

        effect = Policy(self.config.policy, self.config.thresholds).effect(signal)
        moved, at_least = (
            _percent(number) if effect.is_share else f"{max(number, 0):.3g}"
            for number in (signal.moved, signal.at_least)
        )
        since = "" if signal.since_check is None else f"check {signal.since_check:,}"
        return name(signal.name), signal.severity, moved, at_least, since, signal.why

    def _facts(self) -> list[str]:
        report = self.report
        facts = []
        if report.not_captured:
            facts += [f"in the baseline, but not in these rows: {_names(report.not_captured)}"]
        skipped = report.capture.skipped.items()
        if skipped:
            facts += [f"not captured: {', '.join(f'{why} {n:,}' for why, n in skipped)}"]
        for name in ("unaligned", "dropped", "sampled_out", "errors"):
            count = getattr(report.capture, name)
            facts += [f"{name.replace('_', ' ')}: {count:,}"] if count else []
        if report.baseline:
            known = report.baseline
            facts += [
                f"baseline: {printed(known.source)}, {known.rows:,} rows; shifts below "
                f"{known.smallest_shift:g} standard deviations cannot be noticed"
            ]
        return facts


def _moved(report: Report) -> list[SignalReport]:
    return [one for one in report.signals if one.severity not in ("none", "unknown")]


def _unmoved(report: Report) -> list[str]:
    return [one.name for one in report.signals if one.severity in ("none", "unknown")]


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    text = ", ".join(map(name_of, names[:MOST_NAMES]))
    return f"{text} and {more:,} more" if more > 0 else text


def _list(moved: Mapping[str, str]) -> str:
    return ", ".join(f"{name_of(name)} {level}" for name, level in moved.items())


def _window(window: WindowReport) -> list[str]:
    if not window.checks:
        return [f"window: no check was made in this time. {window.note or ''}".rstrip()]
    rows = [
        (
            name_of(one.name),
            *(
                f"{one.distances[name]:.3f} ({one.by_chance[name]:.3f})"
                if name in one.distances
                else ""
                for name in ("total_variation", "psi")
            ),
            _percent(one.missing[1]),
            _percent(one.unseen),
        )
        for one in window.signals
    ]
    headers = ["signal", "total variation", "PSI", "missing", "never seen"]
    since, until = time_of(window.since), time_of(window.until)
    told = f"{window.rows:,} rows of {window.checks:,} checks, {since} to {until} UTC"
    return [
        f"window: {told}; in brackets what chance alone would give",
        *([window.note] if window.note else []),
        table(headers, rows),
    ]


def _percent(share: float) -> str:
    from drift_middleware.web.page import percent

    return percent(share).replace("\N{NO-BREAK SPACE}", "")


def _marked(text: str) -> str:
    """Write a text so that Markdown shows it as it is, and HTML in it is none."""
    return printed(text).translate(MARKED)
