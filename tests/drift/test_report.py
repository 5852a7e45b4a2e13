import re
from math import isfinite

import msgspec
import numpy as np
import pytest

from drift_middleware.drift.cells import cut_levels, cut_numbers
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.report import cell_shares, severity, signal_reports, summary
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import Counter
from drift_middleware.schemas import SignalReport, Table
from tests.counting import count

SENTENCE = re.compile(r"([\d.]+) % of rows are (.+); ([\d.]+) % were in the baseline")
FIRST_CHECK = 10


def cut(values):
    if isinstance(values[0], str):
        return cut_levels(list(values))
    return cut_numbers(np.array(values, float), np.random.default_rng(0))


def judge(baseline, live, checks=2):
    """Fit every column of a baseline and judge live columns against it."""
    signals = [Signal(name, name, "feature", cut(values)) for name, values in baseline.items()]
    detector, counter = Detector(signals), Counter(signals, np.random.default_rng(0))
    state = detector.start()
    rows = len(next(iter(live.values())))
    kept = {name: list(values) for name, values in live.items()}
    placed = counter.place(Table(rows, kept, predicted=[True] * rows), list(baseline))
    for part in np.array_split(np.arange(rows), checks):
        state = detector.check(state, in_slices(counter, placed, part))
    return detector, state


def in_slices(counter, placed, rows):
    parts = np.array_split(rows, 10)
    return np.array([count(counter, placed, one[0], one[-1] + 1) for one in parts])


def reports(baseline, live, captured=None, **options):
    detector, state = judge(baseline, live, **options)
    names = list(baseline) if captured is None else captured
    return signal_reports(detector, state, captured=names, first_check=FIRST_CHECK)


def report(baseline, live, **options):
    (one,) = reports({"x": list(baseline)}, {"x": list(live)}, **options)
    return one


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def normal(rng, rows=2000, by=0.0):
    return rng.normal(by, 1, rows)


@pytest.mark.parametrize(("by", "side"), [(1.0, "above"), (-1.0, "at most")])
def test_a_shift_is_told_as_the_side_of_the_line_that_grew(rng, by, side):
    baseline, live = normal(rng), normal(rng, 4000, by)
    one = report(baseline, live)
    now, where, was = SENTENCE.fullmatch(one.why).groups()
    assert (one.severity, where.rpartition(" ")[0]) == ("high", side)
    at = float(where.split()[-1])
    for share, values in ((was, baseline), (now, live)):
        beyond = np.mean(values > at) if side == "above" else np.mean(values <= at)
        assert float(share) / 100 == pytest.approx(beyond, abs=0.03)


def test_a_lump_is_told_as_the_interval_that_it_lies_in(rng):
    live = np.where(rng.random(4000) < 0.3, 0.3, normal(rng, 4000))
    one = report(normal(rng), live)
    now, where, was = SENTENCE.fullmatch(one.why).groups()
    low, high = map(float, re.fullmatch(r"in \((\S+), (\S+)\]", where).groups())
    assert low < 0.3 <= high
    assert float(now) / 100 == pytest.approx(np.mean((live > low) & (live <= high)), abs=0.03)
    assert float(was) == pytest.approx(10, abs=0.1)


def test_a_value_that_many_rows_have_is_told_by_itself(rng):
    baseline = np.where(rng.random(2000) < 0.5, 0.0, rng.lognormal(size=2000))
    one = report(baseline, np.where(rng.random(4000) < 0.9, 0.0, rng.lognormal(size=4000)))
    assert re.search(r"% of rows are (at most )?0; ", one.why)


def test_a_level_whose_share_grew_is_named(rng):
    one = report(rng.choice(list("abc"), 2000), rng.choice(list("aaaabc"), 4000))
    now, where, was = SENTENCE.fullmatch(one.why).groups()
    assert where == "'a'"
    assert (float(now), float(was)) == pytest.approx((66.7, 33.3), abs=4)


def test_a_new_level_is_told_as_never_seen(rng):
    one = report(rng.choice(list("abc"), 2000), rng.choice(list("abcd"), 4000))
    assert one.unseen == pytest.approx(0.25, abs=0.03)
    said = (
        r"2\d\.\d % of (rows are never seen; none were in the baseline"
        r"|values are outside of all that the baseline showed)"
    )
    assert re.fullmatch(said, one.why)
    assert next(cell.baseline for cell in one.cells if cell.cell == "never seen") == 0


@pytest.mark.parametrize("level", ["never seen", "other levels"])
def test_a_level_is_quoted_and_told_apart_from_our_own_words(rng, level):
    one = report(rng.choice([level, *"ab"], 2000), rng.choice([level] * 4 + [*"ab"], 4000))
    assert SENTENCE.fullmatch(one.why)[2] == repr(level)


def test_the_shares_of_the_baseline_are_those_of_its_rows(rng):
    levels = ["a"] * 150 + ["b"] * 40 + [f"once {number}" for number in range(60)]
    shares = {one.cell: one.baseline for one in cell_shares(cut(levels), np.zeros(12))}
    assert (shares["a"], shares["b"], shares["never seen"]) == (0.6, 0.16, 0)
    assert shares["other levels"] == pytest.approx(52 / 250)
    numbers = {one.cell: one.baseline for one in cell_shares(cut([1, 1, 1, 2]), np.zeros(3))}
    assert numbers == {"1": 0.75, "2": 0.25, "never seen": 0}
    line = cell_shares(cut(normal(rng)), np.zeros(14))
    assert line[0].baseline == line[-1].baseline == 0


def test_fewer_new_levels_than_before_are_not_what_moved(rng):
    def rows(count, shares, new):
        drawn = rng.choice(["a", "b", ""], count, p=shares)
        return [level or f"{new} {number}" for number, level in enumerate(drawn)]

    # Two in five rows of the baseline are of a level of their own, so as many new ones are due.
    one = report(rows(2000, [0.3, 0.3, 0.4], "old"), rows(4000, [0.5, 0.2, 0.3], "new"))
    assert SENTENCE.fullmatch(one.why)[2] == "'a'"


def test_values_beyond_all_that_was_seen_are_told_as_such(rng):
    baseline = rng.uniform(0, 1, 2000)
    live = np.where(rng.random(4000) < 0.1, 5.0, rng.uniform(0, 1, 4000))
    one = report(baseline, live)
    assert one.unseen == pytest.approx(0.1, abs=0.02)
    assert re.fullmatch(r"\d+\.\d % of values are outside of all that the baseline showed", one.why)


def test_missing_values_are_told_with_both_shares(rng):
    baseline = np.where(rng.random(2000) < 0.02, np.nan, normal(rng))
    live = np.where(rng.random(4000) < 0.3, np.nan, normal(rng, 4000))
    one = report(baseline, live)
    assert one.missing == pytest.approx((0.02, 0.3), abs=0.02)
    said = re.fullmatch(
        r"(\S+) % of rows have no value; (\S+) % had none in the baseline", one.why
    ).groups()
    assert [float(share) / 100 for share in said] == pytest.approx(one.missing[::-1], abs=0.001)


def test_what_is_as_before_is_told_to_be(rng):
    one = report(normal(rng), normal(rng, 1000))
    assert one.why == "as in the baseline, as far as these rows can tell"
    assert (one.severity, one.changed, one.since_check) == ("none", False, None)


def test_a_change_too_small_to_matter_is_told_to_be(rng):
    one = report(normal(rng, 20_000), normal(rng, 12_000, 0.1))
    assert (one.severity, one.changed) == ("none", True)
    assert one.why.startswith("changed, too little to matter so far: ")


def test_a_change_is_dated_in_the_numbers_of_the_history(rng):
    live = np.concatenate([normal(rng, 2000), normal(rng, 500, 3)])
    assert report(normal(rng), live, checks=5).since_check == FIRST_CHECK + 5


def test_the_worst_comes_first_and_what_was_not_captured_not_at_all(rng):
    baseline = {name: normal(rng) for name in ("same", "far", "near", "absent")}
    live = {"same": normal(rng), "far": normal(rng, by=3), "near": normal(rng, by=0.5)}
    found = reports(baseline, live, captured=["same", "far", "near"])
    assert [one.name for one in found] == ["far", "near", "same"]


def test_the_summary_of_a_check_has_the_numbers_of_the_report(rng):
    detector, state = judge({"x": normal(rng)}, {"x": normal(rng, by=1)})
    (one,) = signal_reports(detector, state, captured=["x"], first_check=0)
    verdicts = detector.verdict(state)
    assert severity(verdicts[0]) == one.severity
    assert summary(verdicts) == {
        "x": {
            "severity": one.severity,
            "moved": one.moved,
            "at_least": one.at_least,
            "evidence": one.evidence,
        }
    }


def test_distances_are_shown_with_what_chance_would_give(rng):
    one = report(normal(rng), normal(rng, 1000))
    assert one.distances.keys() == one.by_chance.keys() >= {"total_variation", "psi", "ks"}
    assert one.distances["total_variation"] < 2 * one.by_chance["total_variation"]


def test_cells_of_one_value_are_merged(rng):
    cells = cut(np.where(rng.random(2000) < 0.45, 0.0, rng.lognormal(size=2000)))
    assert len(set(cells.labels())) < len(cells.labels())
    shares = cell_shares(cells, np.ones(len(cells)))
    assert [one.cell for one in shares] == list(dict.fromkeys(cells.labels()))
    assert sum(one.baseline for one in shares) == pytest.approx(1, abs=1e-3)
    assert sum(one.live for one in shares) == pytest.approx(1, abs=1e-3)
    zero = next(one for one in shares if one.cell == "0")
    assert zero.live * len(cells) == pytest.approx(cells.labels().count("0"), abs=1e-3)


@pytest.mark.parametrize("name", ["other", "other levels", "never seen", "never seen (cell)"])
def test_a_level_is_not_merged_with_cells_that_are_called_alike(name):
    levels = [f"level {number % 20}" for number in range(200)]
    cells = cut_levels([name, "never seen"] * 50 + levels)
    names = [one.cell for one in cell_shares(cells, np.ones(len(cells)))]
    assert len(set(names)) == len(names) == len(cells)
    assert name in names


def test_without_live_rows_all_live_shares_are_zero():
    cells = cut(["a", "a", "b"])
    assert [one.live for one in cell_shares(cells, np.zeros(len(cells)))] == [0.0] * len(cells)


BIG = 1.7e308
HARD = {
    "huge": ([-BIG, BIG, 0.0] * 100, [BIG, -BIG] * 50),
    "huge line": (list(np.linspace(-1, 1, 300) * BIG), [BIG] * 100),
    "infinite": ([float("inf"), 1.0, 2.0] * 100, [-float("inf")] * 100),
    "tiny": (list(np.linspace(0, 5e-323, 300)), [5e-324] * 100),
    "constant": ([5.0] * 200, [6.0] * 100),
    "all gone": ([1.0, 2.0, 3.0] * 70, [None] * 100),
    "texts": (["\x1b[31m\n", "\0", "🙂", '"'] * 60, ["x" * 10_000, "\x1b[31m\n"] * 50),
    "the same": ([1.0] * 200, [1.0] * 100),
}


@pytest.mark.parametrize("name", HARD)
def test_extreme_values_give_a_report_that_is_json_and_finite(name):
    baseline, live = HARD[name]
    one = report(baseline, live)
    assert msgspec.json.decode(msgspec.json.encode(one), type=SignalReport) == one
    numbers = [one.moved, one.at_least, one.evidence, one.unseen, *one.missing]
    numbers += [*one.distances.values(), *one.by_chance.values()]
    numbers += [share for cell in one.cells for share in (cell.baseline, cell.live)]
    assert all(isfinite(number) for number in numbers)
    assert one.why
    assert one.why.isprintable()


def test_a_column_without_a_value_that_gets_some_is_told(rng):
    signals = [Signal("x", "x", "feature", cut_levels([None] * 300))]
    detector, counter = Detector(signals), Counter(signals, rng)
    placed = counter.place(Table(200, {"x": ["new"] * 200}, predicted=[True] * 200), ["x"])
    counts = in_slices(counter, placed, np.arange(200))
    state = detector.check(detector.start(), np.array(counts))
    (one,) = signal_reports(detector, state, captured=["x"], first_check=0)
    assert one.missing == (1.0, 0.0)
    assert one.why == "0.0 % of rows have no value; 100.0 % had none in the baseline"
