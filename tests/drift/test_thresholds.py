import numpy as np
import pandas as pd
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.cells import cut_levels, cut_numbers
from drift_middleware.drift.channels import Channels
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.thresholds import (
    THRESHOLDS,
    check_options,
    of_channels,
    smallest_shift,
)

ALL = {"low": 0.1, "medium": 0.2, "high": 0.3}


def watched(**columns):
    rng, signals = np.random.default_rng(1), []
    for column, names in columns.items():
        for name in names:
            cells = (
                cut_levels(["a", "b"] * 50)
                if "level" in name
                else cut_numbers(rng.normal(size=200), rng)
            )
            signals.append(Signal(name, column, "feature", cells))
    return Channels(signals, {})


def levels(channels, policy="moved", **given):
    found = of_channels(channels, policy, given).tolist()
    return {label: tuple(three) for label, three in zip(channels.labels, found, strict=True)}


def test_a_policy_has_thresholds_and_shares_have_their_own_under_each():
    for policy, usual in THRESHOLDS.items():
        if policy != "share":
            found = levels(watched(age=["age"]), policy)
            assert found["age:value"] == usual
            assert found["age:missing"] == found["age:unseen"] == THRESHOLDS["share"]


def test_the_nearest_entry_counts_and_what_it_leaves_out_is_that_of_all():
    channels = watched(age=["age"], review=["review.length", "review.words"])
    found = levels(
        channels,
        **ALL,
        age={"high": 0.4},
        review={"low": 0.15},
        **{"review.length": {"medium": 0.25}},
    )
    assert found["age:value"] == (0.1, 0.2, 0.4)
    assert found["review.words:value"] == (0.15, 0.2, 0.3)
    assert found["review.length:value"] == (0.1, 0.25, 0.3)
    assert found["age:missing"] == found["review.words:unseen"] == THRESHOLDS["share"]


def test_missing_and_unseen_are_about_shares_even_where_a_column_is_named_so():
    given = {"missing": {"low": 0.01}, "unseen": {"high": 0.5}}
    found = levels(watched(age=["age"], plan=["plan"]), **given)
    assert found["age:missing"] == found["plan:missing"] == (0.01, 0.03, 0.1)
    assert found["age:unseen"] == (0.002, 0.03, 0.5)
    assert found["age:value"] == THRESHOLDS["moved"]
    found = levels(watched(age=["age"], missing=["missing"]), **given)
    assert found["missing:value"] == THRESHOLDS["moved"]
    assert found["age:missing"] == found["missing:missing"] == (0.01, 0.03, 0.1)


def test_what_the_policy_cannot_judge_has_the_thresholds_of_moved():
    channels = watched(age=["age"], plan=["plan.level"], zip=["zip.level"])
    found = levels(channels, "wasserstein", low=1, medium=2, high=3, zip={"high": 0.5})
    assert found["age:value"] == (1, 2, 3)
    assert found["plan.level:value"] == THRESHOLDS["moved"]
    assert found["zip.level:value"] == (0.05, 0.1, 0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"age": {"low": 0.2}}, "Thresholds of 'age' .* they are {'low': 0.2, 'medium': 0.1"),
        ({"missing": {"high": 0.01}}, "Thresholds of 'missing'"),
        ({"age": {"medium": 0.1, "higher": 0.2}}, "Thresholds of 'age' .*'higher'"),
        ({"age": {"low": 0}}, "Thresholds of 'age'"),
        ({"low": 0.3}, "Thresholds must be"),
    ],
)
def test_levels_that_do_not_ascend_are_refused_by_name(given, said):
    with pytest.raises(ValueError, match=said):
        levels(watched(age=["age"]), **given)
    with pytest.raises(ValueError, match=said):
        check(None, thresholds=given)


def table(**more):
    rng = np.random.default_rng(2)
    return pd.DataFrame({"age": rng.normal(size=400), "plan": rng.choice(list("ab"), 400), **more})


def check(baseline, policy="moved", outputs=None, thresholds=None, weights=None):
    check_options(
        baseline,
        policy=policy,
        thresholds=thresholds or {},
        weights=weights or {},
        outputs=outputs,
    )


def test_a_name_of_no_column_is_refused_with_the_nearest_one():
    baseline = Baseline.fit(table(), ignore="plan")
    check(baseline, thresholds={"age": ALL, "plan": ALL, "missing": {"high": 0.2}})
    check(baseline, weights={"age": 2, "plan": 3})
    with pytest.raises(ValueError, match=r"thresholds names 'aeg'.* Did you mean 'age'"):
        check(baseline, thresholds={"aeg": ALL})
    with pytest.raises(ValueError, match=r"weights names 'weather', and there is no such column.$"):
        check(baseline, weights={"weather": 2})
    with pytest.raises(ValueError, match="weights names 'missing'"):
        check(baseline, weights={"missing": 2})


def test_while_outputs_are_to_be_learned_only_a_slip_is_refused():
    baseline = Baseline.fit(table())
    for given in ({"weights": {"score": 2}}, {"thresholds": {"score": ALL}}):
        check(baseline, outputs=(), **given)
        check(None, outputs=(), **given)
        with pytest.raises(ValueError, match="names 'score'"):
            check(baseline, **given)
    with pytest.raises(ValueError, match="Did you mean 'age'"):
        check(baseline, outputs=(), weights={"agee": 2})
    check(baseline, outputs=("agee",), weights={"agee": 2})


def test_what_a_column_yet_unknown_will_turn_out_to_be_cannot_matter():
    fits_both, fits_one = {"x": {"high": 0.8}}, {"x": {"high": 0.22}}
    check(None, policy="wasserstein", thresholds=fits_both)
    with pytest.raises(ValueError, match="Thresholds of 'x'"):
        check(None, policy="wasserstein", thresholds=fits_one)
    baseline = Baseline.fit(table())
    with pytest.raises(ValueError, match="Thresholds of 'x'"):
        check(baseline, policy="wasserstein", thresholds=fits_one, outputs=("x",))
    check(baseline, policy="wasserstein", thresholds={"plan": {"high": 0.22}})
    with pytest.raises(ValueError, match="Thresholds of 'age'"):
        check(baseline, policy="wasserstein", thresholds={"age": {"high": 0.22}})


def test_what_varies_by_nature_is_known_as_a_share_of_traffic_alone():
    baseline = Baseline.fit(table(), ordered=True)
    check(baseline)
    with pytest.raises(ValueError, match=r"not psi: .*policy='moved'"):
        check(baseline, policy="psi")


def test_more_baseline_or_more_rows_show_smaller_shifts():
    few, many = smallest_shift(300, 0.07), smallest_shift(50_000, 0.07)
    assert list(few) == ["noticed", "low", "medium", "high"]
    assert all(many[name] < few[name] for name in few)
    brief = smallest_shift(300, 0.07, live_rows=3, thresholds={"low": 0.5})
    assert brief["low"] == np.inf
