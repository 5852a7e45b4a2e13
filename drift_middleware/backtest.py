"""Backtest: the history replayed under other options, beside what was really said.

Every check left its counts, slice by slice, so the detector sees again what it saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from drift_middleware.buffer import Reader, Sliced, SqliteReader
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.detector import carry
from drift_middleware.drift.state import State
from drift_middleware.errors import ConfigError, StoreError
from drift_middleware.judging import overall, sides
from drift_middleware.opening import check_judging
from drift_middleware.period import moment, written
from drift_middleware.recorder import PROGRESS
from drift_middleware.schemas import SEVERITIES, Check, Role, Severity
from drift_middleware.segments import shared_by
from drift_middleware.watch import JUDGING, Progress, Watch


class Change(Struct):
    """A check at which the severity became another."""

    check: int
    at: str
    before: Severity = field(name="from")
    after: Severity = field(name="to")
    moved: dict[str, Severity]
    "the signals that were above none"


class First(Struct):
    """The first check at which a signal was above none."""

    check: int
    at: str
    severity: Severity


class Course(Struct):
    """What was said of one check after the other."""

    severities: dict[Severity, int]
    "how many checks had each"
    changes: list[Change]
    first: dict[str, First]
    "of each signal that was ever above none, the earliest first"


class Backtest(Struct, kw_only=True):
    """What other options would have said, and what was said."""

    since: str | None
    "when the first of these checks was made, ISO 8601, UTC; None if there is none"
    until: str | None
    "when the last one was"
    checks: int
    requests: int
    rows: int
    options: dict[str, Any]
    "under which it was replayed"
    replayed: Course
    recorded: Course
    different: int
    "checks of which the two say different severities"
    note: str | None = None
    "why the two may differ although the options are the same"


def backtest(buffer: Reader | str | Path, *, since: str | None = None, **options: Any) -> Backtest:
    """Replay the checks of the present baseline under other options.  Writes nothing.

    Parameters
    ----------
    buffer
        The database, which a server may be writing meanwhile.
    since
        Say only what came from this time on, ISO 8601; earlier checks are replayed all the same.
    **options
        `policy`, `thresholds`, `weights`, `guard`, `checks_per_false_alarm`, and `segment_by`, for
        segments share the budget with the whole, which alone is replayed.  Those that are not given
        are the server's.

    Raises
    ------
    ConfigError, StoreError
        An option is impossible; the buffer cannot be read.
    """
    for name in options:
        if name not in JUDGING:
            msg = f"{name} cannot be replayed; these can: {', '.join(JUDGING)}."
            raise ConfigError(msg)
    reader = SqliteReader(buffer) if isinstance(buffer, str | Path) else buffer
    progress = _progress(reader)
    config = Config.load({}, **{**progress.options, **options})
    begin = written(moment("since", since)) if since else ""
    first_check = progress.first_check
    pairs = list(_replay(reader, config, first_check, progress.resets))
    recorded = [pair[0] for pair in pairs]
    start = next((i for i, check in enumerate(recorded) if check.at >= begin), len(pairs))
    shown = recorded[start:]
    return Backtest(
        since=shown[0].at if shown else None,
        until=shown[-1].at if shown else None,
        checks=len(shown),
        requests=sum(check.requests for check in shown),
        rows=sum(check.rows for check in shown),
        options={name: getattr(config, name) for name in JUDGING},
        replayed=_course([pair[1] for pair in pairs], start),
        recorded=_course(recorded, start),
        different=sum(said.severity != told.severity for said, told in pairs[start:]),
        note=_note(recorded, first_check),
    )


def recorded_options(buffer: Reader | str | Path) -> dict[str, Any]:
    """Read the options that the server judged with.  Raises StoreError."""
    return _progress(SqliteReader(buffer) if isinstance(buffer, str | Path) else buffer).options


def _progress(reader: Reader) -> Progress:
    raw = reader.get(PROGRESS)
    return msgspec.json.decode(raw, type=Progress) if raw else Progress()


def _replay(
    reader: Reader, config: Config, first_check: int, resets: Collection[int] = ()
) -> Iterator[tuple[Check, Check]]:
    """Give each check as it was recorded, and as it would have been."""
    replay = _Replay(reader, config)
    for one in reader.sliced():
        if one.check.number - 1 in resets:
            replay = _Replay(reader, config)
        if one.check.number > first_check:
            yield one.check, replay.check(one)


class _Replay:
    """The recorder's way from the counts of a check to its severity, without its buffer."""

    def __init__(self, reader: Reader, config: Config) -> None:
        self._reader = reader
        self._config = config
        self._of: tuple[str, dict[str, Role]] = ("", {})
        self._known: tuple[Watch, State] | None = None

    def check(self, one: Sliced) -> Check:
        """Take one step."""
        watch, state = self._as_then(one)
        state = watch.detector.check(state, one.slices)
        self._known = watch, state
        channels = watch.detector.channels
        found = channels.worst(state.level.astype(float)).astype(int).tolist()
        levels = {name: SEVERITIES[n] for name, n in zip(channels.names, found, strict=True)}
        data, prediction = sides(watch, levels, one.captured)
        return msgspec.structs.replace(
            one.check,
            severity=overall(data, prediction),
            data=data,
            prediction=prediction,
            moved={name: level for name, level in levels.items() if level != "none"},
        )

    def _as_then(self, one: Sliced) -> tuple[Watch, State]:
        """Watch what was watched then: outputs may have been learned, or a column found to be one.

        What was known of a signal stays known, as it did then.
        """
        captured = one.captured.items()
        outputs: dict[str, Role] = {name: role for name, role in captured if role == "prediction"}
        if self._known and self._of == (one.fingerprint, outputs):
            return self._known
        self._of = one.fingerprint, outputs
        baseline = self._baseline(one).with_roles(outputs)
        shared = shared_by(baseline, self._config)
        watch = Watch(baseline, self._config, shared_by=shared)
        if self._known is None:
            return watch, watch.detector.start()
        before, state = self._known
        return watch, carry(state, before.detector, watch.detector)

    def _baseline(self, one: Sliced) -> Baseline:
        document = self._reader.get_baseline(one.fingerprint)
        if document is None:
            msg = f"The buffer has check {one.check.number}, but not its baseline."
            raise StoreError(msg)
        baseline = msgspec.json.decode(document, type=Baseline)
        check_judging(self._config, baseline, outputs=None)
        return baseline


def _course(checks: Sequence[Check], start: int) -> Course:
    """Tell what happened from the check at `start` on."""
    severity: Severity = checks[start - 1].severity if start else "unknown"
    course = Course({}, [], {})
    for check in checks[start:]:
        if check.severity != severity:
            course.changes.append(
                Change(check.number, check.at, severity, check.severity, check.moved)
            )
            severity = check.severity
        for name, level in check.moved.items():
            course.first.setdefault(name, First(check.number, check.at, level))
    counted = Counter(check.severity for check in checks[start:])
    known: tuple[Severity, ...] = ("unknown", *SEVERITIES)
    course.severities = {level: counted[level] for level in known if counted[level]}
    return course


def _note(recorded: Sequence[Check], first_check: int) -> str | None:
    if not recorded:
        return "There is no check of the present baseline yet."
    oldest = recorded[0].number
    if oldest > first_check + 1:
        return f"Checks before number {oldest} are not kept any more: the replay starts there."
    return None
