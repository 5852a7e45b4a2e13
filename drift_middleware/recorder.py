"""Recorder: one batch of rows in; rows, tallies, checks and state out, in one transaction.

It has no thread and no queue, and it may live in any number of processes: what they share is in
the buffer.  `monitor` calls it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np

from drift_middleware.buffer import Store, Transaction
from drift_middleware.capture import tabulate
from drift_middleware.capture.relevance import is_about, is_secret
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.detector import Detector, carry
from drift_middleware.drift.levels import level
from drift_middleware.drift.report import severity, summary
from drift_middleware.drift.state import State
from drift_middleware.drift.tally import numbers, tallies
from drift_middleware.errors import BaselineError
from drift_middleware.logger import CHECK, DEGRADED, LEARNED, SEVERITY_CHANGED, log
from drift_middleware.schemas import SEVERITIES, Check, Role, Severity, Table
from drift_middleware.watch import Batch, Progress, View, Watch

PROGRESS = "progress"
STATE = "detector"
MAX_ENDPOINTS = 10_000
UNRELATED = "no column of the baseline"
"reason for a skipped exchange: JSON, but not of the model"


class Recorder:
    """Writes batches into the buffer, and makes the checks that fall due.

    Parameters
    ----------
    baseline
        The configured one, or None to learn it from traffic.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self, config: Config, baseline: Baseline | None, store: Store, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.store = store
        self.view = View(Progress())
        self._configured = baseline
        self._clock = clock
        # The shared progress and state as this process last saw or wrote them.
        self._raw: bytes | None = None
        self._saved: State | None = None
        self._of_parent: Store | None = None
        self._progress = Progress()
        self._watch: Watch | None = None
        self._state: State | None = None
        self._endpoints: set[str] = set()  # that have sent a column of the baseline
        self._events: list[Callable[[], None]] = []

    def open(self) -> None:
        """Bring the buffer and the configured baseline together.  Raises StoreError."""
        self.store.open()
        configured = self._configured.fingerprint if self._configured else ""
        with self._transaction() as tx:
            if self._progress.configured != configured:
                self._start(tx)

    def close(self) -> None:
        """Let go of the buffer."""
        self.store.close()

    def begin_in_child(self, store: Store) -> None:
        """Go on in the child of a fork with a store of its own."""
        # The parent's is kept: to finalise its connection here would close the parent's files.
        self._of_parent = self.store
        self.store = store
        self._forget()

    def refresh(self) -> None:
        """Take over what other processes wrote."""
        if self.store.is_changed():
            with self._transaction():
                pass

    def write(self, batch: Batch) -> None:
        """Write one batch, and make the checks that fall due.  All of it, or StoreError."""
        with self._transaction() as tx:
            tx.count(batch.counters)
            rest = batch
            while rest.rows:
                if self._watch is None:
                    rest = self._learn(tx, rest)
                else:
                    rest = self._record(tx, self._watch, self._related(tx, self._watch, rest))

    def remaining(self) -> int:
        """Return the captured requests that are left until the next check, as last seen here."""
        return max(self.config.check_every - self.view.pending, 1)

    # What all workers share.

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        """Load what is shared, let the block change it, save it, and show it; or do nothing."""
        try:
            with self.store.transaction() as tx:
                self._load(tx)
                yield tx
                self._save(tx)
                view = self._look(tx)
        except BaseException:
            self._forget()  # nothing of this happened: load again what did
            raise
        self.view = view
        events, self._events = self._events, []
        for event in events:
            event()

    def _forget(self) -> None:
        self._raw = self._saved = self._state = self._watch = None
        self._progress = Progress()
        self._events.clear()

    def _load(self, tx: Transaction) -> None:
        """Take over what another worker changed: little, as a rule, and a new state at a check."""
        raw = tx.get(PROGRESS)
        if raw is None:
            self._start(tx)
        elif raw != self._raw:
            before, self._progress = self._progress, msgspec.json.decode(raw, type=Progress)
            self._raw = raw
            is_other = self._watch is None or _watched(before) != _watched(self._progress)
            if is_other:
                document = tx.get_baseline(self._progress.fingerprint)
                self._watch = None
                if document is not None:
                    self._watch = self._build(msgspec.json.decode(document, type=Baseline))
            if self._watch is not None and (is_other or before.check != self._progress.check):
                self._load_state(tx, self._watch.detector)

    def _load_state(self, tx: Transaction, detector: Detector) -> None:
        state = tx.get(STATE)
        try:
            self._state = detector.start() if state is None else detector.restore(state)
        except ValueError as error:  # of another version, or damaged: the history is still good
            self._state = detector.start()
            self._say(
                logging.WARNING, DEGRADED, f"the detector starts afresh: {error}", reason=str(error)
            )
        self._saved = self._state

    def _save(self, tx: Transaction) -> None:
        raw = msgspec.json.encode(self._progress)
        if raw != self._raw:
            tx.put(PROGRESS, raw)
            self._raw = raw
        if self._state is not None and self._state is not self._saved:
            tx.put(STATE, self._state.to_bytes())
            self._saved = self._state

    def _look(self, tx: Transaction) -> View:
        progress = msgspec.structs.replace(self._progress, captured=dict(self._progress.captured))
        learned = None
        if self._watch is None:
            learned = tx.last_row() - progress.first_row
        elif self._lacks_outputs(self._watch) and progress.predicted:
            learned = progress.predicted
        return View(progress, self._watch, self._state, tx.counters(), tx.pending()[0], learned)

    def _start(self, tx: Transaction) -> None:
        """Begin afresh with the configured baseline, or without one; the history stays."""
        self._progress = Progress(
            configured=self._configured.fingerprint if self._configured else "",
            first_row=tx.last_row(),
            first_check=tx.last_check_number(),
            since=self._now(),
        )
        self._watch = self._state = None
        tx.forget_tallies()
        if self._configured:
            self._use(tx, self._configured)

    def _use(self, tx: Transaction, baseline: Baseline) -> None:
        tx.put_baseline(baseline.fingerprint, baseline.source, msgspec.json.encode(baseline))
        self._progress.fingerprint = baseline.fingerprint
        self._replace(self._build(baseline))

    def _build(self, baseline: Baseline) -> Watch:
        captured = self._progress.captured
        outputs = {name: role for name, role in captured.items() if role == "prediction"}
        return Watch(baseline.with_roles(outputs), self.config)

    def _replace(self, watch: Watch) -> None:
        """Watch something else; what was known of the same signals stays known."""
        if self._watch and self._state:
            self._state = carry(self._state, self._watch.detector, watch.detector)
        else:
            self._state = watch.detector.start()
        self._watch = watch

    # Learning a baseline, or the outputs that it lacks.

    def _learn(self, tx: Transaction, batch: Batch) -> Batch:
        """Keep rows until there are enough to make a baseline of."""
        needed = self.config.learn_rows - (tx.last_row() - self._progress.first_row)
        sums = accumulate(len(rows.features) for rows in batch.rows)
        requests = next((i for i, rows in enumerate(sums, 1) if rows >= needed), len(batch.rows))
        part, rest = batch.split(requests)
        table = tabulate(part.rows, features=None, predictions=None, at=part.at)
        columns = {name: _plain(v) for name, v in table.columns.items() if not is_secret(name)}
        tx.append_rows(_row_times(table), columns)
        self._count(tx, table)
        for name in columns:
            self._progress.captured.setdefault(name, _role(table, name))
        if table.rows >= needed:
            self._finish_learning(tx)
        return rest

    def _finish_learning(self, tx: Transaction) -> None:
        captured = self._progress.captured
        columns = tx.read_rows(list(captured), self._progress.first_row, self.config.learn_rows)
        answered = {name for name in columns if captured[name] == "prediction"}
        named = answered if self.config.predictions == "auto" else {*self.config.predictions}
        watched = {
            name: values
            for name, values in columns.items()
            if name not in self.config.ignore and (name in named or name not in answered)
        }
        try:
            baseline = Baseline.fit(
                watched,
                predictions=[name for name in watched if name in named],
                source="learned from traffic",
            )
        except BaselineError as error:  # such as nothing but identifiers: wait for other traffic
            self._progress.first_row = tx.last_row()
            tx.trim_rows()
            text = f"no baseline yet: {error}"
            self._say(logging.WARNING, LEARNED, text, columns=[], rows=0, fingerprint="")
            return
        self._use(tx, baseline)
        self._say_learned(baseline)

    def _lacks_outputs(self, watch: Watch) -> bool:
        return not watch.predictions and self.config.store == "rows"

    def _learn_outputs(self, tx: Transaction, watch: Watch) -> None:
        """Make signals of the outputs that the baseline lacks, once enough rows have them."""
        names = [
            name
            for name, role in self._progress.captured.items()
            if role == "prediction" and self._is_learnable(watch, name)
        ]
        columns = tx.read_rows(names, self._progress.first_row, self.config.keep_rows)
        answered = [
            row for row in zip(*columns.values(), strict=True) if any(v is not None for v in row)
        ]
        if len(answered) < self.config.learn_rows:
            return
        values = zip(*answered[: self.config.learn_rows], strict=True)
        learned = {name: list(column) for name, column in zip(columns, values, strict=True)}
        try:
            outputs = Baseline.fit(
                learned, predictions=list(learned), source="learned from traffic"
            )
        except BaselineError:  # outputs that cannot be watched, such as a fresh id each
            self._progress.predicted = 0
            self._progress.first_row = tx.last_row()
            return
        self._use(tx, watch.baseline.extended(outputs))
        self._say_learned(outputs)

    def _is_learnable(self, watch: Watch, output: str) -> bool:
        """Say whether an output that the baseline lacks is to become a signal."""
        named = self.config.predictions
        return (
            (named == "auto" or output in named)
            and output not in self.config.ignore
            and output not in watch.baseline.columns
            and not is_secret(output)
        )

    # Watching.

    def _related(self, tx: Transaction, watch: Watch, batch: Batch) -> Batch:
        """Leave out what other routes of the app answer: JSON too, but not of the model."""
        if self._endpoints.issuperset(batch.endpoints):
            return batch
        kept = []
        for i, (rows, endpoint) in enumerate(zip(batch.rows, batch.endpoints, strict=True)):
            if endpoint in self._endpoints:
                kept.append(i)
            elif is_about(rows, watch.features):
                if len(self._endpoints) >= MAX_ENDPOINTS:  # an app that names no templates
                    self._endpoints.clear()
                self._endpoints.add(endpoint)
                kept.append(i)
        if len(kept) == len(batch.rows):
            return batch
        tx.count({f"skipped:{UNRELATED}": len(batch.rows) - len(kept)})
        return Batch(
            [batch.rows[i] for i in kept],
            [batch.at[i] for i in kept],
            [batch.endpoints[i] for i in kept],
        )

    def _record(self, tx: Transaction, watch: Watch, batch: Batch) -> Batch:
        """Tally and keep rows up to the next check, and make it if it is due."""
        pending, _ = tx.pending()
        part, rest = batch.split(max(self.config.check_every - pending, 0))
        outputs = None if self._lacks_outputs(watch) else watch.predictions
        table = tabulate(part.rows, features=watch.features, predictions=outputs, at=part.at)
        watch = self._note_captured(watch, table)
        places, values = watch.counter.place(table, self._progress.captured)
        if self.config.store == "rows":
            others = [name for name in table.outputs if self._is_learnable(watch, name)]
            values |= {name: _plain(table.columns[name]) for name in others}
            tx.append_rows(_row_times(table), values, watch.types)
        tx.append_tallies(
            list(
                tallies(
                    watch.counter,
                    places,
                    table.requests,
                    since=pending,
                    check_every=self.config.check_every,
                )
            )
        )
        self._count(tx, table)
        if pending + len(table.requests) >= self.config.check_every:
            self._check(tx, watch)
        return rest

    def _note_captured(self, watch: Watch, table: Table) -> Watch:
        """Remember which columns traffic has shown, and that one is an output after all."""
        columns = {*watch.baseline.columns}
        new = [
            name
            for name in table.columns.keys() - self._progress.captured.keys()
            if name in columns or self._is_learnable(watch, name)
        ]
        if not new:
            return watch
        self._progress.captured |= {name: _role(table, name) for name in new}
        roles = {signal.column: signal.role for signal in watch.baseline.signals}
        if any(roles.get(name) == "feature" and name in table.outputs for name in new):
            self._replace(self._build(watch.baseline))
        return self._watch or watch

    def _count(self, tx: Transaction, table: Table) -> None:
        tx.count({"requests": len(table.requests), "rows": table.rows})
        if self._watch is None or self._lacks_outputs(self._watch):
            self._progress.predicted += sum(table.predicted)

    def _check(self, tx: Transaction, watch: Watch) -> None:
        """Move the detector one step, on the tallies since the last check."""
        started = time.perf_counter()
        found = tx.pending_tallies()
        assert self._state is not None  # noqa: S101  # there is one whenever there is a watch
        slices = np.array([tally.counts for tally in found])
        self._state = watch.detector.check(self._state, slices)
        verdicts = watch.detector.verdict(self._state)
        levels = {verdict.name: severity(verdict) for verdict in verdicts}
        check = Check(
            number=tx.last_check_number() + 1,
            at=self._now(),
            requests=sum(tally.requests for tally in found),
            rows=sum(tally.rows for tally in found),
            data=self._worst(watch, levels, "feature"),
            prediction=self._worst(watch, levels, "prediction"),
            moved={name: level for name, level in levels.items() if level != "none"},
        )
        check.severity = _worst(one for one in (check.data, check.prediction) if one != "unknown")
        check.milliseconds = round((time.perf_counter() - started) * 1000, 3)
        counts = watch.counter.layout.split(slices.sum(axis=0).tolist())
        tx.append_check(
            check,
            watch.baseline.fingerprint,
            msgspec.json.encode(counts),
            msgspec.json.encode(summary(verdicts)),
        )
        self._conclude(check)
        if self._lacks_outputs(watch) and self._progress.predicted >= self.config.learn_rows:
            self._learn_outputs(tx, watch)

    def _worst(self, watch: Watch, levels: Mapping[str, Severity], role: Role) -> Severity:
        """Return the worst level of what is captured on one side; unknown where nothing is."""
        captured = self._progress.captured
        return _worst(
            levels[signal.name]
            for signal in watch.baseline.signals
            if signal.role == role and signal.column in captured
        )

    # Saying so, once the transaction is there to stay.

    def _conclude(self, check: Check) -> None:
        previous = self._progress.check.severity if self._progress.check else "unknown"
        self._progress.check = check
        fields = {
            "check": check.number,
            "severity": check.severity,
            "data": check.data,
            "prediction": check.prediction,
            "moved": check.moved,
        }
        text = f"{check.number}, severity {check.severity}" + _listed(check.moved)
        more = {"requests": check.requests, "rows": check.rows, "milliseconds": check.milliseconds}
        self._say(logging.INFO, CHECK, text, **fields, **more)
        if check.severity != previous:
            self._progress.since = check.at
            grave = check.severity in ("medium", "high")
            text = f"{previous} to {check.severity}" + _listed(check.moved)
            level = logging.WARNING if grave else logging.INFO
            self._say(level, SEVERITY_CHANGED, text, previous=previous, **fields)

    def _say_learned(self, baseline: Baseline) -> None:
        names = [signal.name for signal in baseline.signals]
        text = f"{len(names)} signals from {baseline.rows} rows"
        self._say(
            logging.INFO,
            LEARNED,
            text,
            columns=names,
            rows=baseline.rows,
            fingerprint=baseline.fingerprint,
        )

    def _say(self, level: int, event: str, message: str, **fields: Any) -> None:
        self._events.append(lambda: log(level, event, message, **fields))

    def _now(self) -> str:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        return at.replace("+00:00", "Z")


def _role(table: Table, name: str) -> Role:
    return "prediction" if name in table.outputs else "feature"


def _row_times(table: Table) -> list[float]:
    return [at for at, rows in zip(table.at, table.requests, strict=True) for _ in range(rows)]


def _plain(column: list[Any]) -> list[Any]:
    """Turn values that nobody has read yet into what a database can hold."""
    return [_plain_value(value) for value in column]


def _plain_value(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else numbers([value]).item()
    return value if type(value) is float else level(value)


def _watched(progress: Progress) -> tuple[str, dict[str, Role]]:
    """Return what decides what is watched."""
    captured = progress.captured.items()
    return progress.fingerprint, {name: role for name, role in captured if role == "prediction"}


def _worst(levels: Iterable[Severity]) -> Severity:
    return max(levels, key=SEVERITIES.index, default="unknown")


def _listed(moved: dict[str, Severity]) -> str:
    worst_first = sorted(moved, key=lambda name: -SEVERITIES.index(moved[name]))
    return f" ({', '.join(worst_first[:5])}{', ...' if len(moved) > 5 else ''})" if moved else ""
