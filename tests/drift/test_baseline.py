import json
import os
import subprocess
import sys

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.roles import role_of
from drift_middleware.errors import BaselineError

numbers = st.one_of(st.none(), st.integers(-5, 5), st.floats(-1e300, 1e300))
levels = st.one_of(st.none(), st.booleans(), st.sampled_from(["a", "b", "NA", "ü"]))
columns = st.one_of(
    *(st.lists(kind, min_size=30, max_size=30) for kind in (numbers, levels, numbers | levels))
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(str.strip)
tables = st.dictionaries(names, columns, min_size=1, max_size=4)


def table(rows=300, seed=5):
    rng = np.random.default_rng(seed)
    return {
        "age": rng.integers(18, 80, rows).tolist(),
        "income": [
            None if i % 10 == 0 else float(x) for i, x in enumerate(rng.lognormal(8, 1, rows))
        ],
        "city": rng.choice(["Paris", "Lyon", "Nice"], rows, p=[0.6, 0.3, 0.1]).tolist(),
        "member": rng.choice([True, False], rows).tolist(),
        "score": rng.random(rows).tolist(),
    }


def fit(**more):
    return Baseline.fit(table() | more)


def in_another_process(code, *args):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "77"},
    )
    return run.stdout.strip()


# Fitting.


def test_numbers_are_ordered_and_all_else_is_categorical():
    baseline = fit()
    kinds = {signal.name: signal.kind for signal in baseline.signals}
    assert kinds == {
        "age": "ordered",
        "income": "ordered",
        "city": "categorical",
        "member": "categorical",
        "score": "ordered",
        "score.spread": "ordered",
        "joint": "ordered",
    }
    city, member = (baseline.signals[i].cells for i in (2, 3))
    assert city.values == ("Paris", "Lyon", "Nice")
    assert set(member.values) == {"true", "false"}
    assert baseline.signals[1].cells.missing == 30
    assert (baseline.rows, baseline.columns) == (300, tuple(table()))


def test_a_column_that_is_all_missing_is_watched_as_levels():
    cells = {signal.name: signal.cells for signal in fit(empty=[None] * 300).signals}["empty"]
    assert (cells.ordered, cells.weights, cells.missing) == (False, (1,), 300)


def test_the_cells_of_a_column_do_not_depend_on_its_neighbours():
    columns = table()
    backwards = Baseline.fit(dict(reversed(columns.items())) | {"more": columns["age"]})
    alone = {signal.name: signal for signal in backwards.signals}
    assert all(alone[one.name] == one for one in fit().signals if one.name != "joint")
    assert alone["more"].cells.keys != alone["age"].cells.keys


def test_another_seed_orders_equal_values_in_another_way():
    assert Baseline.fit(table(), seed=1).fingerprint != fit().fingerprint


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("prediction", "prediction"),
        ("Predictions", "prediction"),
        ("predicted_price", "prediction"),
        ("predictedPrice", "prediction"),
        ("prediction.price", "prediction"),
        ("y_pred", "prediction"),
        ("churn_probability", "prediction"),
        ("probability_1", "prediction"),
        ("PROBA", "prediction"),
        ("score", "prediction"),
        ("scores_0", "prediction"),
        ("output", "prediction"),
        ("output0", "prediction"),
        ("label", "prediction"),
        ("label_score", "prediction"),
        ("confidence", "prediction"),
        ("credit_score", "feature"),
        ("output_voltage", "feature"),
        ("label_count", "feature"),
        ("predictor", "feature"),
        ("score_predicted_by_others_before", "feature"),
        ("age", "feature"),
        ("0", "feature"),
        ("", "feature"),
    ],
)
def test_a_name_tells_the_role(column, role):
    assert role_of(column) == role


def test_predictions_that_are_named_are_the_only_ones():
    assert fit().roles["score"] == "prediction"
    named = Baseline.fit(table(), predictions=["income", "member"]).roles
    assert {name for name, role in named.items() if role == "prediction"} == {"income", "member"}
    assert set(Baseline.fit(table(), predictions=()).roles.values()) == {"feature"}
    assert Baseline.fit(table(), predictions="age").roles["age"] == "prediction"


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([f"id{i}" for i in range(300)], "all different"),
        (list(range(1000, 1300)), "number the rows"),
        ([[1, 2], [3]] * 150, "lists of no vectors"),
        ([None] * 299 + [{"a": 1}], "objects"),
    ],
    ids=["identifiers", "row numbers", "lists", "an object"],
)
def test_a_column_that_cannot_be_watched_is_left_out_with_the_reason(column, reason):
    baseline = fit(odd=column)
    assert reason in baseline.left_out["odd"]
    assert "odd" not in baseline.roles
    assert baseline.columns[-1] == "odd"


def test_a_column_without_a_name_is_left_out():
    assert Baseline.fit({"": [1.0, 2.0] * 20, "a": [1.0, 2.0] * 20}).left_out == {
        "": "it has no name"
    }


def test_ignored_columns_are_left_out():
    baseline = Baseline.fit(table(), ignore=["age", "score"])
    assert baseline.left_out == {"age": "ignored", "score": "ignored"}
    assert list(baseline.roles) == ["income", "city", "member"]
    assert Baseline.fit(table(), ignore="age").left_out == {"age": "ignored"}


ONE_ROW = {name: column[:1] for name, column in table().items()}
WRONG = {
    "one row": (ONE_ROW, {}, ["has 1 row;", "at least 20", "half a standard deviation"]),
    "no column": ({}, {}, ["has 0 rows"]),
    "too few to be ordered": (table(150), {"ordered": True}, ["has 150 rows", "at least 200"]),
    "an unknown prediction": (
        table(),
        {"predictions": ["Scoer"]},
        ["predictions", "no column 'Scoer'", "did you mean 'score'"],
    ),
    "an unknown column to ignore": (
        table(),
        {"ignore": ["quite different"]},
        ["ignore", "it has age, income, city, member, score"],
    ),
    "nothing left": (
        {"key": [f"id{i}" for i in range(60)], "b": [1.0] * 60},
        {"ignore": "b"},
        ["no column is left", "key: its values are all different", "b: ignored"],
    ),
}


@pytest.mark.parametrize(("data", "options", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_a_baseline_is_refused_with_what_to_do(data, options, said):
    with pytest.raises(BaselineError) as error:
        Baseline.fit(data, source="the table", **options)
    for words in ("the table", *said):
        assert words in str(error.value)


# Rows in time order.


def test_rows_in_time_order_teach_how_far_they_move_by_themselves():
    rng = np.random.default_rng(8)
    rows = 4000
    season = np.sin(np.arange(rows) / rows * 4 * np.pi)
    columns = {"steady": rng.normal(size=rows), "seasonal": season + rng.normal(0, 0.5, rows)}
    baseline = Baseline.fit(columns, ordered=True)
    assert baseline.ordered
    assert baseline.tolerance["steady:value"] == 0
    assert baseline.tolerance["seasonal:value"] > 0.2
    assert baseline.shrink["steady"] == 1
    assert baseline.shrink["seasonal"] > 2
    alone = Baseline.fit({"seasonal": columns["seasonal"]}, ordered=True)
    assert alone.tolerance["seasonal:value"] == baseline.tolerance["seasonal:value"]
    assert not Baseline.fit(columns).ordered


# Saving and loading.


@given(tables)
def test_a_saved_baseline_is_loaded_as_it_was(tmp_path_factory, columns):
    baseline = Baseline.fit(columns)
    path = tmp_path_factory.mktemp("saved") / "baseline.json"
    baseline.save(path)
    loaded = Baseline.load(path)
    assert loaded == baseline
    assert loaded.fingerprint == baseline.fingerprint


def test_saving_replaces_the_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text("old")
    fit().save(str(path))
    assert Baseline.load(str(path)) == fit()
    assert list(tmp_path.iterdir()) == [path]


def test_a_baseline_that_cannot_be_saved_is_an_error_with_the_path(tmp_path):
    with pytest.raises(BaselineError, match=r"no/such\.json: cannot be written"):
        fit().save(tmp_path / "no" / "such.json")


def saved_as(change, tmp_path):
    fit().save(tmp_path / "baseline.json")
    content = change((tmp_path / "baseline.json").read_text())
    (tmp_path / "baseline.json").write_text(content)
    return tmp_path / "baseline.json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "is empty"),
        (lambda text: text[: len(text) // 2], "not a whole saved baseline; save it again"),
        (lambda text: "a,b\n1,2\n", "not a whole saved baseline"),
        (lambda text: "{}", "not a saved baseline; Baseline.fit"),
        (lambda text: "[1, 2]", "not a whole saved baseline"),
        (lambda text: text.replace('"format": 1', '"format": 9'), "format 9 .* up to 1; update"),
        (lambda text: text.replace('"weights"', '"weight"', 1), "not a whole saved baseline"),
        (lambda text: text.replace('"rows": 300', '"rows": "many"'), r"\$\.rows"),
    ],
    ids=["empty", "cut", "CSV", "other JSON", "a list", "newer", "other fields", "other types"],
)
def test_a_file_that_is_no_saved_baseline_is_refused(tmp_path, change, said):
    with pytest.raises(BaselineError, match=rf"baseline\.json: .*{said}"):
        Baseline.load(saved_as(change, tmp_path))


def test_a_missing_baseline_is_refused_with_the_name_that_may_be_meant(tmp_path):
    fit().save(tmp_path / "baseline.json")
    with pytest.raises(BaselineError, match=r"mean .*baseline\.json"):
        Baseline.load(tmp_path / "baselin.json")


def test_fields_of_later_versions_are_passed_over(tmp_path):
    path = saved_as(lambda text: json.dumps({**json.loads(text), "later": 1}), tmp_path)
    assert Baseline.load(path) == fit()


# The same everywhere.


def test_the_same_file_has_the_same_fingerprint_in_every_process(tmp_path):
    path = tmp_path / "baseline.csv"
    pd.DataFrame(table()).to_csv(path, index=False)
    code = """
import sys
from drift_middleware.drift.baseline import Baseline
print(Baseline.fit(sys.argv[1]).fingerprint)
"""
    assert in_another_process(code, path) == Baseline.fit(path).fingerprint == fit().fingerprint


def test_the_fingerprint_is_of_the_cells_and_of_nothing_else():
    baseline = fit()
    other_words = msgspec.structs.replace(baseline, source="elsewhere", left_out={"x": "y"})
    assert other_words.fingerprint == baseline.fingerprint
    assert baseline.with_roles({"age": "prediction"}).fingerprint == baseline.fingerprint
    assert baseline.without(["age"]).fingerprint != baseline.fingerprint
    assert fit(age=table(seed=6)["age"]).fingerprint != baseline.fingerprint
    assert len(baseline.fingerprint) == 16


def test_a_saved_baseline_is_loaded_without_pandas_and_scipy_stats(tmp_path):
    fit().save(tmp_path / "baseline.json")
    code = """
import sys
from drift_middleware.drift.baseline import Baseline
print(Baseline.load(sys.argv[1]).smallest_shift > 0)
print(sorted({"pandas", "scipy.stats", "pyarrow", "sqlite_utils"} & set(sys.modules)))
"""
    assert in_another_process(code, tmp_path / "baseline.json").split("\n") == ["True", "[]"]


# Opening whatever is given.


def test_a_table_of_any_kind_opens_as_the_same_baseline(tmp_path):
    frame = pd.DataFrame(table())
    frame.to_csv(tmp_path / "b.csv", index=False)
    frame.to_csv(tmp_path / "b.csv.gz", index=False)
    frame.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "b.parquet")
    fit().save(tmp_path / "b.json")
    sources = [frame, table(), fit(), *tmp_path.iterdir(), *map(str, tmp_path.iterdir())]
    assert {Baseline.open(source).fingerprint for source in sources} == {fit().fingerprint}
    assert Baseline.open(tmp_path / "b.csv").source == str(tmp_path / "b.csv")
    assert Baseline.open(frame).source == "data frame"


def test_a_saved_baseline_takes_other_roles_and_more_to_ignore(tmp_path):
    Baseline.fit(table(), ignore="age").save(tmp_path / "b.json")
    opened = Baseline.open(tmp_path / "b.json", predictions=["city"], ignore=["age", "score"])
    assert opened.roles == {"income": "feature", "city": "prediction", "member": "feature"}
    assert opened.left_out == {"age": "ignored", "score": "ignored"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ordered": True}, "fitted without ordered=True"),
        ({"ignore": ["agee"]}, "did you mean 'age'"),
        ({"predictions": ["scores"]}, "did you mean 'score'"),
        ({"ignore": list(table())}, "leaves nothing to watch"),
    ],
)
def test_a_fitted_baseline_refuses_what_it_cannot_become(options, said):
    with pytest.raises(BaselineError, match=said):
        Baseline.open(fit(), **options)


def test_a_baseline_that_was_fitted_in_order_opens_in_order():
    baseline = Baseline.fit(table(), ordered=True)
    assert Baseline.open(baseline, ordered=True) == Baseline.open(baseline) == baseline


# Growing.


def test_outputs_that_are_learned_later_are_added():
    features = Baseline.fit(table(), ignore=["score"])
    outputs = Baseline.fit({"score": table()["score"], "age": [1.0, 2.0] * 150}, source="traffic")
    both = features.extended(outputs)
    assert list(both.roles) == ["age", "income", "city", "member", "joint", "score"]
    assert both.signals[0] == features.signals[0]
    assert (both.source, both.rows, both.left_out) == (features.source, 300, {})
    assert both.columns == features.columns


def test_roles_of_columns_that_are_not_watched_are_passed_over():
    assert fit().with_roles({"city": "prediction", "later": "prediction"}).roles == {
        **fit().roles,
        "city": "prediction",
    }


# What it can show.


def test_more_rows_show_smaller_shifts():
    few, more = (Baseline.fit({"a": table(rows)["income"]}) for rows in (100, 2000))
    assert 0.4 < few.smallest_shift < 0.6
    assert 0.1 < more.smallest_shift < 0.13


def test_a_description_says_what_is_watched_and_what_is_not():
    text = Baseline.fit(table() | {"key": [f"id{i}" for i in range(300)]}, ignore="age").describe()
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert "columns: 300 rows; 4 of its 6 columns are watched, as 5 signals." in text
    assert lines["city"][1:] == ["feature", "categorical", "4", "-", "-", "7.4%"]
    assert lines["income"][1:5] == ["feature", "ordered", "14", "10.0%"]
    assert lines["score"][1:3] == ["prediction", "ordered"]
    assert "Not watched: 'age', ignored." in text
    assert "Not watched: 'key', its values are all different (identifiers)." in text
    assert f"noticed: {fit().smallest_shift:.1f}" in text
    assert "low needs 7.4% of traffic to move" in text
    assert "ordered=True" in text
    assert "ordered=True" not in Baseline.fit(table(), ordered=True).describe()


def test_a_constant_and_an_empty_column_can_be_described():
    text = Baseline.fit({"same": [5.0] * 40, "none": [None] * 40}).describe()
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["same"][1:6] == ["feature", "ordered", "2", "-", "-"]
    assert lines["none"][1:] == ["feature", "categorical", "1", "100.0%", "-", "-"]


def test_it_is_short_to_print():
    assert repr(fit()) == "Baseline('columns', 300 rows, 7 signals)"
