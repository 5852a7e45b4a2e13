"""Recorder: one batch of rows in; rows, tallies, checks and state out, in one transaction.

It has no thread and no queue, and it may live in any number of processes: what they share is in
the buffer.  `monitor` calls it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate

import msgspec

from drift_middleware.alerting import Alerting
from drift_middleware.buffer import DamagedError, Store, Transaction, pack, pack_slices
from drift_middleware.capture import tabulate
from drift_middleware.capture.relevance import are_bare, is_about, is_bare
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.detector import Detector, carry
from drift_middleware.drift.report import summary
from drift_middleware.drift.state import State
from drift_middleware.drift.tally import slices_of, tallies
from drift_middleware.errors import BaselineError, StoreError
from drift_middleware.events import say_check, say_learned, say_not_learned
from drift_middleware.judging import judge, judge_segments
from drift_middleware.learning import fit_baseline, fit_outputs, is_learnable, learnable, plain
from drift_middleware.logger import DEGRADED, log
from drift_middleware.pacing import go_on
from drift_middleware.period import written
from drift_middleware.privacy import append_rows
from drift_middleware.schemas import Check, Table
from drift_middleware.segments import (
    Segments,
    carried,
    discover,
    pack_states,
    shared_by,
    unpack_states,
)
from drift_middleware.steering import Steering
from drift_middleware.watch import JUDGING, Batch, Progress, View, Watch

PROGRESS = "progress"
STATE = "detector"
SEGMENTS = "segments"
MAX_ENDPOINTS = 10_000
TOGETHER = 500
"exchanges that are counted without a rest: 5 ms, about what a server waits for its turn anyway"
UNRELATED = "no column of the baseline"
"reason for a skipped exchange: JSON, but not of the model"


class Recorder(Steering):
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
        self.alerts: Alerting | None = None
        self.give_way: Callable[[], None] = go_on
        "called between pieces of the work: where it shares the process with a server, to rest"
        self._configured = baseline
        self._clock = clock
        # The shared progress and state as this process last saw or wrote them.
        self._raw: bytes | None = None
        self._saved: State | None = None
        self._of_parent: Store | None = None
        self._progress = Progress()
        self._watch: Watch | None = None
        self._state: State | None = None
        self._segments: Segments | None = None
        self._segment_states: dict[str, State] = {}
        self._endpoints: set[str] = set()  # that have sent a column of the baseline
        self._events: list[Callable[[], None]] = []

    def open(self) -> None:
        """Bring the buffer and the configured baseline together.  Raises StoreError."""
        try:
            self._open()
        except DamagedError as error:  # go on in a new file, with what the old one still says
            log(logging.ERROR, DEGRADED, str(error), reason=str(error))
            with suppress(StoreError), error.remains() as tx:
                self._load(tx)
                self.view = View(self._progress, self._watch, self._state)
                self.view = self._look(tx)  # where the counters can be read, too
            self._forget()
            self._open()

    def _open(self) -> None:
        self.store.open()
        configured = self._configured.fingerprint if self._configured else ""
        with self.transaction() as tx:
            if self._progress.configured != configured:
                self._start(tx, self._configured)
            self._progress.options = {name: getattr(self.config, name) for name in JUDGING}

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
            with self.transaction():
                pass

    def write(self, batch: Batch) -> None:
        """Write one batch, and make the checks that fall due.  All of it, or StoreError."""
        with self.transaction() as tx:
            tx.count(batch.counters)
            rest = batch
            while rest.rows:
                if self._watch is None:
                    rest = self._learn(tx, rest)
                else:
                    rest = self._record(tx, self._watch, self._related(tx, self._watch, rest))

    def check_if_time(self) -> None:
        """Make the check that falls due by time alone.  Raises StoreError."""
        seconds, seen = self.config.check_seconds, self.view
        if seconds is None or not seen.pending or seen.watch is None:
            return
        if abs(self._clock() - seen.progress.checked_at) >= seconds:
            with self.transaction() as tx:  # another process may have made it meanwhile
                if self._watch is not None and tx.pending()[0] and self._elapsed() >= 1:
                    self._check(tx, self._watch)

    # What all workers share.

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
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
        events, self._events = self._events, []  # said now that it is there to stay
        for event in events:
            event()

    def _forget(self) -> None:
        self._raw = self._saved = self._state = self._watch = self._segments = None
        self._segment_states = {}
        self._progress = Progress()
        self._events.clear()

    def _load(self, tx: Transaction) -> None:
        """Take over what another worker changed: little, as a rule, and a new state at a check."""
        raw = tx.get(PROGRESS)
        if raw is None:
            self._resume(tx)
        elif raw != self._raw:
            before, self._progress = self._progress, msgspec.json.decode(raw, type=Progress)
            self._raw = raw
            is_other = self._watch is None or before.watched() != self._progress.watched()
            if is_other:
                document = tx.get_baseline(self._progress.fingerprint)
                self._watch = None
                if document is not None:
                    self._watch = self._build(msgspec.json.decode(document, type=Baseline))
            if is_other or before.segments != self._progress.segments:
                self._find_segments()
            if self._watch is not None and (is_other or before.check != self._progress.check):
                self._load_state(tx, self._watch.detector)

    def _load_state(self, tx: Transaction, detector: Detector) -> None:
        state = tx.get(STATE)
        try:
            self._state = detector.start() if state is None else detector.restore(state)
        except ValueError as error:  # of another version, or damaged: the history is still good
            self._state = detector.start()
            text = f"the detector starts afresh: {error}"
            self._events.append(partial(log, logging.WARNING, DEGRADED, text, reason=str(error)))
        self._saved = self._state
        if self._segments is not None:
            watches = self._segments.watches
            self._segment_states = unpack_states(tx.get(SEGMENTS) or b"", watches)

    def _save(self, tx: Transaction) -> None:
        raw = msgspec.json.encode(self._progress)
        if raw != self._raw:
            tx.put(PROGRESS, raw)
            self._raw = raw
        if self._state is not None and self._state is not self._saved:
            tx.put(STATE, self._state.to_bytes())
            self._saved = self._state
            if self._segments is not None:
                tx.put(SEGMENTS, pack_states(self._segment_states))

    def _look(self, tx: Transaction) -> View:
        progress = msgspec.structs.replace(self._progress, captured=dict(self._progress.captured))
        learned = None
        if self._watch is None:
            learned = tx.last_row() - progress.first_row
        elif self._lacks_outputs(self._watch) and progress.predicted:
            learned = progress.predicted
        segments = {
            name: (watch, self._segment_states.get(name) or watch.detector.start())
            for name, watch in (self._segments.watches.items() if self._segments else ())
        }
        view = View(
            progress, self._watch, self._state, tx.counters(), tx.pending()[0], segments, learned
        )
        return self.alerts.shown(tx, view) if self.alerts else view

    def _start(
        self, tx: Transaction, baseline: Baseline | None, configured: str | None = None
    ) -> None:
        """Begin afresh with a baseline, or without one; the history stays."""
        own = baseline.fingerprint if baseline else ""
        self._progress = Progress(
            options=self._progress.options,
            configured=own if configured is None else configured,
            begun=self._now(),
            first_row=tx.last_row(),
            first_check=tx.last_check_number(),
            since=self._now(),
            checked_at=self._clock(),
            alarms=self._progress.alarms,
        )
        self._progress.note_seen(tx.counters())
        self._watch = self._state = self._segments = None
        self._segment_states = {}
        tx.put(SEGMENTS, b"")
        tx.forget_tallies()
        if baseline:
            self._use(tx, baseline)

    def _resume(self, tx: Transaction) -> None:
        """Go on in a new file, where the one before was lost, with all that is known of it."""
        known = self.view
        tx.count(known.counters)
        if known.watch is None or known.state is None:
            self._start(tx, self._configured)
            return
        baseline = known.watch.baseline
        tx.put_baseline(baseline.fingerprint, baseline.source, msgspec.json.encode(baseline))
        captured = dict(known.progress.captured)
        self._progress = msgspec.structs.replace(known.progress, captured=captured, first_row=0)
        self._watch, self._state = known.watch, known.state
        self._find_segments()
        self._segment_states = {name: state for name, (_, state) in known.segments.items()}

    def _use(self, tx: Transaction, baseline: Baseline) -> None:
        tx.put_baseline(baseline.fingerprint, baseline.source, msgspec.json.encode(baseline))
        self._progress.fingerprint = baseline.fingerprint
        self._progress.note_joint(baseline.joint)
        self._replace(self._build(baseline))

    def _build(self, baseline: Baseline) -> Watch:
        captured = self._progress.captured
        outputs = {name: role for name, role in captured.items() if role == "prediction"}
        baseline = baseline.with_roles(outputs)
        return Watch(baseline, self.config, shared_by=shared_by(baseline, self.config))

    def _replace(self, watch: Watch) -> None:
        """Watch something else; what was known of the same signals stays known."""
        if self._watch and self._state:
            self._state = carry(self._state, self._watch.detector, watch.detector)
        else:
            self._state = watch.detector.start()
        before, self._watch = self._segments, watch
        self._find_segments()
        if before is not None and self._segments is not None:
            self._segment_states = carried(self._segment_states, before, self._segments)

    def _find_segments(self) -> None:
        self._segments = None
        if self._watch is not None and self.config.segment_by is not None:
            self._segments = Segments(self._watch, self.config, self._progress.segments)

    # Learning a baseline, or the outputs that it lacks.

    def _learn(self, tx: Transaction, batch: Batch) -> Batch:
        """Keep rows until there are enough to make a baseline of."""
        needed = self.config.learn_rows - (tx.last_row() - self._progress.first_row)
        sums = accumulate(len(rows.features) for rows in batch.rows)
        requests = next((i for i, rows in enumerate(sums, 1) if rows >= needed), len(batch.rows))
        part, rest = batch.split(requests)
        table = tabulate(part.rows, features=None, predictions=None, at=part.at)
        columns = learnable(table.columns)
        append_rows(tx, self.config, table.row_times, columns, {})
        self._count(tx, table)
        for name in columns:
            self._progress.captured.setdefault(name, table.role(name))
        if table.rows >= needed:
            self._finish_learning(tx)
        return rest

    def _finish_learning(self, tx: Transaction) -> None:
        try:
            baseline = fit_baseline(tx, self._progress, self.config)
        except BaselineError as error:  # such as nothing but identifiers: wait for other traffic
            self._progress.first_row = tx.last_row()
            tx.trim_rows()
            self._events.append(partial(say_not_learned, str(error)))
            return
        self._use(tx, baseline)
        self._events.append(partial(say_learned, baseline))

    def _lacks_outputs(self, watch: Watch) -> bool:
        return not watch.predictions and self.config.store == "rows"

    def _learn_outputs(self, tx: Transaction, watch: Watch) -> None:
        """Make signals of the outputs that the baseline lacks, once enough rows have them."""
        try:
            outputs = fit_outputs(tx, self._progress, self.config, watch)
        except BaselineError:  # outputs that cannot be watched, such as a fresh id each
            self._progress.predicted = 0
            self._progress.first_row = tx.last_row()
            return
        if outputs is not None:
            self._use(tx, watch.baseline.extended(outputs))
            self._events.append(partial(say_learned, outputs))

    # Watching.

    def _related(self, tx: Transaction, watch: Watch, batch: Batch) -> Batch:
        """Leave out what other routes of the app answer: JSON too, but not of the model."""
        bare = len(watch.features) > 1 and are_bare(batch.rows)
        if self._endpoints.issuperset(batch.endpoints) and not bare:
            return batch
        kept = []
        for i, (rows, endpoint) in enumerate(zip(batch.rows, batch.endpoints, strict=True)):
            if endpoint in self._endpoints and not (bare and is_bare(rows)):
                kept.append(i)
            elif is_about(rows, watch.features, watch.vectors):
                if len(self._endpoints) >= MAX_ENDPOINTS:  # an app that names no templates
                    self._endpoints.clear()
                self._endpoints.add(endpoint)
                kept.append(i)
        if len(kept) == len(batch.rows):
            return batch
        tx.count({f"skipped:{UNRELATED}": len(batch.rows) - len(kept)})
        return batch.only(kept)

    def _record(self, tx: Transaction, watch: Watch, batch: Batch) -> Batch:
        """Tally and keep rows up to the next check, and make it if it is due."""
        pending, _ = tx.pending()
        part, rest = batch.split(min(max(self.config.check_every - pending, 0), TOGETHER))
        outputs = None if self._lacks_outputs(watch) else watch.predictions
        table = tabulate(
            part.rows,
            features=watch.features,
            predictions=outputs,
            at=part.at,
            vectors=watch.vectors,
            beside=self._segments.columns if self._segments else (),
        )
        self.give_way()
        watch = self._note_captured(watch, table)
        placed = watch.counter.place(table, self._progress.captured)
        self.give_way()
        if self.config.store == "rows":
            values = placed.values
            others = [name for name in table.outputs if is_learnable(self.config, watch, name)]
            values |= {name: plain(table.columns[name]) for name in others}
            append_rows(tx, self.config, table.row_times, values, watch.types)
            self.give_way()
        slices = slices_of(
            len(table.requests), pending, self.config.check_every, at_least=self._elapsed()
        )
        tx.append_tallies(list(tallies(watch.counter, placed, table.requests, slices)))
        if self._segments is not None:
            self._record_segments(tx, self._segments, table, part.segments, slices)
        self._count(tx, table)
        if pending + len(table.requests) >= self.config.check_every or self._elapsed() >= 1:
            self.give_way()
            self._check(tx, watch)
        return rest

    def _record_segments(
        self,
        tx: Transaction,
        segments: Segments,
        table: Table,
        of_request: Sequence[str | None],
        slices: Sequence[int],
    ) -> None:
        """Tally each segment's rows, apart; watch new ones that have enough."""
        labels = segments.labels(table, of_request)
        captured = self._progress.captured
        tx.append_tallies(list(segments.tallies(table, labels, captured, slices)))
        if segments.are_found:
            found = discover(self._progress.segment_rows, labels)
            if found != self._progress.segments:
                self._progress.segments = found
                self._find_segments()

    def _elapsed(self) -> float:
        """Return how much of the time between two checks has passed, 1 when one is due."""
        seconds, now = self.config.check_seconds, self._clock()
        # A clock that was set back: begin again, or there would be no check until it is there.
        self._progress.checked_at = min(self._progress.checked_at, now)
        return 0.0 if seconds is None else (now - self._progress.checked_at) / seconds

    def _note_captured(self, watch: Watch, table: Table) -> Watch:
        """Remember which columns traffic has shown, and that one is an output after all."""
        columns = {*watch.baseline.columns}
        new = [
            name
            for name in table.columns.keys() - self._progress.captured.keys()
            if name in columns or is_learnable(self.config, watch, name)
        ]
        if not new:
            return watch
        self._progress.captured |= {name: table.role(name) for name in new}
        self._progress.note_joint(watch.baseline.joint)
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
        captured = self._progress.captured
        watches = self._segments.watches if self._segments else {}
        whole = judge(watch, self._state, found.get("", []), captured)
        self._state, self._progress.moved_pair = whole.state, whole.moved_pair
        check = Check(
            number=self._last_number(tx) + 1,
            at=self._now(),
            requests=sum(tally.requests for tally in found.get("", [])),
            rows=whole.rows,
            severity=whole.severity,
            data=whole.data,
            prediction=whole.prediction,
            moved=whole.moved,
            segments=judge_segments(watches, self._segment_states, found, captured),
        )
        check.milliseconds = round((time.perf_counter() - started) * 1000, 3)
        tx.append_check(
            check,
            watch.baseline.fingerprint,
            pack(whole.slices.sum(axis=0)),
            msgspec.json.encode(summary(whole.verdicts)),
            pack_slices(whole.slices, captured),
        )
        self._conclude(tx, check)
        if self._lacks_outputs(watch) and self._progress.predicted >= self.config.learn_rows:
            self._learn_outputs(tx, watch)

    def _last_number(self, tx: Transaction) -> int:
        before = self._progress.check  # of a file that was lost, maybe
        return max(tx.last_check_number(), before.number if before else 0)

    def _conclude(self, tx: Transaction, check: Check) -> None:
        before, self._progress.check = self._progress.check, check
        self._progress.checked_at = self._clock()
        self._progress.note_seen(tx.counters())
        if before is None or check.severity != before.severity:
            self._progress.since = check.at
        self._events.append(partial(say_check, check, before))
        if self.alerts is not None:
            self._progress.alarms = self.alerts.queue(tx, self._look(tx), check, before)

    def _now(self) -> str:
        return written(datetime.fromtimestamp(self._clock(), UTC))
