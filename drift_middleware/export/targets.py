"""Targets: whom alerts go to.  Each sends one alert, or says why it could not."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any
from urllib.parse import unquote

from drift_middleware.errors import ConfigError
from drift_middleware.export.alerts import ON_CHANGE, details, headline
from drift_middleware.export.webhook import post
from drift_middleware.logger import LOGGER
from drift_middleware.schemas import Alert

Target = Callable[[Alert, float], str | None]
"(alert, seconds since the epoch) -> why it could not be sent, without any secret"
HEARD: ContextVar[list[str] | None] = ContextVar("drift_middleware_heard", default=None)
TALKATIVE = ("apprise", "urllib3.connectionpool")
"loggers that tell URLs, at some level"
SHORTEST = 3
"parts of a URL that are hidden; to hide `to` would make a reason unreadable"


def open_targets(
    *,
    alerts: Sequence[str],
    webhook: str | None,
    webhook_secret: str | None,
    on_change: Callable[..., Any] | None,
) -> dict[str, Target]:
    """Make the targets, by a name that is no secret: it stands in the buffer and in the log.

    Raises
    ------
    ConfigError
        Apprise is not installed, or does not know a URL.
    """
    targets: dict[str, Target] = {}
    for i, url in enumerate(alerts):
        name = f"alerts[{i}]"
        targets[name] = partial(_notify, _opened(name, url), url)
    if webhook is not None:
        targets["webhook"] = partial(post, webhook, webhook_secret)
    if on_change is not None:
        targets[ON_CHANGE] = partial(_call, on_change)
    return targets


def _opened(name: str, url: str) -> Any:
    try:
        from apprise import Apprise, AppriseAsset
    except ImportError:
        msg = "alerts needs apprise: pip install 'drift-middleware[alerts]'."
        raise ConfigError(msg) from None
    # In our thread: a pool of apprise's would be dead after a fork.
    service = Apprise(asset=AppriseAsset(async_mode=False))
    with _listening() as said:
        is_known = service.add(url)
    if not is_known:
        scheme = url.partition("://")[0] if "://" in url else "***"
        why = f" ({_masked(said[-1], url)})" if said else ""
        msg = f"{name}={scheme}://*** is no URL that apprise can use{why}."
        raise ConfigError(msg)
    return service


def _notify(service: Any, url: str, alert: Alert, _now: float) -> str | None:
    with _listening() as said:
        # As text: apprise then escapes names for whom it writes HTML or markup.
        is_sent = service.notify(
            title=headline(alert),
            body=details(alert),
            body_format="text",
            notify_type="success" if alert.kind == "recovery" else "warning",
        )
    if is_sent:
        return None
    return _masked("; ".join(said), url) or "apprise did not say why"


def _call(on_change: Callable[..., Any], alert: Alert, _now: float) -> str | None:
    try:
        on_change(alert.check, alert.previous)
    except Exception as error:  # noqa: BLE001  # of the user's; logged, and counted as failed
        # Its text is for the log alone: strangers may read /_drift.
        LOGGER.exception("on_change raised", extra={"event": "on_change raised"})
        last = extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
    return None


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what apprise says of our call, instead of letting it reach any log."""
    said: list[str] = []
    # Not our thread: apprise may take another, with a copy of our context.
    token = HEARD.set(said)

    def hear(record: logging.LogRecord) -> bool:
        if HEARD.get() is not said:
            return True
        if record.levelno >= logging.WARNING:
            said.append(record.getMessage())
        return False

    loggers = [logging.getLogger(name) for name in TALKATIVE]
    for one in loggers:
        one.addFilter(hear)
    try:
        yield said
    finally:
        HEARD.reset(token)
        for one in loggers:
            one.removeFilter(hear)


def _masked(text: str, url: str) -> str:
    """Hide every part of a URL, wherever it is quoted, and whatever looks like one."""
    text = re.sub(r"\S+://\S+", "***", text)
    rest = url.partition("://")[2] or url
    parts = {part for given in (rest, unquote(rest)) for part in re.split(r"[\s/:@?&=,#]+", given)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST:
            text = text.replace(part, "***")
    return text
