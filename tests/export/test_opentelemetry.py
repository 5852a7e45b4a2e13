import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from drift_middleware.export import opentelemetry
from drift_middleware.export.metrics import metrics
from drift_middleware.export.opentelemetry import observe
from drift_middleware.schemas import Report


@pytest.fixture
def reader(monkeypatch):
    monkeypatch.setattr(opentelemetry, "FRESH_SECONDS", 0.0)
    return InMemoryMetricReader()


def read(reader):
    """Collect, to `{name: (unit, {attributes: value})}`."""
    (resource,) = reader.get_metrics_data().resource_metrics
    (scope,) = resource.scope_metrics
    return {
        metric.name: (
            metric.unit,
            {tuple(point.attributes.values()): point.value for point in metric.data.data_points},
        )
        for metric in scope.metrics
    }


def test_every_number_is_observed_with_its_unit_and_its_attributes(reader, watching, record):
    one = watching()
    record(one, 2, shift=4)
    observe(one, MeterProvider([reader]).get_meter("test"))
    found = read(reader)
    names = {f"drift.{metric.name}" for metric in metrics(one.report()) if metric.samples}
    assert found.keys() == names
    assert found["drift.severity"][1]["all",] == 3
    assert found["drift.rows"] == ("1", {(): 100})
    assert found["drift.check.duration"][0] == "s"
    assert found["drift.buffer.size"][0] == "By"
    assert found["drift.signal.moved"][1]["amount", "feature"] > 0.5
    record(one, 1)
    assert read(reader)["drift.rows"][1] == {(): 150}


def test_totals_are_counters_that_only_grow(reader, watching):
    observe(watching(), MeterProvider([reader]).get_meter("test"))
    (resource,) = reader.get_metrics_data().resource_metrics
    kinds = {
        metric.name: getattr(metric.data, "is_monotonic", None)
        for metric in resource.scope_metrics[0].metrics
    }
    assert kinds["drift.requests"] is True
    assert kinds["drift.alerts.sent"] is True
    assert kinds["drift.status"] is None


def test_one_report_serves_a_whole_collection(monkeypatch):
    class Source:
        asked = 0

        def drain(self, timeout=5.0):
            return True

        def report(self):
            self.asked += 1
            return Report()

    monkeypatch.setattr(opentelemetry, "FRESH_SECONDS", 3600.0)
    source, reader = Source(), InMemoryMetricReader()
    observe(source, MeterProvider([reader]).get_meter("test"))
    read(reader)
    assert source.asked == 1


def test_without_a_meter_the_global_provider_gives_one(watching):
    observe(watching())
