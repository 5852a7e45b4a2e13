"""The page: a report, a signal or the history as HTML that needs no script to be read.

The templates have all words and the style sheet all looks; here is what they are given.  Jinja2 is
loaded at the first page, not with the server.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from drift_middleware.schemas import Check, Report, SignalReport, WindowSignal
from drift_middleware.web import svg
from drift_middleware.web.effect import Policy

if TYPE_CHECKING:
    from jinja2 import Environment

TIMELINE = 48
"checks that the page draws"
IN_FULL = 24
"signals that moved, and signals of a window, that the page shows with a picture"
WINDOWS = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days"}
DISTANCES = {
    "total_variation": "Total variation",
    "psi": "PSI, population stability index",
    "jensen_shannon": "Jensen-Shannon",
    "hellinger": "Hellinger",
    "chi_square": "Chi-square",
    "ks": "Kolmogorov-Smirnov",
    "wasserstein": "Wasserstein, in standard deviations",
}
SPECIAL = re.compile(r"[^\w.~!$&'()*+,;=:@-]")
"what a browser would not leave as it is in a path"
LONGEST_NAME = 80
"characters of a name in a list; the page of the signal has it all"


def render_report(
    report: Report,
    *,
    history: Sequence[Check] = (),
    policy: Policy | None = None,
    base: str | None = None,
    asked: Mapping[str, str] | None = None,
    note: str | None = None,
) -> str:
    """Render a report as one HTML document that needs no other file.

    Parameters
    ----------
    history
        The newest checks, newest first, as `Monitor.history` gives them.
    policy
        What severity is about, if not the usual.
    base
        Where the route is, as seen from this page: then it has links, and refreshes itself.  None
        for a page that is kept as a file.
    asked
        The part of the history and the segment that were asked for, by their names in the query.
    note
        What could not be shown, and why.
    """
    moved = [one for one in report.signals if one.severity not in ("none", "unknown")]
    listed = {one.name for one in moved[:IN_FULL]}
    return _render(
        "report.html",
        base,
        report=report,
        checks=_oldest_first(history),
        times={check.number: check.at for check in history},
        policy=policy or Policy(),
        moved=moved,
        shown=moved[:IN_FULL],
        others=[one for one in report.signals if one.name not in listed],
        asked=dict(asked or {}),
        windows=WINDOWS,
        in_full=IN_FULL,
        note=note,
    )


def render_signal(
    signal: SignalReport,
    *,
    history: Sequence[Mapping[str, Any]] = (),
    policy: Policy | None = None,
    base: str | None = None,
) -> str:
    """Render all that is known of one signal; its history is newest first."""
    lines = [line for line in reversed(history) if line["evidence"] is not None]
    return _render(
        "signal.html", base, signal=signal, lines=lines, history=history, policy=policy or Policy()
    )


def render_history(
    checks: Sequence[Check], *, base: str | None = None, limit: int = 100, before: int | None = None
) -> str:
    """Render the history as a table, newest first."""
    return _render(
        "history.html", base, checks=checks, drawn=_oldest_first(checks), limit=limit, before=before
    )


def render_refusal(status: int, message: str, *, base: str | None = None) -> str:
    """Render why there is no page."""
    return _render("refusal.html", base, status=status, message=message)


def render_notebook(report: Report, **options: Any) -> str:
    """Render a report for a notebook's cell: in a frame, which keeps its styles to itself."""
    page = escape(render_report(report, **options))
    style = "width:100%;height:640px;border:0"
    return f'<iframe title="Drift report" sandbox srcdoc="{page}" style="{style}"></iframe>'


def script() -> str:
    """Read the script that refreshes a page."""
    return _file("page.js")


@cache
def content_policy() -> str:
    """Build the Content-Security-Policy of a page: its own style, by its hash, and our script."""
    return (
        f"default-src 'none'; style-src '{_style_hash()}'; script-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )


def base_of(path: str, route: str) -> str:
    """Say where the route is as seen from a path at or below it, both as the client sends them.

    Relative, so that it is right below any prefix, and told of it or not.

    Examples
    --------
    >>> base_of("/_drift", "/_drift"), base_of("/_drift/signals/age", "/_drift")
    ('./_drift', './../../_drift')
    """
    depth = max(path.count("/") - route.count("/"), 0)
    return "./" + "../" * depth + _path(route.rpartition("/")[2])


def _render(template: str, base: str | None, **context: Any) -> str:
    page = _environment().get_template(template)
    return page.render(base=base, **context).encode("utf-8", "replace").decode()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("drift_middleware.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "percent": percent,
        "value": value,
        "distance": distance,
        "short": svg.short,
        "path": _path,
        "clip": clip,
        "query": _query,
    }
    environment.globals |= {
        "style": svg.Markup(_file("page.css")),
        "style_hash": _style_hash(),
        "svg": svg,
        "titles": DISTANCES,
        "most_moved": most_moved,
        "strip_of": strip_of,
    }
    return environment


def percent(share: float) -> str:
    r"""Write a share for people: two digits where it is small, none where it is large.

    Examples
    --------
    >>> [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0.82, 0.05, 0.002, 1e-5)]
    ['82 %', '5.0 %', '0.20 %', '< 0.01 %']
    """
    if share <= 0:
        return "0\u00a0%"
    if share < 0.0001:
        return "<\u00a00.01\u00a0%"
    digits = 0 if share >= 0.0995 else 1 if share >= 0.00995 else 2
    return f"{100 * share:.{digits}f}\u00a0%"


def value(number: float, *, is_share: bool) -> str:
    """Write an effect, in the unit of what it is measured by."""
    return percent(number) if is_share else f"{max(number, 0):.3g}"


def distance(number: float) -> str:
    """Write a distance, which may be a share or have no bound.

    Examples
    --------
    >>> distance(0.42719), distance(1342.5367)
    ('0.4272', '1,342.5')
    """
    return f"{number:.4f}" if number < 10 else f"{number:,.1f}"


def most_moved(signal: SignalReport | WindowSignal) -> str:
    """Say in words what the histogram of a signal shows."""
    if not signal.cells:
        return "No values."
    cell = max(signal.cells, key=lambda one: abs(one.live - one.baseline))
    now, before = percent(cell.live), percent(cell.baseline)
    return f"Most moved: \u2068{cell.cell}\u2069, {now} now, {before} in the baseline."


def strip_of(checks: Sequence[Check], name: str) -> svg.Markup:
    """Draw when a signal was above none."""
    levels = [
        check.moved.get(name, "none") if check.severity != "unknown" else "unknown"
        for check in checks
    ]
    above = sum(level in ("low", "medium", "high") for level in levels)
    return svg.strip(levels, f"Above none in {above} of the last {len(levels)} checks")


def _oldest_first(checks: Sequence[Check]) -> list[Check]:
    return list(reversed(checks[:TIMELINE]))


def _path(name: str) -> str:
    return SPECIAL.sub(lambda found: quote(found[0], safe="", errors="replace"), name)


def _query(query: Mapping[str, object]) -> str:
    return f"?{urlencode(query, errors='replace')}" if query else ""


def clip(name: str) -> str:
    """Cut a name for a list."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


@cache
def _file(name: str) -> str:
    from importlib.resources import files

    return files("drift_middleware.web").joinpath("templates", name).read_text("utf-8")


@cache
def _style_hash() -> str:
    digest = hashlib.sha256(_file("page.css").encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
