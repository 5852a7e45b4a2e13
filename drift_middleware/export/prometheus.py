"""Prometheus: a report in its text format, and a collector for who has a registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drift_middleware.export.metrics import Labels, Metric, Source, metrics
from drift_middleware.schemas import Report

if TYPE_CHECKING:
    from prometheus_client import Metric as Family
    from prometheus_client.registry import Collector
else:
    Collector = object

ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposition(report: Report, *, is_open: bool = False) -> bytes:
    """Write a report as Prometheus reads it, or as OpenMetrics."""
    lines: list[str] = []
    for metric in metrics(report):
        # OpenMetrics names the family of a counter without its ending.
        family = metric.family if is_open else metric.full_name
        lines += [f"# HELP {family} {metric.help}.", f"# TYPE {family} {metric.kind}"]
        lines += _lines(metric)
    if is_open:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(metric: Metric) -> list[str]:
    # By its labels: a series that came twice would cost the whole scrape.
    series = {_written(sample.labels): sample.value for sample in metric.samples}
    return [f"{metric.full_name}{labels} {value!r}" for labels, value in series.items()]


def _written(labels: Labels) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}" if labels else ""


def _escaped(value: str) -> str:
    # A lone surrogate has no UTF-8.
    return value.encode("utf-8", "backslashreplace").decode().translate(ESCAPED)


class DriftCollector(Collector):
    """Gives a registry of prometheus_client what `/_drift/metrics` gives.

        REGISTRY.register(DriftCollector(monitor))

    Totals are those of all workers that share the buffer.
    """

    def __init__(self, monitor: Source) -> None:
        self._monitor = monitor

    def describe(self) -> list[Family]:
        """Name nothing ahead: to register must not wait for a database."""
        return []

    def collect(self) -> Iterator[Family]:
        """Measure now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        self._monitor.drain()
        for metric in metrics(self._monitor.report()):
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            labels = list(metric.samples[0].labels) if metric.samples else []
            family = make(metric.family, f"{metric.help}.", labels=labels)
            for sample in metric.samples:
                family.add_metric(list(sample.labels.values()), sample.value)
            yield family
