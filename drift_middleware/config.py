"""Options: each one once, with its type, default, bounds and meaning; and whence values come."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from drift_middleware.errors import ConfigError
from drift_middleware.schemas import ColumnKind, Endpoint
from drift_middleware.tables import dotted, impossible, parsed

Policy = Literal["moved", "psi", "jensen_shannon", "hellinger", "ks", "wasserstein"]
LEVELS = ("low", "medium", "high")
PREFIX = "DRIFT_"
FILE = "drift.toml"
SEQUENCES = ("predictions", "ignore", "paths", "redact", "hash", "alerts")
SECRETS = ("token", "alerts", "webhook", "webhook_secret")
WEBHOOK = re.compile(r"https?://[^\s/?#@]+([/?][^\s#]*)?")
"without user and password, which belong in no URL"
CHOICES = {
    "kinds": "'number', 'category', 'text', 'time', 'vector'",
    "policy": ", ".join(map(repr, get_args(Policy))),
    "store": "'rows', 'tallies'",
    "alert_at": "'low', 'medium', 'high'",
}
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(gt=0, lt=10)]
Weight = Annotated[float, Meta(gt=0, le=1000)]


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options.  Build it with `Config.load`, which also reads `DRIFT_*` and `drift.toml`."""

    baseline: Any = None
    "CSV or Parquet file, DataFrame, saved JSON, `Baseline`, or None: learn it from traffic"
    buffer: str = "drift.db"
    "path of the SQLite database; its folder must exist"
    check_every: Positive = 500
    "captured requests between checks"
    check_seconds: Annotated[float, Meta(gt=0)] | None = None
    "seconds between checks, if there was traffic: whichever comes first"
    learn_rows: Annotated[int, Meta(ge=50)] = 2000
    "rows from which a missing baseline, or the outputs that a baseline lacks, is learned"
    predictions: tuple[str, ...] | Literal["auto"] = "auto"
    "baseline columns that are outputs; auto: by name, or seen only in responses"
    ignore: tuple[str, ...] = ()
    "columns not watched (ids, targets); `joint` leaves out that signal"
    kinds: dict[str, ColumnKind] = {}
    "what columns hold, where their values would tell otherwise: `{'zip': 'category'}`"
    timestamp: str | None = None
    "the baseline's column that says when each row happened; it is not watched"
    thresholds: dict[str, Share | dict[str, Share]] = {}
    "`low`, `medium`, `high`, by default the policy's; beside them tables of the same for columns"
    policy: Policy = "moved"
    "the distance that severity is about: `moved` is total variation, the others are named as such"
    segment_by: str | None = None
    "watch the largest segments apart: a column, `header:<name>` or `route`"
    ordered: bool = False
    "the baseline's rows are in time order: learn its seasons and its dependence from them"
    guard: bool = True
    "discount traffic whose rows depend on each other"
    checks_per_false_alarm: Annotated[float, Meta(ge=10)] = 10_000.0
    "false-alarm budget: at most K in this many that K checks of unchanged traffic alarm"
    weights: dict[str, Weight] = {}
    "how columns divide that budget; 1 for those not named: more is noticed sooner"
    paths: tuple[str, ...] = ()
    "path patterns that are captured (`/predict`, `/models/*`); none means every path"
    endpoint: tuple[Endpoint, ...] = ()
    "tables of what cannot be told from a path's bytes; in Python also `endpoints`"
    route: Annotated[str, Meta(pattern=r"^/[^?#]*[^/?#]$")] = "/_drift"
    "where the routes live"
    token: str | None = None
    "bearer token that reading `route` needs; without one, reading is open"
    store: Literal["rows", "tallies"] = "rows"
    "`tallies` keeps no raw value"
    redact: tuple[str, ...] = ()
    "columns that are counted, and stored blank"
    hash: tuple[str, ...] = ()
    "columns that are counted, and stored as a hash with a key of the buffer's"
    keep_rows: Positive = 100_000
    "rows kept in the buffer"
    keep_checks: Positive = 10_000
    "checks kept in the history"
    alerts: tuple[str, ...] = ()
    "whom to tell of a change of severity: apprise URLs (`mailto://...`, `slack://...`)"
    webhook: str | None = None
    "URL that gets each alert as JSON"
    webhook_secret: str | None = None
    "signs the webhook's body"
    on_change: Any = None
    "called with the `Check` and the severity before it, in a thread; Python only"
    alert_at: Literal["low", "medium", "high"] = "medium"
    "the severity from which on alerts are sent"
    alert_repeat_hours: Annotated[float, Meta(gt=0)] | None = 24.0
    "hours after which an alert is repeated while the severity stays; None: never"
    max_body_bytes: Positive = 1 << 20
    "a longer body is counted, not parsed"
    max_queue_bytes: Positive = 64 << 20
    "bodies and headers waiting to be read; beyond it exchanges are dropped and counted"
    max_per_second: Annotated[float, Meta(gt=0)] | None = None
    "exchanges that are read a second, in each process: of more, a random sample; None: all"
    enabled: bool = True
    "the kill switch"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = {name: "***" for name in SECRETS if getattr(self, name)}
        return [*(msgspec.structs.asdict(self) | hidden).items()]

    def __repr__(self) -> str:
        shown = (f"{k}={v if v == '***' else repr(v)}" for k, v in self.__rich_repr__())
        return f"Config({', '.join(shown)})"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Config:
        """Build the options: arguments win over `DRIFT_*` variables, these over `drift.toml`.

        Raises
        ------
        ConfigError
            An option is unknown or impossible.
        """
        environ = os.environ if environ is None else environ
        if "endpoints" in options:
            options["endpoint"] = options.pop("endpoints")
        given = _from_file(environ) | _from_environ(environ) | options
        for name in given:
            if name not in cls.__struct_fields__:
                raise ConfigError(_unknown(name))
        # A DataFrame or a function, which no converter should look into.
        baseline, on_change = given.pop("baseline", None), given.pop("on_change", None)
        try:
            config = msgspec.convert(
                {name: _plain(name, value) for name, value in given.items()}, cls, strict=False
            )
        except msgspec.ValidationError as error:
            raise ConfigError(_impossible(error, given)) from None
        return _checked(
            msgspec.structs.replace(config, baseline=_none(baseline), on_change=on_change)
        )


def _checked(config: Config) -> Config:
    """Check what no single option can say."""
    if config.keep_rows < config.learn_rows:
        msg = (
            f"keep_rows={config.keep_rows} is fewer than learn_rows={config.learn_rows}: raise it."
        )
        raise ConfigError(msg)
    if config.store == "tallies" and config.baseline is None:
        raise ConfigError("store='tallies' keeps no row to learn from: give a baseline.")
    if config.buffer == ":memory:":
        raise ConfigError(
            "buffer=':memory:' is no file, and workers share the buffer: give a path."
        )
    if config.token is not None and not config.token.strip():
        raise ConfigError("token is empty: give a secret, or no token, which lets everybody read.")
    if config.ordered and config.policy != "moved":
        msg = f"ordered=True learns shares of traffic, not {config.policy}: set policy='moved'."
        raise ConfigError(msg)
    _check_thresholds(config.thresholds)
    _check_targets(config)
    _check_private(config)
    return config


def _check_private(config: Config) -> None:
    both = sorted({*config.redact} & {*config.hash})
    if both:
        msg = f"redact and hash both name {both[0]!r}: it can be stored in one way only."
        raise ConfigError(msg)
    if config.segment_by in (*config.redact, *config.hash):
        msg = f"segment_by={config.segment_by!r} would show the values that redact or hash hides."
        raise ConfigError(msg)


def _check_targets(config: Config) -> None:
    if config.on_change is not None and not callable(config.on_change):
        msg = f"on_change={config.on_change!r} is no function: it can be given in Python only."
        raise ConfigError(msg)
    if config.webhook is not None and not WEBHOOK.fullmatch(config.webhook):
        raise ConfigError("webhook=*** is impossible: give a URL, https://host/path.")
    if config.webhook_secret is not None and not config.webhook_secret.strip():
        raise ConfigError("webhook_secret is empty: give a secret, or none, which signs nothing.")
    if config.webhook_secret is not None and config.webhook is None:
        raise ConfigError("webhook_secret signs what a webhook gets: give webhook, too.")


def _check_thresholds(given: Mapping[str, float | dict[str, float]]) -> None:
    tables = {name: levels for name, levels in given.items() if isinstance(levels, dict)}
    of_all = {name: level for name, level in given.items() if not isinstance(level, dict)}
    for levels in (of_all, *tables.values()):
        shares = [levels[name] for name in LEVELS if name in levels]
        is_part = levels is of_all and 0 < len(shares) < len(LEVELS)
        if is_part or len(shares) < len(levels) or shares != sorted(set(shares)):
            msg = f"thresholds={given!r} is impossible: give low < medium < high"
            strange = [name for name in levels if name not in LEVELS]
            raise ConfigError(f"{msg}, not {strange[0]!r}." if strange else f"{msg}.")


def _from_file(environ: Mapping[str, str]) -> dict[str, Any]:
    path = Path(environ.get(PREFIX + "CONFIG", FILE))
    if not path.is_file():
        if PREFIX + "CONFIG" in environ:
            msg = f"{PREFIX}CONFIG names {path}, and there is no such file."
            raise ConfigError(msg)
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"{path} cannot be read as TOML: {error}."
        raise ConfigError(msg) from None


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        # Other software may own variables of this prefix (DRIFT_TEST_...): only options count,
        # and what looks like a misspelt one.
        if variable.startswith(PREFIX) and name != "config":
            if name in Config.__struct_fields__:
                given[name] = _from_text(name, text)
            elif get_close_matches(name, Config.__struct_fields__, 1, 0.8):
                raise ConfigError(_unknown(name, variable))
    return given


def _from_text(name: str, text: str) -> Any:
    """Turn the text of a variable into what the option takes: `a,b`, `low=.1,age.low=.3`."""
    if name == "endpoint":
        return parsed(text)
    # URLs may have commas in them: only those before the next URL part them.
    comma = r",\s*(?=[\w+-]+://)" if name == "alerts" else ","
    parts = [part.strip() for part in re.split(comma, text) if part.strip()]
    if name == "kinds":
        pairs = (part.partition("=") for part in parts)
        return {column.strip(): kind.strip() for column, _, kind in pairs}
    if name in ("thresholds", "weights"):
        try:
            numbers = {key.strip(): float(n) for key, n in (part.split("=") for part in parts)}
        except ValueError:
            return text
        return numbers if name == "weights" else _by_column(numbers)
    return parts if name in SEQUENCES and text != "auto" else text


def _by_column(levels: Mapping[str, float]) -> dict[str, Any]:
    """Gather `age.low` and `age.high` under `age`."""
    columns: dict[str, dict[str, float]] = {}
    for key, share in levels.items():
        column, _, level = key.rpartition(".")
        columns.setdefault(column, {})[level] = share
    return {**columns.pop("", {}), **columns}


def _plain(name: str, value: Any) -> Any:
    """Accept what people naturally write: a path object, one name for a sequence of one, a set."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if name in SEQUENCES and isinstance(value, str) and value != "auto":
        return [value]
    if name == "endpoint" and isinstance(value, list | tuple):
        return [dotted(table) for table in value]
    return sorted(value) if isinstance(value, set | frozenset) else value


def _none(baseline: Any) -> Any:
    if isinstance(baseline, os.PathLike):
        return os.fspath(baseline)
    return None if isinstance(baseline, str) and baseline == "" else baseline


def _unknown(name: str, shown: str | None = None) -> str:
    near = get_close_matches(name, Config.__struct_fields__, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Unknown option {shown or name!r}.{hint} Known: {', '.join(Config.__struct_fields__)}."


def _impossible(error: msgspec.ValidationError, given: Mapping[str, Any]) -> str:
    what, _, where = str(error).partition(" - at ")
    if where.startswith("`$.endpoint["):
        return impossible(what, where, given["endpoint"])
    path = re.search(r"\$\.(\w+)", where)
    name = path[1] if path else "an option"
    value = "***" if name in SECRETS else repr(given.get(name))
    what = f"{what[:1].lower()}{what[1:]}".replace("array", "sequence of names")
    allowed = f"; allowed: {CHOICES[name]}" if name in CHOICES and "expected" not in what else ""
    return f"{name}={value} is impossible: {what}{allowed}."
