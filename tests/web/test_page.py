"""The page: every report has one, it says what the report says, and no name is markup."""

import base64
import hashlib
import re
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from drift_middleware.drift.thresholds import THRESHOLDS
from drift_middleware.errors import StoreError
from drift_middleware.schemas import (
    AlertsReport,
    BaselineInfo,
    CaptureReport,
    CellShare,
    Check,
    CheckInfo,
    EndpointReport,
    Report,
    SegmentCheck,
    SignalReport,
    WindowReport,
    WindowSignal,
)
from drift_middleware.web import Routes, page
from drift_middleware.web.accept import prefers_page
from drift_middleware.web.effect import LEVELS, Policy
from tests.markup import Reader

AT = "2026-11-24T17:37:09.766Z"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}"


def signal(name="age", severity="high", **fields):
    return SignalReport(
        **{
            "name": name,
            "column": name,
            "role": "feature",
            "kind": "ordered",
            "severity": severity,
            "moved": 0.82 if severity != "none" else 0.0,
            "at_least": 0.71 if severity != "none" else 0.0,
            "evidence": 66.0,
            "changed": severity != "none",
            "since_check": 4 if severity != "none" else None,
            "effective_rows": 400,
            "distances": {"total_variation": 0.85, "psi": 5.8},
            "by_chance": {"total_variation": 0.03, "psi": 0.01},
            "cells": [CellShare("(35, 50]", 0.6, 0.1), CellShare("> 50", 0.4, 0.9)],
            "why": "90.0 % of rows are > 50; 40.0 % were in the baseline",
            **fields,
        }
    )


def check(number, severity="high", moved=("age",)):
    return Check(
        number=number,
        at=AT,
        requests=500,
        rows=500,
        severity=severity,
        data=severity,
        prediction="none",
        moved=dict.fromkeys(moved, severity),
    )


def report(signals=(), **fields):
    signals = list(signals)
    severity = signals[0].severity if signals else "unknown"
    return Report(
        **{
            "severity": severity,
            "data": severity,
            "prediction": "none",
            "status": "watching",
            "since": AT,
            "signals": signals,
            "check": CheckInfo(5, AT, 500, 500, 1.4),
            "baseline": BaselineInfo("baseline.csv", 2000, "a6d69496978b004c", 0.121),
            "capture": CaptureReport(requests=2500, rows=2500),
            "version": "0.1.0",
            **fields,
        }
    )


HISTORY = [check(5), check(4), check(3, "none", ())]
STATUSES = {
    "off": report(status="off", check=None, baseline=None, since=None),
    "learning": report(
        status="learning", check=None, baseline=None, learning={"rows": 812, "needed": 2000}
    ),
    "warming up": report(status="warming up", check=None),
    "watching, nothing captured": report(),
    "watching, learning outputs": report(
        [signal(severity="none")], learning={"rows": 1, "needed": 2000}
    ),
    "watching, quiet": report([signal(severity="none")]),
    "watching, moved": report([signal(), signal("city", "none", kind="categorical")]),
    "degraded": report([signal()], status="degraded", reason="drift.db cannot be written"),
    "degraded at start": report(status="degraded", reason="disk full", check=None, baseline=None),
}


@pytest.mark.parametrize("base", [None, "./_drift"])
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_a_page_that_names_it(status, base):
    read = Reader(page.render_report(STATUSES[status], base=base))
    assert status.partition(",")[0].removesuffix(" at start") in read.text
    assert len(read.named("h1")) == 1
    assert len(read.named("main")) == 1


def test_the_page_says_what_moved_by_how_much_since_when_and_why():
    text = Reader(page.render_report(STATUSES["watching, moved"], history=HISTORY)).text
    assert "1 of 2 signals moved" in text
    assert "71\u00a0% at least, about 82\u00a0%" in text
    assert "since check 4" in text
    assert "24 Nov 17:37" in text
    assert "90.0 % of rows are > 50; 40.0 % were in the baseline" in text


def test_what_stands_in_the_way_is_said():
    text = Reader(page.render_report(STATUSES["degraded"], note="The history is gone.")).text
    assert "drift.db cannot be written" in text
    assert "The history is gone." in text


@pytest.mark.parametrize(
    ("more", "is_alarm", "said"),
    [
        ({"dropped": 9}, True, "could be read. More came than there was room for."),
        ({"sampled_out": 9}, False, "were read, chosen at random, as max_per_second wants it."),
    ],
    ids=["dropped", "sampled out"],
)
def test_a_sample_that_was_asked_for_is_said_and_is_no_alarm(more, is_alarm, said):
    some = Report(status="watching", capture=CaptureReport(sampled=0.5, **more))
    html = page.render_report(some)
    assert ('class="alarm" aria-labelledby="sampled"' in html) is is_alarm
    assert said in Reader(html).text


def test_learning_says_how_far_it_is():
    read = Reader(page.render_report(STATUSES["learning"]))
    assert "812 of 2,000 rows" in read.text
    assert read.named("progress") == [{"max": "2000", "value": "812"}]


def test_the_capture_is_told_with_its_reasons_segments_and_window():
    full = report(
        [signal()],
        capture=CaptureReport(requests=9, rows=7, skipped={"not a prediction": 1234}, dropped=3),
        not_captured=["height"],
        segments={"UA": SegmentCheck(40, "medium", "medium", "none", {"age": "medium"})},
        window=WindowReport(
            since=AT, until=AT, checks=3, requests=1500, rows=1500, signals=[window_signal("age")]
        ),
    )
    text = Reader(page.render_report(full, base="./_drift", asked={"window": "24h"})).text
    for words in ("not a prediction 1,234", "height", "UA", "1,500 rows of 3 checks", "0.850"):
        assert words in text


def window_signal(name):
    return WindowSignal(
        name=name,
        rows=1500,
        distances={"total_variation": 0.85, "psi": 5.8},
        by_chance={"total_variation": 0.03, "psi": 0.01},
        cells=signal().cells,
    )


def with_names(name):
    """A report in which every word of strangers is this one."""
    cells = [CellShare(name, 0.5, 0.1), CellShare("other", 0.5, 0.9)]
    one = signal(name, cells=cells, why=name)
    return report(
        [one, signal(name, "none", cells=cells)],
        status="degraded",
        reason=name,
        baseline=BaselineInfo(name, 2000, "a6d6", 0.1, {name: name}),
        not_captured=[name],
        capture=CaptureReport(
            skipped={name: 1},
            added_microseconds={"p50": 2.2},
            database_bytes=4096,
            endpoints=[EndpointReport(endpoint=name, content_type=name, skipped={name: 1})],
        ),
        alerts=AlertsReport(failed=1, last_error=name),
        segments={name: SegmentCheck(40, "high", "high", "high", {name: "high"})},
        segment=None,
        window=WindowReport(since=AT, until=AT, checks=1, note=name, signals=[window_signal(name)]),
    )


def pages_with(name):
    one = with_names(name)
    segment = msgspec.structs.replace(one, segment=name)
    history = [check(2, moved=(name,)), check(1, moved=(name,))]
    lines = [{"check": 1, "at": AT, "severity": "high", "moved": 1, "at_least": 1, "evidence": 2}]
    asked = {"window": name, "segment": name}
    return {
        "report": page.render_report(one, history=history, base="./_drift", asked=asked, note=name),
        "file": page.render_report(one, history=history),
        "segment": page.render_report(segment, history=history, base="./_drift", asked=asked),
        "signal": page.render_signal(one.signals[0], history=lines, base="./_drift"),
        "history": page.render_history(history, base="./_drift"),
        "refusal": page.render_refusal(404, name, base="./_drift"),
    }


@pytest.mark.parametrize("kind", pages_with("age"))
def test_no_name_is_markup(kind):
    tame, hostile = (Reader(pages_with(name)[kind]) for name in ("age", HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in tame.tags]
    assert [sorted(attributes) for _, attributes in hostile.tags] == [
        sorted(attributes) for _, attributes in tame.tags
    ]
    if kind != "history":  # where names are cut short
        assert "<script>alert(1)</script>" in hostile.text


SPECIMENS = {
    "of 200 characters": "n" * 200,
    "right to left": "عمر السائق",
    "turning the direction": "a\u202egnp.exe",
    "emoji": "👩‍👩‍👧 🔥",
    "empty": "",
    "control characters": "a\x00\x1b[31mb\r\n",
    "lone surrogate": "a\ud800",
    "percent": "50%/?#&+",
}


@pytest.mark.parametrize("name", SPECIMENS.values(), ids=SPECIMENS)
def test_every_name_has_a_page(name):
    for markup in pages_with(name).values():
        assert Reader(markup.encode().decode()).text


names = st.text(max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(0, 1)
severities = st.sampled_from(["unknown", "none", "low", "medium", "high"])
distances = st.dictionaries(st.sampled_from(["total_variation", "psi", "ks"]), numbers)


@st.composite
def signals(draw):
    found = draw(distances)
    return signal(
        draw(names),
        draw(severities),
        moved=draw(numbers),
        at_least=draw(numbers),
        kind=draw(st.sampled_from(["ordered", "categorical"])),
        since_check=draw(st.none() | st.integers(0, 9)),
        distances=found,
        by_chance=found,
        missing=draw(st.tuples(shares, shares)),
        unseen=draw(shares),
        cells=draw(st.lists(st.builds(CellShare, names, shares, shares), max_size=4)),
        why=draw(names),
    )


@settings(max_examples=60)
@given(
    st.builds(
        report,
        st.lists(signals(), max_size=4),
        status=st.sampled_from(["learning", "warming up", "watching", "degraded", "off"]),
        severity=severities,
        data=severities,
        prediction=severities,
        since=st.none() | st.just(AT),
        check=st.none() | st.just(CheckInfo(5, AT, 500, 500, 1.4)),
        segment=st.none() | names,
        reason=st.none() | names,
        learning=st.none() | st.just({"rows": 0, "needed": 2000}),
        window=st.none() | st.builds(WindowReport, note=st.none() | names),
    ),
    st.lists(st.builds(check, st.integers(1, 9), severities, st.lists(names)), max_size=4),
    st.none() | st.just("./_drift"),
)
def test_every_report_has_a_page(one, history, base):
    read = Reader(page.render_report(one, history=history, base=base))
    assert len(read.named("h1")) == 1
    for each in one.signals:
        assert Reader(page.render_signal(each, base=base)).named("h1") == [{"id": "verdict"}]


def test_headings_go_down_one_step_at_a_time():
    for markup in pages_with("age").values():
        levels = [int(tag[1]) for tag, _ in Reader(markup).tags if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_table_has_a_caption_and_every_head_a_scope():
    for markup in pages_with("age").values():
        read = Reader(markup)
        assert len(read.named("table")) == len(read.named("caption"))
        assert all("scope" in attributes for attributes in read.named("th"))


def test_a_file_has_no_script_and_asks_for_nothing_else():
    read = Reader(page.render_report(with_names("age"), history=HISTORY))
    assert read.named("script") == []
    assert all(attributes["href"].startswith("data:") for attributes in read.named("link"))
    assert all(attributes["href"].startswith("#") for attributes in read.named("a"))


def test_the_policy_of_a_page_knows_its_style_by_its_hash():
    markup = page.render_report(report())
    style = re.search(r"<style>(.*?)</style>", markup, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.content_policy()
    assert f"sha256-{digest}" in markup


def test_no_markup_has_a_style_of_its_own_that_the_policy_would_refuse():
    for markup in pages_with("age").values():
        assert not [attributes for _, attributes in Reader(markup).tags if "style" in attributes]


def test_two_hundred_signals_fit_into_150_kilobytes():
    many = [signal(f"feature_{i:03d}", cells=signal().cells * 7) for i in range(200)]
    moved = [one.name for one in many]
    windowed = WindowReport(
        since=AT,
        until=AT,
        checks=9,
        signals=[
            msgspec.structs.replace(window_signal(name), cells=many[0].cells) for name in moved
        ],
    )
    markup = page.render_report(
        report(many, window=windowed),
        history=[check(i, ("none", "high")[i % 2], moved) for i in range(1000)],
        base="./_drift",
    )
    assert len(markup.encode()) < 150_000
    assert all(name in markup for name in moved)


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    (frame,) = Reader(page.render_notebook(with_names(HOSTILE))).tags
    assert frame[0] == "iframe"
    assert frame[1]["sandbox"] is None
    assert frame[1]["srcdoc"] == page.render_report(with_names(HOSTILE))


# Levels and units.


def test_the_usual_levels_are_those_that_judge():
    assert LEVELS == THRESHOLDS


@pytest.mark.parametrize(
    ("policy", "fields", "expected"),
    [
        (Policy(), {}, (0.05, 0.10, 0.20)),
        (Policy("psi"), {"moved": 5.79}, (0.02, 0.10, 0.25)),
        (Policy("ks"), {"kind": "categorical"}, (0.05, 0.10, 0.20)),
        (Policy(), {"moved": 0.3, "missing": (0.0, 0.3)}, (0.002, 0.03, 0.10)),
        (Policy(), {"moved": 0.2, "unseen": 0.2}, (0.002, 0.03, 0.10)),
        (Policy("moved", {"low": 0.1, "medium": 0.2, "high": 0.3}), {}, (0.1, 0.2, 0.3)),
        (Policy("moved", {"age": {"high": 0.4}}), {}, (0.05, 0.1, 0.4)),
        (Policy("moved", {"age": {"high": 0.4}}), {"column": "x"}, (0.05, 0.1, 0.4)),
        (
            Policy("moved", {"missing": {"low": 0.01}}),
            {"moved": 0.3, "missing": (0.0, 0.3)},
            (0.01, 0.03, 0.10),
        ),
    ],
)
def test_an_effect_is_shown_against_the_levels_that_judge_it(policy, fields, expected):
    assert policy.effect(signal(**fields)).levels == expected


def test_only_shares_of_traffic_are_written_in_percent():
    psi = page.render_report(report([signal(moved=5.79, at_least=4.5)]), policy=Policy("psi"))
    assert "4.5 at least, about 5.79" in Reader(psi).text


# Where it is, and who gets it.


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML ; q=0.5", True),
        ("text/html, application/xhtml+xml, image/jxr, */*", True),
        ("application/json;q=0.5, text/html", True),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0.5, application/*;q=0.6, */*;q=0.1", False),
        ("text/html;q=0", False),
        ("text/html;q=many", False),
        ("text/htmlx, ;;;=,", False),
    ],
)
def test_the_page_is_for_those_who_like_it_better_than_json(accept, expected):
    assert prefers_page([(b"accept", accept.encode())]) is expected
    assert prefers_page([]) is False


class Fixed:
    """A source of one report."""

    def __init__(self, one, history=()):
        self.one, self.checks = one, list(history)

    def drain(self, timeout=5.0):
        return True

    def report(self, **asked):
        return self.one

    def signals(self):
        return self.one.signals

    def history(self, limit, before=None):
        return self.checks[:limit]

    def signal_history(self, name, limit):
        return []


class Unreadable(Fixed):
    """A source whose database is gone."""

    def history(self, limit, before=None):
        raise StoreError("drift.db cannot be read: it is gone.")


def client_of(source, token=None, route="/_drift", **options):
    routes = Routes(source, route=route, token=token)
    return TestClient(routes, headers={"accept": BROWSER}, **options)


@pytest.fixture
def client():
    return client_of(Fixed(STATUSES["watching, moved"], HISTORY))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/_drift", 200),
        ("/_drift/", 200),
        ("/_drift?window=24h", 200),
        ("/_drift/history", 200),
        ("/_drift/history?before=4", 200),
        ("/_drift/signals/age", 200),
        ("/_drift/signals/nobody", 404),
        ("/_drift/nothing", 404),
        ("/_drift/history?limit=many", 400),
    ],
)
def test_a_browser_gets_html_with_strict_headers(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == page.content_policy()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "accept" in answer.headers["vary"]


def test_a_program_gets_json_from_the_same_address(client):
    answer = client.get("/_drift", headers={"accept": "*/*"})
    assert answer.headers["content-type"] == "application/json"
    assert "content-security-policy" not in answer.headers
    assert "accept" in answer.headers["vary"]


def test_the_policy_allows_nothing_but_what_is_ours():
    directives = dict(part.split(" ", 1) for part in page.content_policy().split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    assert directives["base-uri"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in page.content_policy()


def test_without_the_history_the_report_is_still_shown():
    answer = client_of(Unreadable(STATUSES["watching, moved"])).get("/_drift")
    assert answer.status_code == 200
    assert "drift.db cannot be read: it is gone." in answer.text
    assert "1 of 2 signals moved" in answer.text


def test_without_the_token_the_page_says_what_is_needed_and_tells_nothing():
    guarded = client_of(Fixed(STATUSES["watching, moved"]), "s3cret")
    for path in ("/_drift", "/_drift?token=s3cret", "/_drift/history", "/_drift/signals/age"):
        answer = guarded.get(path)
        assert answer.status_code == 401
        assert "A token is needed" in answer.text
        assert "age" not in Reader(answer.text).text.split()
    right = guarded.get("/_drift", headers={"authorization": "Bearer s3cret"})
    assert "1 of 2 signals moved" in right.text


def test_the_script_needs_no_token_and_has_its_type():
    guarded = client_of(Fixed(report()), "s3cret")
    answer = guarded.get("/_drift/static/page.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert guarded.head("/_drift/static/page.js").status_code == 200
    assert guarded.get("/_drift/static/page.css").status_code == 401
    assert guarded.post("/_drift/static/page.js").status_code == 401


LINKED = ["age", "a/b", "//", "größe 日本", "50%?#&", "a:b", "with space", "<b>"]


@pytest.mark.parametrize("prefix", ["", "/models/one"])
@pytest.mark.parametrize("route", ["/_drift", "/ops/drift:1"])
@pytest.mark.parametrize("start", ["", "/", "/history", "/signals/a%2Fb", "/nothing/at/all"])
def test_every_link_leads_somewhere_below_any_prefix_and_route(prefix, route, start):
    signals = [signal(name) for name in LINKED]
    source = Fixed(report(signals), [check(2, moved=LINKED), check(1, moved=LINKED)])
    client = client_of(source, route=route, root_path=prefix)
    answer = client.get(f"{prefix}{route}{start}")
    targets = {one["href"] for one in Reader(answer.text).named("a")}
    reached = set()
    for target in targets:
        url = answer.url.join(target)
        assert url.path.startswith(f"{prefix}{route}")
        followed = client.get(url)
        assert followed.status_code == (404 if target == "#main" and "nothing" in start else 200)
        reached.add(Reader(followed.text).text)
    script = next(one["src"] for one in Reader(answer.text).named("script"))
    assert client.get(answer.url.join(script)).headers["content-type"].startswith("text/javascript")
    assert targets
