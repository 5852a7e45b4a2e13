import json
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_middleware.drift import dependence
from drift_middleware.drift.cells import cut_levels, cut_numbers
from drift_middleware.drift.detector import Detector, carry
from drift_middleware.drift.natural import natural_variation
from drift_middleware.drift.policies import POLICIES
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import Counter
from drift_middleware.schemas import Table
from tests.counting import count

GOLDEN = json.loads((Path(__file__).parent / "golden_detector.json").read_text())["scenarios"]
NAMES = ("amount", "count", "city", "member", "fixed", "nothing", "score")


def columns(rng, rows, shift=0.0):
    amount = rng.lognormal(shift, 1, rows)
    return {
        "amount": np.where(rng.random(rows) < 0.05 + 0.1 * shift, np.nan, amount),
        "count": rng.poisson(2 + shift, rows).clip(0, 6).astype(float),
        "city": [f"city {c}" for c in rng.zipf(1.7, rows)],
        "member": ["true" if yes else "false" for yes in rng.random(rows) < 0.3 + 0.2 * shift],
        "fixed": np.full(rows, 5.0),
        "nothing": [None] * rows,
        "score": rng.normal(shift, 1, rows),
    }


def signals(rng, names=NAMES, rows=2000):
    table = columns(rng, rows)
    return [
        Signal(
            name=name,
            column=name,
            role="prediction" if name == "score" else "feature",
            cells=cut_numbers(table[name], rng)
            if isinstance(table[name], np.ndarray)
            else cut_levels(table[name]),
        )
        for name in names
    ]


def tallies(watched, rng, rows, shift=0.0, slices=10):
    counter, table = Counter(watched, rng), columns(rng, rows, shift)
    kept = {name: list(table[name]) for name in (signal.name for signal in watched)}
    whole = Table(rows=rows, columns=kept, predicted=[True] * rows)
    placed = counter.place(whole, list(kept))
    return np.array([some(counter, placed, k) for k in np.array_split(np.arange(rows), slices)])


def some(counter, placed, rows):
    return count(counter, placed._replace(places=placed.places[:, rows]))


def by_channel(detector, state, what):
    return [getattr(each, what) for one in detector.verdict(state) for each in one.channels]


@pytest.mark.parametrize("name", GOLDEN)
def test_every_check_gives_the_golden_numbers(name):
    golden = GOLDEN[name]
    detector = Detector(
        msgspec.convert(golden["signals"], list[Signal]),
        tolerance=golden.get("tolerance"),
        shrink=golden.get("shrink"),
        **golden["options"],
    )
    state = detector.start()
    close = {"rtol": 1e-9, "atol": 1e-9}
    for counts, after in zip(golden["checks"], golden["after"], strict=True):
        eased_from = state.level
        state = detector.check(state, np.array(counts))
        assert state.level.tolist() == after["level"]
        assert state.changed.tolist() == after["changed"]
        assert state.since.tolist() == after["since"]
        ended = (state.calm >= 9) & ~state.changed
        found = np.array(by_channel(detector, state, "evidence"))
        np.testing.assert_allclose(found[~ended], np.array(after["evidence"])[~ended], **close)
        moved = np.array(by_channel(detector, state, "moved"))
        pools = np.array([after["segment"], after["recent"]])
        assert (np.abs(moved - pools).min(axis=0) < 1e-9).all()
        np.testing.assert_allclose(moved[~state.changed], pools[1][~state.changed], **close)
        at_least = np.array(by_channel(detector, state, "at_least"))
        raised = state.changed & (state.level >= eased_from)
        bounds = np.maximum(after["at_least"], 0)
        np.testing.assert_allclose(at_least[raised], bounds[raised], **close)
    end = golden["end"]
    np.testing.assert_allclose(state.urn, end["urn"], **close)
    np.testing.assert_allclose(state.calm, end["calm"], **close)
    past = state.dependence
    kappa = dependence.inflation(detector.channels, past, past) if detector.guard else 1.0
    np.testing.assert_allclose(kappa, end["inflation"], **close)


def test_an_ordered_baseline_gives_the_golden_shrink_and_tolerance():
    golden = GOLDEN["ordered_baseline"]
    detector = Detector(msgspec.convert(golden["signals"], list[Signal]))
    shrink, tolerance = natural_variation(
        detector, np.array(golden["fine"]), np.array(golden["coarse"])
    )
    assert shrink == pytest.approx(golden["shrink"], abs=1e-9)
    assert tolerance == pytest.approx(golden["tolerance"], abs=1e-9)
    assert tolerance["normal:value"] > 0.1, "the season that was put into it"


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([0.0, 0.8]))
def test_neither_the_order_of_rows_nor_of_workers_matters(seed, workers, shift):
    rng = np.random.default_rng(seed)
    watched = signals(np.random.default_rng(1), rows=500)
    detector, one, other = Detector(watched), Detector(watched).start(), Detector(watched).start()
    for _ in range(3):
        table = columns(rng, 200, shift)
        slice_of = rng.integers(0, 10, 200)
        counter = Counter(watched, np.random.default_rng(2))
        rows = {name: list(values) for name, values in table.items()}
        whole = Table(rows=200, columns=rows, predicted=[True] * 200)
        placed = counter.place(whole, NAMES)
        one = detector.check(
            one, np.array([some(counter, placed, slice_of == k) for k in range(10)])
        )
        sums = np.zeros((10, counter.layout.size), int)
        for share in np.array_split(rng.permutation(200), workers):
            for k in rng.permutation(10):
                sums[k] += some(counter, placed, share[slice_of[share] == k])
        other = detector.check(other, sums)
    assert one.to_bytes() == other.to_bytes()


def test_the_order_of_signals_does_not_matter():
    rng = np.random.default_rng(3)
    watched = signals(rng)
    backwards = Detector(watched[::-1])
    detector = Detector(watched)
    one, other = detector.start(), backwards.start()
    widths = np.cumsum([len(signal.cells) + 1 for signal in watched])[:-1]
    for shift in (0, 0, 0.7, 0.7):
        counts = tallies(watched, rng, 500, shift)
        one = detector.check(one, counts)
        turned = np.concatenate(np.split(counts, widths, axis=1)[::-1], axis=1)
        other = backwards.check(other, turned)
    here = {verdict.name: verdict.worst for verdict in detector.verdict(one)}
    there = {verdict.name: verdict.worst for verdict in backwards.verdict(other)}
    assert any(worst.level for worst in here.values())
    for name, worst in here.items():
        assert worst.level == there[name].level
        assert worst.evidence == pytest.approx(there[name].evidence, abs=1e-9)


def test_a_check_changes_nothing_in_place():
    rng = np.random.default_rng(4)
    watched = signals(rng)
    detector = Detector(watched)
    state = detector.check(detector.start(), tallies(watched, rng, 300))
    before, counts = state.to_bytes(), tallies(watched, rng, 300, 0.5)
    given_counts = counts.copy()
    once, twice = detector.check(state, counts), detector.check(state, counts)
    assert once.to_bytes() == twice.to_bytes()
    assert state.to_bytes() == before
    assert (counts == given_counts).all()


def test_a_level_rises_only_on_its_lower_bound():
    rng = np.random.default_rng(5)
    watched = signals(rng, rows=1000)
    detector = Detector(watched)
    state, rises = detector.start(), 0
    for shift in np.repeat([0, 0.3, 1, 0.2, 0], 8):
        before = state.level
        state = detector.check(state, tallies(watched, rng, 400, shift))
        at_least = np.array(by_channel(detector, state, "at_least"))
        assert (at_least <= np.array(by_channel(detector, state, "moved")) + 1e-12).all()
        for channel in np.flatnonzero(state.level > before):
            rises += 1
            assert state.changed[channel]
            assert at_least[channel] >= detector.thresholds[channel, state.level[channel] - 1]
    assert rises >= 8


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rows", [0, 1, 10_000_000])
def test_extreme_counts_give_numbers_and_no_warnings(policy, rows):
    watched = signals(np.random.default_rng(6), rows=50)
    detector = Detector(watched, policy=policy)
    state = detector.start()
    for place in (0, -1, 3):
        counts = np.zeros((10, detector.channels.size), np.int64)
        for start, signal in zip(Counter(watched, None).layout.starts, watched, strict=True):
            counts[place, start + place % (len(signal.cells) + 1)] = rows
        state = detector.check(state, counts)
        state = detector.check(state, counts.sum(axis=0))
        for what in ("moved", "at_least", "evidence"):
            assert np.isfinite(by_channel(detector, state, what)).all()
    assert np.isfinite(state.urn).all()
    assert (state.level.max() == 3) == (rows > 1)


def test_nothing_moves_for_a_signal_that_is_not_captured():
    rng = np.random.default_rng(8)
    watched = signals(rng)
    detector = Detector(watched)
    state, start = detector.start(), detector.start()
    late = slice(*np.cumsum([len(signal.cells) + 1 for signal in watched])[[1, 2]])
    cells, channels = detector.channels.find([2])
    for shift in (0, 0, 0, 0.5, 0.5):
        counts = tallies(watched, rng, 500, shift)
        counts[:, late] = 0
        state = detector.check(state, counts)
    assert (state.urn[cells] == start.urn[cells]).all()
    assert not state.bets.wealth[:, channels].any()
    assert not state.dependence.seen[:, channels].any()
    assert not detector.verdict(state)[2].worst.live.any()
    alone = Detector(watched[2:3])
    fresh = alone.start()
    for _ in range(3):  # once its rows come, it is judged as if the detector had just started
        counts = tallies(watched, rng, 500)
        state = detector.check(state, counts)
        fresh = alone.check(fresh, counts[:, late])
    np.testing.assert_allclose(state.urn[cells], fresh.urn)
    np.testing.assert_allclose(state.bets.wealth[:, channels], fresh.bets.wealth)
    np.testing.assert_allclose(state.dependence.variance[..., channels], fresh.dependence.variance)


def test_slices_without_rows_of_a_signal_say_nothing_of_its_dependence():
    rng = np.random.default_rng(9)
    watched = signals(rng, names=["amount"])
    detector, counts = Detector(watched), tallies(watched, rng, 1000)
    gappy = np.insert(counts, [0, 3, 3, 10], 0, axis=0)
    dense = detector.check(detector.start(), counts)
    assert detector.check(detector.start(), gappy).to_bytes() == dense.to_bytes()


def test_a_state_survives_its_round_trip_to_the_last_bit():
    rng = np.random.default_rng(10)
    watched = signals(rng)
    detector = Detector(watched)
    state = detector.start()
    for shift in (0, 0.6, 0.6):
        state = detector.check(state, tallies(watched, rng, 500, shift))
    restored = detector.restore(state.to_bytes())
    assert restored.to_bytes() == state.to_bytes()
    counts = tallies(watched, rng, 500)
    assert detector.check(restored, counts).to_bytes() == detector.check(state, counts).to_bytes()


def test_a_state_of_an_ordered_signal_takes_about_two_kilobytes():
    rng = np.random.default_rng(11)
    cells = cut_numbers(rng.normal(size=1000), rng)
    watched = [Signal(f"x{i}", f"x{i}", "feature", cells) for i in range(20)]
    assert len(Detector(watched).start().to_bytes()) / 20 < 2600


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc1 nonsense", msgspec.msgpack.encode([1] * 11)])
def test_bytes_that_are_no_state_are_refused(data):
    with pytest.raises(ValueError, match="not the state of a detector"):
        Detector(signals(np.random.default_rng(12))).restore(data)


def test_the_state_of_other_signals_is_refused():
    watched = signals(np.random.default_rng(13))
    state = Detector(watched[:3]).start().to_bytes()
    with pytest.raises(ValueError, match="state is of other signals"):
        Detector(watched).restore(state)


def test_a_tally_of_another_size_is_refused():
    detector = Detector(signals(np.random.default_rng(14)))
    with pytest.raises(ValueError, match="3 places"):
        detector.check(detector.start(), np.zeros((1, 3), int))


@pytest.mark.parametrize(
    "options",
    [
        {"policy": "pearson"},
        {"thresholds": {"low": 0.1}},
        {"thresholds": {"low": 0.2, "medium": 0.1, "high": 0.3}},
        {"thresholds": {"low": 0.0, "medium": 0.1, "high": 0.3}},
    ],
    ids=str,
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"no policy|Thresholds"):
        Detector(signals(np.random.default_rng(15), names=["amount"]), **options)
    with pytest.raises(ValueError, match="at least one signal"):
        Detector([])


def test_signals_go_on_when_others_join_or_leave():
    rng = np.random.default_rng(16)
    watched = signals(rng)
    old, new = Detector(watched[:3]), Detector([watched[6], *watched[1:4]])
    width = sum(len(signal.cells) + 1 for signal in watched[:3])
    state = old.start()
    for shift in (0, 1, 1):
        state = old.check(state, tallies(watched, rng, 500, shift)[:, :width])
    carried = carry(state, old, new)
    before = {verdict.name: verdict for verdict in old.verdict(state)}
    after = {verdict.name: verdict for verdict in new.verdict(carried)}
    assert list(after) == ["score", "count", "city", "member"]
    assert carried.check == 3
    assert before["count"].level > 0
    for name in ("count", "city"):
        for was, now in zip(before[name].channels, after[name].channels, strict=True):
            assert (now.level, now.moved, now.since) == (was.level, was.moved, was.since)
            assert (now.live == was.live).all()
    assert not any(channel.live.any() for channel in after["score"].channels)
    assert new.restore(carried.to_bytes()).to_bytes() == carried.to_bytes()


def test_a_signal_that_is_cut_anew_starts_afresh():
    rng = np.random.default_rng(17)
    watched = signals(rng, names=["amount"])
    again = signals(rng, names=["amount"])
    old, new = Detector(watched), Detector(again)
    state = old.check(old.start(), tallies(watched, rng, 500))
    carried = carry(state, old, new)
    assert (carried.urn == new.start().urn).all()


def test_the_budget_is_spent_once():
    watched = signals(np.random.default_rng(18))
    detector = Detector(watched)
    prediction = detector.channels.signal == len(watched) - 1
    assert detector.weight.sum() == pytest.approx(1)
    assert detector.weight[prediction].sum() == pytest.approx(0.2)
    assert Detector(watched[:-1]).weight.sum() == pytest.approx(1)
    assert Detector(watched[-1:]).weight.sum() == pytest.approx(1)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=12),
    st.lists(st.floats(0.01, 1000), min_size=12, max_size=12),
)
def test_columns_divide_the_budget_by_their_weight_however_many_signals_they_have(columns, weights):
    cells = cut_numbers(np.arange(50.0), np.random.default_rng(1))
    few = cut_levels(["a"] * 20)
    watched = [
        Signal(f"{i}.{k}", str(i), "prediction" if is_output else "feature", few if k else cells)
        for i, (parts, is_output) in enumerate(columns)
        for k in range(parts)
    ]
    given_weights = {str(i): weights[i] for i in range(0, len(columns), 2)}
    detector = Detector(watched, weights=given_weights)
    assert detector.weight.sum() == pytest.approx(1)
    assert (detector.weight > 0).all()
    of_signal = np.bincount(detector.channels.signal, detector.weight)
    of_column: dict[str, list[float]] = {}
    for signal, share in zip(watched, of_signal.tolist(), strict=True):
        of_column.setdefault(signal.column, []).append(share)
    is_both = len({is_output for _, is_output in columns}) == 2
    for is_output, together in ((True, 0.2 if is_both else 1), (False, 0.8 if is_both else 1)):
        names = [str(i) for i, column in enumerate(columns) if column[1] == is_output]
        sums = [sum(of_column[name]) / given_weights.get(name, 1) for name in names]
        assert sums == pytest.approx([sums[0]] * len(sums) if sums else [])
        assert not names or sum(sum(of_column[name]) for name in names) == pytest.approx(together)
    for shares in of_column.values():
        assert shares == pytest.approx([shares[0]] * len(shares))


@pytest.mark.parametrize("weight", [0, -1, np.inf, np.nan])
def test_a_weight_is_a_number_above_zero(weight):
    with pytest.raises(ValueError, match="must be numbers above 0"):
        Detector(signals(np.random.default_rng(22), names=["amount"]), weights={"amount": weight})


def test_a_weight_lowers_the_alarm_line_of_its_column():
    watched = signals(np.random.default_rng(23), names=["amount", "score", "count"])
    plain, weighted = Detector(watched), Detector(watched, weights={"amount": 5})
    ratio = weighted.weight / plain.weight
    assert ratio[plain.channels.signal == 0] == pytest.approx(10 / 6)
    assert ratio[plain.channels.signal == 1] == pytest.approx(1)
    assert ratio[plain.channels.signal == 2] == pytest.approx(2 / 6)


def test_the_policy_decides_what_levels_are_about():
    rng = np.random.default_rng(19)
    watched = signals(rng, names=["score"], rows=5000)
    counts = [tallies(watched, rng, 2000, 0.5) for _ in range(3)]
    levels = {}
    for policy, thresholds in product(POLICIES, (None, {"low": 1, "medium": 2, "high": 3})):
        detector = Detector(watched, policy=policy, thresholds=thresholds)
        state = detector.start()
        for slices in counts:
            state = detector.check(state, slices)
        levels[policy, thresholds is None] = detector.verdict(state)[0].channel("value").level
    assert levels == {
        (policy, is_usual): 2 * is_usual for policy in POLICIES for is_usual in (1, 0)
    }
    aside = Detector(watched, thresholds={"score": {"low": 0.5, "medium": 0.6, "high": 0.7}})
    assert (aside.thresholds >= Detector(watched).thresholds).all()


def test_repeated_rows_count_less_under_the_guard():
    rng = np.random.default_rng(20)
    watched = signals(rng, names=["score"])
    alarms = {}
    for guard in (True, False):
        detector, rng = Detector(watched, guard=guard), np.random.default_rng(21)
        state = detector.start()
        for _ in range(20):
            state = detector.check(state, 20 * tallies(watched, rng, 50))
        alarms[guard] = detector.verdict(state)[0].level
    assert alarms == {True: 0, False: 1}
