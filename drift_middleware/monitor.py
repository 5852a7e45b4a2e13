"""Monitor: one thread per process that drains, reads, writes, checks and publishes."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from drift_middleware.config import Config
from drift_middleware.control import Control
from drift_middleware.errors import ConfigError, StoreError
from drift_middleware.inbox import Inbox
from drift_middleware.logger import DEGRADED, DROPPED, RECOVERED, log
from drift_middleware.overhead import Overhead
from drift_middleware.pacing import Pace
from drift_middleware.period import period
from drift_middleware.schemas import (
    Check,
    Exchange,
    Report,
    Rows,
    Severity,
    SignalReport,
)
from drift_middleware.tee import Item, unpack
from drift_middleware.writing import Writer

if TYPE_CHECKING:
    from drift_middleware.buffer import Store
    from drift_middleware.capture.reader import Reader
    from drift_middleware.export.sender import Sender
    from drift_middleware.recorder import Recorder
    from drift_middleware.watch import Batch

IDLE_SECONDS = 0.5
"how soon an idle worker learns of the checks of others"
FORK_SECONDS = 1.0
"how long a fork waits for a transaction to end"
SAY_SECONDS = 60.0
"between two lines of the log that say how much was dropped"
PIECE = 64
"exchanges that are read before others have their turn: .4 ms and less"
BATCH = 2000
"exchanges that are written in one transaction: others wait for its end"
NO_EXCHANGE = Exchange("", "")
"where rows were recorded without a server"


class Monitor(Control):
    """Records features and predictions, and says whether they drift.  Needs no server.

    Parameters
    ----------
    config
        All options at once; or give them by name, as `Config.load` takes them.
    clock
        Seconds since the epoch.

    Raises
    ------
    ConfigError, BaselineError, StoreError
        At construction, never later.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        self.config = config or Config.load(**options)
        self.headers: list[tuple[bytes, bytes]] = _headers("unknown", "unknown", "unknown", 0)
        self.max_body_bytes = self.config.max_body_bytes
        self.overhead = Overhead()
        self._clock = clock
        self._recorder: Recorder | None = None
        self._sender: Sender | None = None
        self._is_running = False
        self._begin()
        if self.config.enabled:
            self._recorder = self._prepare()
            self._publish()
            _MONITORS.add(self)
            atexit.register(_close, weakref.ref(self))

    def _prepare(self) -> Recorder:
        """Load the baseline and try the buffer, so that what is wrong is said at start."""
        from drift_middleware.alerting import open_alerts
        from drift_middleware.opening import open_baseline
        from drift_middleware.recorder import Recorder

        config = self.config
        baseline = open_baseline(config)
        recorder = Recorder(config, baseline, self._store(), self._clock)
        recorder.alerts = open_alerts(config, recorder, self._clock)
        self._sender = recorder.alerts.sender(self._writing) if recorder.alerts else None
        recorder.open()
        recorder.close()  # the thread opens its own: servers fork, a connection must not
        return recorder

    def _store(self) -> Store:
        from drift_middleware.buffer import SqliteStore

        config = self.config
        return SqliteStore(
            config.buffer, keep_rows=config.keep_rows, keep_checks=config.keep_checks
        )

    @property
    def severity(self) -> Severity:
        """The worst level of all signals at the last check."""
        check = self._last_check()
        return check.severity if check else "unknown"

    def record(
        self,
        features: Mapping[str, Any] | Sequence[Any],
        prediction: Any = None,
    ) -> None:
        """Record one row (a mapping or a sequence of values) and its prediction.

        For queues, batch jobs and tests; a server's traffic comes through the middleware.  Where
        that drops what there is no room for, this waits, unless the buffer fails.
        """
        if self.config.enabled:
            while self.inbox.is_full and (self.drain() or self._reason is None):
                pass
            predictions = None if prediction is None else [prediction]
            row: Any = list(features)
            if isinstance(features, Mapping):
                row = {_clean(name): value for name, value in features.items()}
            self.inbox.put(Rows([row], predictions, "record"))

    def drain(self, timeout: float = 5.0) -> bool:
        """Wait until all that was queued so far is written; say whether it is."""
        if not self.config.enabled:
            return True
        self._start()
        with self._rounds:
            self._asked += 1
            asked = self._asked
            self.inbox.hurry()
            is_done = self._rounds.wait_for(lambda: self._answered >= asked, timeout)
        return is_done and not self._writer.is_behind

    def close(self, timeout: float = 10.0) -> None:
        """Write what is queued and stop the thread; what comes later starts it again."""
        thread = self._thread
        if self._is_running and thread is not None:
            self._is_stopping.set()
            self.inbox.hurry()
            thread.join(timeout)
            self._is_running = thread.is_alive()
            self.inbox.rest()

    def __enter__(self) -> Self:
        """Go on until the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Write what is queued, and stop."""
        self.close()

    # What is known.  From any thread.

    def report(
        self,
        *,
        window: str | None = None,
        since: str | None = None,
        until: str | None = None,
        segment: str | None = None,
    ) -> Report:
        """Build the report: of the last check, and of what was captured since.

        Parameters
        ----------
        window
            How long back to sum the history too, as `Report.window`: `90m`, `24h`, `7d`, `2w`.
        since, until
            Or from when, and until when if not until now; ISO 8601, UTC if it does not say.
        segment
            Of which the signals are; of everything if not given.

        Raises
        ------
        ConfigError, StoreError
            These are impossible; the history cannot be read.  Never without them.
        """
        from drift_middleware import __version__

        asked = None
        if window or since or until:
            asked = period(self._clock(), window=window, since=since, until=until)
        if self._recorder is None:
            return Report(status="off", version=__version__)
        from drift_middleware.overview import overview, window_report

        unwritten = dict(self._writer.counters)
        report = overview(self._recorder.view, self.config.learn_rows, segment, unwritten)
        report.version = __version__
        if self._reader is not None:
            report.capture.endpoints = self._reader.report()
        report.capture.lag_seconds = round(self.inbox.lag_seconds(self._clock()), 3)
        report.capture.queued = len(self.inbox) + len(self._writer)
        report.capture.added_microseconds = self.overhead.percentiles()
        report.capture.database_bytes = self._recorder.store.size()
        if self._reason is not None:
            report.status, report.reason = "degraded", self._reason
        if asked is not None:
            counted = self._recorder.store.counted(asked.since, asked.until)
            report.window = window_report(self._recorder.view, counted)
        return report

    def metrics(self, *, is_open: bool = False) -> bytes:
        """Write the report as Prometheus takes it; `is_open`: as OpenMetrics."""
        from drift_middleware.export.prometheus import exposition

        return exposition(self.report(), is_open=is_open)

    def signals(self) -> list[SignalReport]:
        """Build the report of every signal that was captured."""
        from drift_middleware.overview import signals_of

        return signals_of(self._recorder.view) if self._recorder else []

    def history(self, limit: int, before: int | None = None) -> list[Check]:
        """Read the newest checks, newest first.  Raises StoreError."""
        return self._recorder.store.history(limit, before) if self._recorder else []

    def signal_history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Read what the newest checks said of one signal, newest first.  Raises StoreError."""
        return self._recorder.store.signal_history(name, limit) if self._recorder else []

    def _last_check(self) -> Check | None:
        return self._recorder.view.progress.check if self._recorder else None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Recorder]:
        """Write what is queued, and keep the thread out while somebody changes what is said."""
        if self._recorder is None:
            raise ConfigError("enabled=False: nothing is watched, and nothing can be changed.")
        self.drain()
        with self._writing:
            yield self._recorder
            self._publish()

    # The thread.

    def _begin(self) -> None:
        """Set up all that belongs to one process."""
        config = self.config
        self.inbox = Inbox(config.max_queue_bytes, self._start, config.max_per_second)
        self._starting = threading.Lock()
        self._writing = threading.RLock()
        self._rounds = threading.Condition()
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_running = False
        self._asked = self._answered = 0
        self._dropped = self._said = self._sampled_out = 0
        self._say_at = 0.0
        self._writer = Writer(self._degrade)
        self._pace = Pace(self._is_pressed)
        self._reason: str | None = None
        self._sender = None
        self._reader: Reader | None = None

    def pause_for_fork(self) -> None:
        """Wait for the end of a transaction: the child would have its locks for ever."""
        self._is_paused = self._writing.acquire(timeout=FORK_SECONDS)

    def resume_in_parent(self) -> None:
        """Let the thread write again."""
        if self._is_paused:
            self._writing.release()

    def begin_in_child(self) -> None:
        """Begin afresh in the child of a fork.

        Thread, queue and what was not written are its parent's, who has them still; its locks may
        be held for ever, and its connection must not be used.
        """
        self._begin()
        if self._recorder is not None:
            self._recorder.begin_in_child(self._store())
            alerts = self._recorder.alerts
            self._sender = alerts.sender(self._writing) if alerts else None

    def _start(self) -> None:
        """Start the thread of this process, if it does not run."""
        with self._starting:
            if self._is_running:
                return
            self._is_stopping.clear()
            self._thread = threading.Thread(target=self._run, name="drift-monitor", daemon=True)
            self._thread.start()
            self._is_running = True

    def _run(self) -> None:
        assert self._recorder is not None  # noqa: S101  # no thread is started without
        recorder, inbox, rounds = self._recorder, self.inbox, self._rounds
        recorder.give_way = self._pace.give_way
        stopping = self._is_stopping
        while True:
            last, asked = stopping.is_set(), self._asked
            with self._writing:
                self._pace.begin()
                self._round(recorder, inbox)
            with rounds:
                self._answered = asked
                rounds.notify_all()
            if last:
                self._finish(inbox)
                recorder.close()
                return
            if not stopping.is_set():
                inbox.wait(IDLE_SECONDS, self._pace.gather_seconds())

    def _is_pressed(self) -> bool:
        """Say whether somebody waits for the thread."""
        return self._asked != self._answered or self._is_stopping.is_set()

    def _round(self, recorder: Recorder, inbox: Inbox) -> None:
        """Write all that is queued, and take over what other processes wrote."""
        reason = self._reason
        try:
            self._note_dropped(inbox)
            if self._writer.is_resting and not self._is_stopping.is_set():
                inbox.note(self._clock())
            else:
                self._catch_up(recorder, inbox)
                if self._reason == reason:  # nothing new went wrong in this round
                    self._recover()
        except StoreError as error:
            self._degrade(str(error))
        except Exception as error:  # noqa: BLE001  # the outermost loop: nothing may end the thread
            self._writer.counters["errors"] += 1
            self._degrade(f"unexpected {type(error).__name__}: {error}")
        self._publish()
        self.overhead.want(time.monotonic())

    def _catch_up(self, recorder: Recorder, inbox: Inbox) -> None:
        """Write what was queued when this began: under a load beyond us it would never end."""
        writer, began, queued = self._writer, self._clock(), len(inbox)
        writer.retry(recorder)
        while items := inbox.take(min(BATCH, queued), self._clock()):
            queued -= len(items)
            writer.write(recorder, self._read(items, inbox.moment))
            self._publish()
            self._pace.give_way()
        inbox.caught_up(began)
        if writer.counters:
            writer.write(recorder, self._read([], began))
        recorder.refresh()
        recorder.check_if_time()
        if self._sender and not self._is_stopping.is_set():
            self._sender.turn()

    def _finish(self, inbox: Inbox) -> None:
        """Do what is left when the thread ends, and say what could not be done."""
        if self._sender:
            self._sender.finish()
        self._say_at = 0.0
        self._say_dropped()
        lost = len(inbox) + len(self._writer)
        if lost:
            text = f"{lost} requests could not be written, and are lost if the process ends"
            log(logging.ERROR, DEGRADED, text, reason=text)

    def _read(self, items: list[Item], now: float) -> Batch:
        """Turn what was queued into rows, and count what gives none.  Empties `items`."""
        from drift_middleware.capture.reader import Reader
        from drift_middleware.segments import label_of
        from drift_middleware.watch import Batch

        batch, reader = Batch(), self._reader or Reader(endpoints=self.config.endpoint)
        watch = self._recorder.view.watch if self._recorder else None
        reader.columns = watch.features if watch else ()
        self._reader, counters, by = reader, self._writer.counters, self.config.segment_by
        limit = self.max_body_bytes
        items.reverse()
        while items:
            if not len(items) % PIECE:
                self._pace.give_way()
            # Let go of at once: the more lives, the more the garbage collector looks through.
            content = unpack(items.pop(), now, limit)
            if content is None:
                continue
            rows = content if isinstance(content, Rows) else reader.read(content)
            if rows.skipped:
                counters[f"skipped:{rows.skipped}"] += 1
                continue
            if rows.unaligned:
                counters["unaligned"] += 1
            batch.rows.append(rows)
            exchange = NO_EXCHANGE if isinstance(content, Rows) else content
            batch.endpoints.append(exchange.endpoint)
            if by is not None:
                batch.segments.append(label_of(by, exchange.endpoint, exchange.request_headers))
        batch.at = [now] * len(batch.rows)
        return batch

    def _note_dropped(self, inbox: Inbox) -> None:
        new = inbox.dropped - self._dropped
        if new:
            self._dropped += new
            self._writer.counters["dropped"] += new
        self._say_dropped()
        new = inbox.sampled_out - self._sampled_out
        if new:
            self._sampled_out += new
            self._writer.counters["sampled_out"] += new
        inbox.pace(time.monotonic())

    def _say_dropped(self) -> None:
        """Say how much was dropped since that was last said, if it was not said just now."""
        new, now = self._dropped - self._said, time.monotonic()
        if new and now >= self._say_at:
            self._said, self._say_at = self._dropped, now + SAY_SECONDS
            log(
                logging.WARNING,
                DROPPED,
                f"{new} requests, the queue was full",
                dropped=new,
                reason="queue full",
            )

    def _degrade(self, reason: str) -> None:
        if self._reason is None:  # say so once, not at every attempt
            log(logging.ERROR, DEGRADED, reason, reason=reason)
        self._reason = reason

    def _recover(self) -> None:
        if self._reason is not None:
            self._reason = None
            log(logging.INFO, RECOVERED)

    def _publish(self) -> None:
        check = self._last_check()
        said = (check.severity, check.data, check.prediction) if check else ("unknown",) * 3
        self.headers = _headers(*said, check.number if check else 0)


_MONITORS: weakref.WeakSet[Monitor] = weakref.WeakSet()


def _all(method: Callable[[Monitor], None]) -> Callable[[], None]:
    def call() -> None:
        for monitor in list(_MONITORS):
            method(monitor)

    return call


if hasattr(os, "register_at_fork"):  # servers fork when they like, often after the app is built
    os.register_at_fork(
        before=_all(Monitor.pause_for_fork),
        after_in_parent=_all(Monitor.resume_in_parent),
        after_in_child=_all(Monitor.begin_in_child),
    )


def _clean(name: Any) -> str:
    """Name a column so that it can be written: a lone surrogate has no UTF-8."""
    return str(name).encode("utf-8", "replace").decode()


def _headers(severity: str, data: str, prediction: str, check: int) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-drift-severity", severity.encode()),
        (b"x-drift-data", data.encode()),
        (b"x-drift-prediction", prediction.encode()),
        (b"x-drift-check", b"%d" % check),
    ]


def _close(reference: weakref.ref[Monitor]) -> None:
    monitor = reference()
    if monitor is not None:
        with contextlib.suppress(Exception):
            monitor.close(timeout=5)
