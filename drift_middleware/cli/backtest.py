"""`drift-middleware backtest`: what other options would have said of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from drift_middleware.cli.layout import table, time_of
from drift_middleware.cli.options import LEVELS, buffer_option, policy_options, thresholds_of

if TYPE_CHECKING:
    from drift_middleware.backtest import Backtest, Course, First


@click.command(no_args_is_help=False)
@buffer_option
@policy_options
@click.option("--weights", metavar="COLUMN=N,...", help="How columns divide the budget.")
@click.option("--checks-per-false-alarm", metavar="N", help="The false-alarm budget.")
@click.option("--guard/--no-guard", default=None, help="Discount rows that depend on each other.")
@click.option("--since", metavar="TIME", help="Show only what came later, such as 2026-11-01.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every change.")
def backtest(  # noqa: PLR0913  # the options of the command
    *,
    buffer: str | None,
    policy: str | None,
    single: tuple[str, ...],
    thresholds: str | None,
    weights: str | None,
    checks_per_false_alarm: str | None,
    guard: bool | None,
    since: str | None,
    as_json: bool,
) -> None:
    """Replay the stored checks under other options, and say what they would have said.

    Options that are not given are those that the server had.  The database is only read; a server
    may be writing it.
    """
    import msgspec

    from drift_middleware.backtest import backtest as replay
    from drift_middleware.backtest import recorded_options
    from drift_middleware.config import Config

    where = buffer or Config.load().buffer
    server = Config.load({}, **recorded_options(where))
    given = {
        "policy": policy,
        "thresholds": thresholds_of(
            [*single, *([thresholds] if thresholds else [])], policy, server
        ),
        "weights": Config.load({"DRIFT_WEIGHTS": weights}).weights if weights else None,
        "checks_per_false_alarm": checks_per_false_alarm,
        "guard": guard,
    }
    options = {name: value for name, value in given.items() if value is not None}
    found = replay(where, since=since, **options)
    click.echo(msgspec.json.encode(found) if as_json else _page(where, found))


def _page(where: str, found: Backtest) -> str:
    if not found.checks:
        return f"{where}: no checks. {found.note or 'Try an earlier --since.'}"
    lines = [
        f"{where}: {found.checks:,} checks of {found.rows:,} rows,"
        f" {time_of(found.since)} to {time_of(found.until)} UTC",
        f"replayed with {_options(found.options)}",
        *([found.note] if found.note else []),
        f"checks that have another severity than was recorded: {found.different:,}",
        "",
        _severities(found),
        "",
        _changes(found),
    ]
    if found.replayed.first or found.recorded.first:
        lines += ["", _first(found)]
    return "\n".join(lines)


def _options(options: dict[str, Any]) -> str:
    """Name what is set; where nothing is, the policy's own levels hold."""
    is_set = {name: value for name, value in options.items() if value not in (None, {})}
    return ", ".join(f"{name.replace('_', ' ')} {_value(v)}" for name, v in is_set.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):  # of levels, or of columns to levels
        return " ".join(
            " ".join(f"{name}.{key}={n:g}" for key, n in level.items())
            if isinstance(level, dict)
            else f"{name}={level:g}"
            for name, level in value.items()
        )
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,g}" if isinstance(value, float) else str(value)


def _severities(found: Backtest) -> str:
    both: tuple[dict[Any, int], ...] = (found.replayed.severities, found.recorded.severities)
    levels = [name for name in ("unknown", "none", *LEVELS) if any(name in each for each in both)]
    rows = [(name, *(each.get(name, 0) for each in both)) for name in levels]
    return table(["checks with severity", "replayed", "recorded"], rows)


def _changes(found: Backtest) -> str:
    """Show each check at which one of the two became another, and what both said then."""
    changes: dict[int, list[Any]] = {}
    for side, course in enumerate((found.replayed, found.recorded)):
        for change in course.changes:
            changes.setdefault(change.check, [change, None, None])[side + 1] = change.after
    rows, now = [], [_before(found.replayed), _before(found.recorded)]
    for number, (change, *after) in sorted(changes.items()):
        now = [new or old for new, old in zip(after, now, strict=True)]
        rows.append((number, time_of(change.at), *now, _moved(change.moved)))
    if not rows:
        return f"The severity was {' and '.join(dict.fromkeys(now))} all the time."
    return table(["check", "at", "replayed", "recorded", "signals that moved"], rows)


def _before(course: Course) -> str:
    """Return what was said before the first change; where there is none, all the time."""
    if course.changes:
        return course.changes[0].before
    return next(iter(course.severities))


def _moved(moved: dict[Any, Any]) -> str:
    worst_first = sorted(moved.items(), key=lambda one: -LEVELS.index(one[1]))
    return ", ".join(f"{name} {level}" for name, level in worst_first)


def _first(found: Backtest) -> str:
    both = found.replayed.first, found.recorded.first
    rows = [
        (*(_check(each.get(name)) for each in both), name)
        for name in dict.fromkeys([*both[0], *both[1]])
    ]
    return table(["first in replay", "first recorded", "signal"], rows)


def _check(first: First | None) -> str:
    return f"{first.check} {first.severity}" if first else "never"
