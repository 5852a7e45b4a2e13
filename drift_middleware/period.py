"""Periods: the stretches of the history that people ask for, such as `24h`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from drift_middleware.errors import ConfigError

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=3650)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN = 50
"characters of a value that an error repeats"


class Period(NamedTuple):
    """A stretch of time, its end left out, as the history writes times."""

    since: str
    until: str | None
    "None: until now"


def period(
    now: float, *, window: str | None = None, since: str | None = None, until: str | None = None
) -> Period:
    """Read a period: a window back from `until`, or from now, or from `since`.

    Raises
    ------
    ConfigError
        One of them is impossible, or they do not go together.
    """
    if window and since:
        raise ConfigError("window and since both say where the period begins: give one of them.")
    end = moment("until", until) if until else None
    if window:
        start = (end or datetime.fromtimestamp(now, UTC)) - _length(window)
    elif since:
        start = moment("since", since)
    else:
        raise ConfigError("until says where a period ends: give window or since, too.")
    if end is not None and start >= end:
        msg = f"since={_shown(since)} is not before until={_shown(until)}."
        raise ConfigError(msg)
    return Period(written(start), written(end) if end else None)


def moment(name: str, text: str) -> datetime:
    """Read a time.  Raises ConfigError, which names the option, if it is none."""
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if at >= EARLIEST:
            return at
    except (ValueError, OverflowError):
        pass
    example = "ISO 8601, such as 2026-11-01T00:00:00Z or 2026-11-01"
    msg = f"{name}={_shown(text)} is impossible: give a time since 1970 as {example}."
    raise ConfigError(msg)


def written(at: datetime) -> str:
    """Write a time as the history does: these texts sort like the times."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _length(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([mhdw])", text)
    if found:
        length = timedelta(**{UNITS[found[2]]: int(found[1])})
        if length <= LONGEST:
            return length
    allowed = "a number and m, h, d or w, such as 90m, 24h, 7d or 2w, up to ten years"
    msg = f"window={_shown(text)} is impossible: give {allowed}."
    raise ConfigError(msg)


def _shown(text: str | None) -> str:
    return repr((text or "")[:SHOWN])
