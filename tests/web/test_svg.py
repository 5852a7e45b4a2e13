"""The pictures: what they draw is what they were given, and no text is markup."""

import re
from xml.etree import ElementTree

import pytest

from drift_middleware.schemas import CellShare, Check
from drift_middleware.web import svg

HOSTILE = "</svg><script>alert(1)</script>&\"'"


def check(number, severity="none", **moved):
    return Check(
        number=number,
        at=f"2026-11-24T10:{number:02d}:00.000Z",
        requests=500,
        rows=500,
        severity=severity,
        moved=moved,
    )


def parsed(markup):
    return ElementTree.fromstring(markup)  # noqa: S314  # ours


def bars(markup, name):
    """Heights of the bars of one kind."""
    path = next((one for one in parsed(markup) if one.get("class") == name), None)
    return [] if path is None else [int(n) for n in re.findall(r"v-(\d+)", path.get("d"))]


def test_a_histogram_parts_what_is_shared_from_what_is_more_and_what_is_less():
    cells = [CellShare("a", 0.5, 0.25), CellShare("b", 0.5, 0.5), CellShare("c", 0.0, 0.25)]
    drawn = svg.histogram(cells, "label")
    assert bars(drawn, "both") == [49, 98]
    assert bars(drawn, "less") == [49]
    assert bars(drawn, "more") == [49]


def test_the_area_of_more_is_the_share_of_rows_that_moved():
    cells = [CellShare("a", 0.7, 0.2), CellShare("b", 0.2, 0.3), CellShare("c", 0.1, 0.5)]
    drawn = svg.histogram(cells, "label")
    whole = sum(bars(drawn, "both")) + sum(bars(drawn, "more"))
    moved = sum(abs(cell.live - cell.baseline) for cell in cells) / 2
    assert sum(bars(drawn, "more")) / whole == pytest.approx(moved, abs=0.02)


@pytest.mark.parametrize("cells", [[], [CellShare("a", 0.0, 0.0)]])
def test_a_histogram_of_nothing_has_no_bar(cells):
    for drawn in (svg.histogram(cells, "none"), svg.large_histogram(cells, "none")):
        assert "<path" not in drawn
        assert not re.search(r'<rect class="(both|more)"[^>]*height="[1-9]', drawn)


def test_a_large_histogram_names_each_cell_and_its_shares():
    cells = [CellShare("(1, 2.5]", 0.5, 0.25), CellShare("> 2.5", 0.5, 0.75)]
    drawn = svg.large_histogram(cells, "label")
    assert [text.text.strip("\u2068\u2069") for text in parsed(drawn).iter("text")] == [
        "\u2264 2.5",
        "> 2.5",
    ]
    assert "25.0% now, 50.0% in the baseline" in next(parsed(drawn).iter("title")).text


def ends(drawn):
    """Where the bound ends, and where the estimate does."""
    paths = {path.get("class"): path.get("d") for path in parsed(drawn)}
    estimate = re.findall(r"H([\d.]+)", paths.get("estimate", ""))
    return float(re.search(r"h([\d.]+)v6", paths["bound"])[1]), [float(end) for end in estimate]


def test_an_effect_goes_to_its_bound_and_on_to_its_estimate():
    bound, (estimate,) = ends(svg.effect(0.36, 0.25, (0.05, 0.1, 0.2), 1.0, "label"))
    assert bound == pytest.approx(0.5 * svg.WIDTH)
    assert estimate == pytest.approx(0.6 * svg.WIDTH)


@pytest.mark.parametrize(
    ("moved", "at_least"), [(0.0, -0.3), (-1.0, 0.0), (7.0, 3.0), (float("inf"), 2.0)]
)
def test_an_effect_stays_within_its_scale(moved, at_least):
    bound, estimate = ends(svg.effect(moved, at_least, (0.05, 0.1, 0.2), 1.0, "label"))
    assert 0 <= bound <= svg.WIDTH
    assert all(bound <= end <= svg.WIDTH for end in estimate)


def test_the_ticks_are_at_the_levels():
    drawn = svg.effect(0.0, 0.0, (0.04, 0.16, 0.25), 1.0, "label")
    tick = next(path.get("d") for path in parsed(drawn) if path.get("class") == "tick")
    assert re.findall(r"M([\d.]+) ", tick) == ["40.0", "80.0", "100.0"]


def test_a_timeline_has_one_stop_for_each_run_of_equal_severities():
    checks = [check(1), check(2), check(3, "high", age="high"), check(4, "high"), check(5)]
    groups = [one for one in parsed(svg.timeline(checks, "label")) if one.tag == "g"]
    assert [group.get("aria-label") for group in groups] == [
        "#1 to #2 · since 24 Nov 10:01 · none",
        "#3 to #4 · since 24 Nov 10:03 · high",
        "#5 · since 24 Nov 10:05 · none",
    ]
    assert {group.get("tabindex") for group in groups} == {"0"}


def test_the_newest_check_is_on_the_right_and_each_has_its_line():
    drawn = parsed(svg.timeline([check(1), check(2, "high", age="high")], "label"))
    texts = [one for one in drawn.iter("g") if one.get("class") is None]
    assert [one.find("text").text for one in texts] == [
        "#1 · 24 Nov 10:01 · none",
        "#2 · 24 Nov 10:02 · high: \u2068age\u2069",
    ]
    last = texts[-1].find("rect")
    assert float(last.get("x")[:-1]) + float(last.get("width")[:-1]) == pytest.approx(100, abs=0.1)


def test_a_worse_severity_is_a_higher_bar():
    heights = [svg.LEVELS[name] for name in ("none", "low", "medium", "high")]
    assert heights == sorted(set(heights))


def test_a_line_of_a_timeline_fits_on_a_phone_and_says_how_many_it_leaves_out():
    moved = {f"a_rather_long_name_{i}": "high" for i in range(9)}
    drawn = svg.timeline([check(1, "high", **moved)], "label")
    (line,) = {text.text for text in parsed(drawn).iter("text")} - {
        "24 Nov 10:01 UTC",
        None,
        *(t.text for t in parsed(drawn).iter("text") if "since" in (t.text or "")),
    }
    assert line.endswith(" +8")
    assert len(line) < 66


def test_an_empty_timeline_is_drawn():
    assert len(parsed(svg.timeline([], "label"))) == 0


def test_a_strip_has_a_bar_for_each_run():
    drawn = parsed(svg.strip(["none", "high", "high", "low", "high"], "label"))
    paths = {path.get("class"): path.get("d") for path in drawn}
    assert paths["high"].startswith("M3 14v-12h6")
    assert [paths[level].count("M") for level in ("high", "low")] == [2, 1]
    assert drawn.get("width") == "15"


@pytest.mark.parametrize("values", [[], [0.0], [-9.0, 0.0, 400.0], [float("-inf"), 1.0]])
def test_lines_stay_within_the_picture(values):
    drawn = svg.lines({"evidence": values}, [0.0], "label")
    numbers = [float(n) for n in re.findall(r"[ML][\d.]+ (-?[\d.]+)", drawn)]
    assert all(0 <= number <= 100 for number in numbers)
    assert "nan" not in drawn
    assert "inf" not in drawn


@pytest.mark.parametrize(
    "drawn",
    [
        svg.histogram([CellShare(HOSTILE, 0.1, 0.2)], HOSTILE),
        svg.large_histogram([CellShare(HOSTILE, 0.1, 0.2)], HOSTILE),
        svg.effect(0.1, 0.1, (0.1, 0.2, 0.3), 1.0, HOSTILE),
        svg.strip(["none"], HOSTILE),
        svg.timeline([check(1, "high", **{HOSTILE: "high"})], HOSTILE),
        svg.lines({"moved": [0.1]}, [], HOSTILE),
    ],
    ids=["histogram", "large", "effect", "strip", "timeline", "lines"],
)
def test_no_text_is_markup(drawn):
    tree = parsed(drawn)
    assert tree.get("aria-label") == HOSTILE
    assert {one.tag for one in tree.iter()} <= {"svg", "g", "rect", "path", "text", "title", "line"}
