"""OpenTelemetry: the same numbers as observable instruments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from drift_middleware.export.metrics import Metric, Source, metrics
from drift_middleware.schemas import Report

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

FRESH_SECONDS = 0.5
"a report serves all instruments of one collection, which asks them one by one"
UNITS = {"": "1", "ratio": "1", "seconds": "s", "bytes": "By"}


def observe(monitor: Source, meter: Meter | None = None) -> None:
    """Make an instrument of each number of `/_drift/metrics`: `drift.severity`, and so on.

    Parameters
    ----------
    monitor
        A `Monitor`, or the one of a `DriftMiddleware`.
    meter
        By default that of the global provider.
    """
    if meter is None:
        from opentelemetry.metrics import get_meter

        meter = get_meter("drift_middleware")
    newest = _Newest(monitor)
    for metric in metrics(Report()):
        is_counter = metric.kind == "counter"
        make = meter.create_observable_counter if is_counter else meter.create_observable_gauge
        callback: Callable[[CallbackOptions], Iterable[Observation]]
        callback = partial(_observed, newest, metric.name)
        make(
            f"drift.{metric.name}",
            [callback],
            unit=UNITS[metric.unit],
            description=f"{metric.help}.",
        )


class _Newest:
    """The metrics of the newest report, which is made anew when it is not fresh."""

    def __init__(self, monitor: Source) -> None:
        self._monitor = monitor
        self._lock = threading.Lock()
        self._at = -FRESH_SECONDS
        self._metrics: dict[str, Metric] = {}

    def get(self, name: str) -> Metric:
        with self._lock:
            if time.monotonic() - self._at >= FRESH_SECONDS:
                self._monitor.drain()
                found = metrics(self._monitor.report())
                self._metrics = {metric.name: metric for metric in found}
                self._at = time.monotonic()
            return self._metrics[name]


def _observed(newest: _Newest, name: str, _options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    for labels, value in newest.get(name).samples:
        yield Observation(value, labels)
