import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as open_metrics

from drift_middleware.export import metrics
from drift_middleware.export.prometheus import DriftCollector, exposition
from drift_middleware.schemas import (
    AlertsReport,
    CaptureReport,
    CheckInfo,
    Report,
    SegmentCheck,
    SignalReport,
)

ROOT = Path(__file__).parents[2]
PROMTOOL = shutil.which("promtool", path=os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin")
PARSERS = {
    False: text.text_string_to_metric_families,
    True: open_metrics.text_string_to_metric_families,
}
HOSTILE = 'a"b\\c\nd\r\x1b[31m{}<script>größe,le="1"} 5 # EOF'


def signal(name, moved=0.25, severity="high"):
    return SignalReport(
        name=name,
        column=name,
        role="feature",
        kind="ordered",
        severity=severity,
        moved=moved,
        at_least=moved / 2,
        evidence=1.5,
        changed=True,
        missing=(0.0, 0.125),
        unseen=0.5,
    )


def full(name="age"):
    return Report(
        severity="high",
        data="high",
        prediction="none",
        status="watching",
        check=CheckInfo(20, "2026-11-24T17:37:18.009Z", 200, 200, 2.5),
        signals=[signal(name)],
        segments={name: SegmentCheck(9, "medium", "medium", "unknown", {})},
        capture=CaptureReport(
            requests=4001,
            rows=4002,
            skipped={name: 3},
            unaligned=4,
            dropped=5,
            sampled_out=6,
            errors=6,
            lag_seconds=0.25,
            queued=7,
            added_microseconds={"p50": 2.5},
            database_bytes=8192,
        ),
        alerts=AlertsReport(sent=1, failed=2, given_up=3, pending=4),
        version="0.1",
    )


def parsed(report, is_open=False):
    """Read it as Prometheus would, to `{name: {labels: value}}`."""
    found = {}
    for family in PARSERS[is_open](exposition(report, is_open=is_open).decode()):
        assert family.documentation
        for sample in family.samples:
            key = tuple(sample.labels.values())
            series = found.setdefault(sample.name, {})
            assert key not in series
            series[key] = sample.value
    return found


STATUSES = {("learning",): 0, ("warming up",): 0, ("watching",): 1, ("degraded",): 0, ("off",): 0}
EXPECTED = {
    "drift_severity": {("all",): 3, ("data",): 3, ("prediction",): 0},
    "drift_segment_severity": {("age",): 2},
    "drift_status": STATUSES,
    "drift_info": {("0.1",): 1},
    "drift_checks_total": {(): 20},
    "drift_last_check_timestamp_seconds": {(): 1795541838.009},
    "drift_check_duration_seconds": {(): 0.0025},
    "drift_signal_severity": {("age", "feature"): 3},
    "drift_signal_moved": {("age", "feature"): 0.25},
    "drift_signal_at_least": {("age", "feature"): 0.125},
    "drift_signal_missing_ratio": {("age", "feature"): 0.125},
    "drift_signal_unseen_ratio": {("age", "feature"): 0.5},
    "drift_requests_total": {(): 4001},
    "drift_rows_total": {(): 4002},
    "drift_skipped_total": {("age",): 3},
    "drift_unaligned_total": {(): 4},
    "drift_dropped_total": {(): 5},
    "drift_sampled_out_total": {(): 6},
    "drift_errors_total": {(): 6},
    "drift_sampled_ratio": {(): 1.0},
    "drift_lag_seconds": {(): 0.25},
    "drift_queued_requests": {(): 7},
    "drift_added_seconds": {("50",): 2.5e-6},
    "drift_buffer_size_bytes": {(): 8192},
    "drift_alerts_sent_total": {(): 1},
    "drift_alerts_failed_total": {(): 2},
    "drift_alerts_given_up_total": {(): 3},
    "drift_alerts_pending": {(): 4},
}


@pytest.mark.parametrize("is_open", [False, True], ids=["text", "open"])
def test_each_number_of_the_report_has_its_name_and_its_value(is_open):
    assert parsed(full(), is_open) == EXPECTED


@pytest.mark.parametrize("is_open", [False, True], ids=["text", "open"])
@pytest.mark.parametrize(
    "report", [Report(), Report(status="off", version="0.1")], ids=["new", "off"]
)
def test_what_is_not_known_yet_has_no_series(report, is_open):
    found = parsed(report, is_open)
    assert not found.keys() & {
        "drift_severity",
        "drift_signal_moved",
        "drift_check_duration_seconds",
    }
    assert found["drift_requests_total"] == {(): 0}


@pytest.mark.parametrize("is_open", [False, True], ids=["text", "open"])
def test_a_hostile_name_comes_back_as_it_was_and_forges_nothing(is_open):
    found = parsed(full(HOSTILE), is_open)
    assert found["drift_signal_moved"] == {(HOSTILE, "feature"): 0.25}
    assert found["drift_skipped_total"] == {(HOSTILE,): 3}
    assert found.keys() == EXPECTED.keys()


@given(st.lists(st.text(), unique=True, max_size=5))
def test_any_names_can_be_read_again(names):
    report = Report(signals=[signal(name) for name in names])
    found = parsed(report).get("drift_signal_moved", {})
    assert found == {(name, "feature"): 0.25 for name in names}


def test_names_that_no_utf8_can_hold_do_not_cost_the_others():
    report = Report(signals=[signal("\ud800"), signal("\\ud800"), signal("age")])
    assert ("age", "feature") in parsed(report)["drift_signal_moved"]


def test_only_the_most_moved_signals_have_series_of_their_own():
    report = Report(signals=[signal(str(number), number / 1000) for number in range(250)])
    found = parsed(report)["drift_signal_moved"]
    assert [float(name) for name, _ in found] == list(range(249, 49, -1))
    assert len(found) == metrics.MOST_SIGNALS


def test_openmetrics_ends_as_it_must_and_the_other_does_not():
    assert exposition(full(), is_open=True).endswith(b"\n# EOF\n")
    assert b"EOF" not in exposition(full())


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is in Debian's package prometheus")
@pytest.mark.parametrize("name", ["age", HOSTILE.replace("\r", "")], ids=["plain", "hostile"])
def test_promtool_has_nothing_to_say(name):
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=exposition(full(name)),
        capture_output=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


def test_a_registry_collects_the_same(watching, record):
    one = watching()
    record(one, 2, shift=4)
    registry = CollectorRegistry()
    registry.register(DriftCollector(one))
    wanted = {sample.name: sample for family in registry.collect() for sample in family.samples}
    assert wanted.keys() == parsed(one.report()).keys()
    assert wanted["drift_rows_total"].value == 100
    assert registry.get_sample_value("drift_severity", {"side": "all"}) == 3
    record(one, 1)
    assert registry.get_sample_value("drift_rows_total") == 150


def test_a_worker_that_wrote_nothing_tells_what_all_have_written(watching, record, tmp_path):
    idle = watching()
    idle.drain()
    program = (
        "import sys; from drift_middleware import Monitor\n"
        "one = Monitor(buffer=sys.argv[1], check_every=50)\n"
        "for _ in range(70): one.record({'amount': 9.0, 'city': 'Oslo'}, 0.5)\n"
        "one.close()"
    )
    baseline = tmp_path / "baseline.json"
    idle.config.baseline.save(baseline)
    command = [sys.executable, "-c", program, str(idle.config.buffer)]
    subprocess.run(
        command, check=True, cwd=ROOT, env=os.environ | {"DRIFT_BASELINE": str(baseline)}
    )
    registry = CollectorRegistry()
    registry.register(DriftCollector(idle))
    assert registry.get_sample_value("drift_rows_total") == 70
    assert registry.get_sample_value("drift_checks_total") == 1
