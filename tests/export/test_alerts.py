import pytest

from drift_middleware.export.alerts import changes, details, headline, is_for
from drift_middleware.schemas import Alarm, Alert, AlertSignal, Check, SegmentCheck

HOSTILE = "age\x1b[31m\nSubject: forged\r\u202e<b>"


def check(severity, number=1, segments=None):
    said = {
        name: SegmentCheck(10, level, level, "none", {}) for name, level in (segments or {}).items()
    }
    return Check(number=number, at="", requests=1, rows=1, severity=severity, segments=said)


def told(levels, alert_at="medium", repeat_after=None, step=1.0):
    """Tell of one check after the other, an hour or so apart."""
    alarms, before, lines = {}, None, []
    for number, level in enumerate(levels):
        one = check(level, number)
        found = changes(
            one,
            before,
            alarms,
            alert_at=alert_at,
            repeat_after=repeat_after,
            now=number * step,
        )
        lines += [(number, change.kind, change.previous, change.severity) for change in found]
        before = one
    return lines


@pytest.mark.parametrize(
    ("levels", "lines"),
    [
        (["none", "none", "low", "none"], []),
        (["none", "medium", "medium"], [(1, "change", "none", "medium")]),
        (["high", "high"], [(0, "change", "unknown", "high")]),
        (["low", "high"], [(1, "change", "low", "high")]),
        (["medium", "high"], [(0, "change", "unknown", "medium"), (1, "change", "medium", "high")]),
        (["high", "medium"], [(0, "change", "unknown", "high"), (1, "change", "high", "medium")]),
        (
            ["high", "low", "none"],
            [(0, "change", "unknown", "high"), (1, "recovery", "high", "low")],
        ),
        (["high", "unknown", "high"], [(0, "change", "unknown", "high")]),
        (
            ["high", "unknown", "none"],
            [(0, "change", "unknown", "high"), (2, "recovery", "high", "none")],
        ),
    ],
    ids=str,
)
def test_people_hear_of_changes_at_or_above_the_level_and_of_their_end(levels, lines):
    assert told(levels) == lines


@pytest.mark.parametrize(
    ("level", "heard"),
    [("low", ["low", "medium", "high"]), ("medium", ["medium", "high"]), ("high", ["high"])],
)
def test_the_level_is_as_it_is_set(level, heard):
    lines = told(["none", "low", "medium", "high"], alert_at=level)
    assert [severity for *_, severity in lines] == heard


def test_what_stays_is_repeated_at_its_interval_from_when_it_was_last_told():
    kinds = [(number, kind) for number, kind, *_ in told(["high"] * 8, repeat_after=3)]
    assert kinds == [(0, "change"), (3, "repeat"), (6, "repeat")]
    lines = told(["medium", "medium", "high", "high", "high", "high"], repeat_after=3)
    assert [(number, kind) for number, kind, *_ in lines][1:] == [(2, "change"), (5, "repeat")]


def test_a_segment_has_its_own_severity_and_one_without_rows_says_nothing():
    alarms = {}
    steps = [{"UA": "none", "AA": "high"}, {"UA": "medium"}, {"UA": "medium", "AA": "none"}]
    lines, before = [], None
    for number, segments in enumerate(steps):
        one = check("none", number, segments)
        found = changes(one, before, alarms, alert_at="medium", repeat_after=None, now=0)
        lines += [(number, change.kind, change.segment, change.previous) for change in found]
        before = one
    assert lines == [
        (0, "change", "AA", "unknown"),
        (1, "change", "UA", "none"),
        (2, "recovery", "AA", "high"),
    ]
    assert alarms == {"UA": Alarm("medium", 0)}


def alert(names=("temp",), kind="change", **options):
    moved = dict.fromkeys(names, "high")
    signals = [AlertSignal(name, "high", 0.824, 0.71, f"why {name}") for name in names]
    one = Check(number=20, at="2026-11-24T17:37:18Z", requests=9, rows=200, moved=moved)
    given = {"id": "1", "kind": kind, "severity": "high", "previous": "none", "check": one}
    return Alert(**given | {"signals": signals[:10], "host": "web-1"} | options)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "Drift none to high: temp (check 20, /_drift)"),
        ({"kind": "repeat"}, "Drift still high: temp (check 20, /_drift)"),
        (
            {"kind": "recovery", "severity": "low", "previous": "high", "names": ()},
            "Drift over, high to low (check 20, /_drift)",
        ),
        ({"path": "/x"}, "Drift none to high: temp (check 20, /x)"),
        ({"names": "abcde"}, "Drift none to high: a, b, c, d, e (check 20, /_drift)"),
        (
            {"names": [f"s{k}" for k in range(12)]},
            "Drift none to high: s0, s1, s2, s3, s4, 7 more (check 20, /_drift)",
        ),
    ],
    ids=str,
)
def test_one_line_says_what_changed_which_signals_moved_worst_and_where_to_look(given, line):
    assert headline(alert(**given)) == line


def test_the_line_of_a_segment_names_it_and_counts_its_own_signals():
    one = alert(segment="UA")
    one.check.segments = {
        "UA": SegmentCheck(9, "high", "high", "none", {"temp": "high", "x": "low"})
    }
    assert headline(one) == "Drift in UA none to high: temp, 1 more (check 20, /_drift)"


def test_the_details_say_why_of_three_signals_and_where_and_when():
    assert details(alert(names=["a", "b", "c", "d"])).splitlines() == [
        *(f"{name}, high: 82% moved, at least 71%. why {name}" for name in "abc"),
        "Check 20 of 200 rows on web-1, 2026-11-24T17:37:18Z",
    ]


def test_no_name_breaks_the_line_or_colours_it():
    one = alert(names=[HOSTILE], segment=HOSTILE)
    one.check.segments = {HOSTILE: SegmentCheck(9, "high", "high", "none", {})}
    assert headline(one).isprintable()
    assert [line.isprintable() for line in details(one).splitlines()] == [True, True]


def test_a_function_gets_changes_of_all_traffic_alone():
    assert is_for("on_change", alert())
    assert is_for("on_change", alert(kind="recovery"))
    assert not is_for("on_change", alert(kind="repeat"))
    assert not is_for("on_change", alert(segment="UA"))
    assert is_for("webhook", alert(kind="repeat", segment="UA"))
