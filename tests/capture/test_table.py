import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture import tabulate
from drift_middleware.capture.records import MOST_COLUMNS
from drift_middleware.schemas import Rows, Table


def table(*batch, features=None, predictions=None):
    """Tabulate exchanges given as (features, predictions) pairs."""
    rows = [Rows(features=inputs, predictions=outputs) for inputs, outputs in batch]
    return tabulate(rows, features=features, predictions=predictions, at=list(range(len(rows))))


def test_rows_of_several_requests_lie_side_by_side():
    got = table(([{"a": 1}, {"a": 2}], [0, 1]), ([{"a": 3}], [1]))
    assert got == Table(
        rows=3,
        columns={"a": [1, 2, 3], "prediction": [0, 1, 1]},
        outputs={"prediction"},
        predicted=[True, True, True],
        requests=[2, 1],
        at=[0, 1],
    )


def test_exchanges_without_rows_are_left_out():
    skipped = Rows(features=[{"a": 0}], skipped="empty body")
    batch = [skipped, Rows(features=[{"a": 1}]), Rows()]
    got = tabulate(batch, features=["a"], predictions=[], at=[10.0, 11.0, 12.0])
    assert (got.rows, got.requests, got.at) == (1, [1], [11.0])


def test_a_batch_without_rows_is_an_empty_table():
    assert table(features=["a"], predictions=["b"]) == Table()
    assert table(([], None)) == Table()


def test_each_exchange_needs_its_arrival():
    with pytest.raises(ValueError, match="zip"):
        tabulate([Rows()], features=None, predictions=None, at=[])


def test_only_the_watched_columns_are_taken():
    got = table(([{"a": 1, "id": "x"}], [{"p": 1, "took": 3}]), features=["a"], predictions=["p"])
    assert got.columns == {"a": [1], "p": [1]}


def test_a_row_without_a_watched_column_has_none_and_an_unseen_column_is_left_out():
    batch = [([{"a": 1}, {"b": None}], None), ([{"a": 3}], None)]
    got = table(*batch, features=["a", "b", "c"], predictions=["p"])
    assert got.columns == {"a": [1, None, 3], "b": [None, None, None]}
    assert got.predicted == [False, False, False]


def test_values_stay_raw():
    values = [True, 1, 1.5, "1", None, [1], {"b": 1}]
    got = table(([{"a": value} for value in values], None), features=["a"], predictions=[])
    assert got.columns["a"] == values
    assert [type(value) for value in got.columns["a"]] == [type(value) for value in values]


POSITIONAL = {
    "named by the watched features": ([[1, 2], [3, 4]], ["a", "b"], {"a": [1, 3], "b": [2, 4]}),
    "another length": ([[1, 2]], ["a", "b", "x1"], {"x1": [2]}),
    "bare values": ([1, 2], ["a"], {"a": [1, 2]}),
    "lengths that differ": ([[1, 2], [3]], ["a", "b"], {"a": [1, None], "b": [2, None]}),
    "records among them": ([[1, 2], {"b": 3}], ["a", "b"], {"a": [1, None], "b": [2, 3]}),
    "nobody knows": ([[1, 2], [3, 4]], None, {"x0": [1, 3], "x1": [2, 4]}),
    "bare values that nobody knows": ([1, 2], None, {"x0": [1, 2]}),
    "nested lists that nobody knows": (
        [[1, [2]], [3, [4]]],
        None,
        {"x0": [1, 3], "x1": [[2], [4]]},
    ),
}


@pytest.mark.parametrize(("rows", "features", "columns"), POSITIONAL.values(), ids=POSITIONAL)
def test_positions_are_named(rows, features, columns):
    assert table((rows, None), features=features, predictions=[]).columns == columns


def test_positions_are_named_without_the_features_that_come_in_the_answers():
    got = table(([[1, 2]], [{"species": "setosa"}]), features=["a", "b", "species"], predictions=[])
    assert got.columns == {"a": [1], "b": [2], "species": ["setosa"]}
    assert got.outputs == {"species"}


def test_outputs_are_learned_beside_positions_that_are_named():
    got = table(([[1, 2], [3, 4]], [{"a": 9, "p": 0.1}, {"p": 0.2}]), features=["a", "b"])
    assert got.columns == {"a": [1, 3], "b": [2, 4], "p": [0.1, 0.2]}
    assert got.outputs == {"p"}


def test_a_watched_name_is_walked_only_where_it_is_not_literal():
    rows = [{"a": {"b": 1}}, {"a.b": 2, "a": {"b": 3}}, {"a": 4}, {"a": {"b": [5]}}]
    got = table((rows, None), features=["a.b", "a.c"], predictions=[])
    assert got.columns == {"a.b": [1, 2, None, [5]]}


def test_nested_features_are_flattened_while_all_is_taken():
    got = table(([{"a": {"b": 1, "c": [2]}, "d": [3], "e": None}], None))
    assert got.columns == {"a.b": [1], "a.c": [[2]], "d": [[3]], "e": [None]}


def test_all_that_comes_is_taken_up_to_a_bound():
    wide = {f"c{i}": i for i in range(MOST_COLUMNS - 1)}
    got = table(([{**wide, "late": 1}, {**wide, "later": 1}], [{"p": 1}, {"p": 2}]))
    assert len(got.columns) == MOST_COLUMNS
    assert not {"later", "p"} & got.columns.keys()


@pytest.mark.parametrize("features", [None, ["a"]], ids=["learning", "watched"])
def test_an_output_that_the_requests_have_too_is_an_echo(features):
    got = table(([{"a": 1, "id": "x"}], [{"a": 9, "id": "y", "p": 0.5}]), features=features)
    assert got.columns["a"] == [1]
    assert got.columns["p"] == [0.5]
    assert got.outputs == {"p"}


@pytest.mark.parametrize("features", [None, ["a"]], ids=["learning", "watched"])
def test_a_column_watched_as_a_prediction_comes_from_the_answers(features):
    got = table(
        ([{"a": 1, "label": "request"}], [{"label": "answer"}]),
        features=features,
        predictions=["label"],
    )
    assert got.columns == {"a": [1], "label": ["answer"]}
    assert got.outputs == {"label"}


def test_a_watched_prediction_is_not_taken_from_the_requests():
    got = table(([{"a": 1, "label": "request"}], None), features=None, predictions=["label"])
    assert got.columns == {"a": [1]}


ONE_PREDICTION = {
    "bare value": (0.9, [0.9]),
    "single output of another name": ({"score": 0.9}, [0.9]),
    "single output beside an echo": ({"a": 1, "score": 0.9}, [0.9]),
    "null": (None, [None]),
    "its own name among others": ({"risk": 0.9, "score": 0.1}, [0.9]),
    "two outputs of other names": ({"score": 0.1, "label": "x"}, None),
    "nothing but an echo": ({"a": 1}, None),
}


@pytest.mark.parametrize(("prediction", "values"), ONE_PREDICTION.values(), ids=ONE_PREDICTION)
def test_the_only_output_is_the_only_watched_prediction(prediction, values):
    got = table(([{"a": 1}], [prediction]), features=["a"], predictions=["risk"])
    assert got.columns.get("risk") == values
    assert got.predicted == [True]


def test_a_bare_value_is_not_one_of_two_watched_predictions():
    got = table(([{"a": 1}], [0.9]), features=["a"], predictions=["risk", "label"])
    assert got.columns == {"a": [1]}


def test_a_watched_feature_that_only_the_answers_have_is_an_output():
    batch = [([{"a": 1}], [{"risk": 0.9, "p": 1}]), ([{"a": 2}], None)]
    got = table(*batch, features=["a", "risk"], predictions=["p"])
    assert got.columns == {"a": [1, 2], "risk": [0.9, None], "p": [1, None]}
    assert got.outputs == {"risk", "p"}
    assert got.predicted == [True, False]


def test_a_watched_feature_that_some_request_has_is_no_output():
    batch = [([{"a": 1}], [{"a": 9}]), ([{}, {"b": 1}], [{"a": 9}, {"a": 9}])]
    got = table(*batch, features=["a"], predictions=[])
    assert got.columns == {"a": [1, None, None]}
    assert got.outputs == set()


def test_a_row_whose_answer_failed_has_a_prediction_that_is_missing():
    got = table(
        ([{"a": 1}, {"a": 2}], [{"id": 0, "prediction": 1}, {"id": 1, "error": "missing"}]),
        features=["a"],
        predictions=["prediction"],
    )
    assert got.columns["prediction"] == [1, None]
    assert got.predicted == [True, True]


names = st.sampled_from(["a", "b", "a.b", "prediction", "x0", "label"])
values = st.none() | st.booleans() | st.integers() | st.text(max_size=2)
records = st.dictionaries(
    names, values | st.lists(values, max_size=2) | st.dictionaries(names, values)
)
answered = st.lists(
    st.tuples(records | st.lists(values, max_size=3) | values, records | values), max_size=4
).flatmap(
    lambda pairs: st.booleans().map(
        lambda joined: ([row for row, _ in pairs], [out for _, out in pairs] if joined else None)
    )
)
roles = st.none() | st.lists(names, unique=True)


@given(st.lists(answered, max_size=5), roles, roles)
def test_every_column_has_a_value_for_each_row(batch, features, predictions):
    got = table(*batch, features=features, predictions=predictions)
    assert sum(got.requests) == got.rows == len(got.predicted)
    assert len(got.requests) == len(got.at)
    assert all(len(column) == got.rows for column in got.columns.values())
    assert got.outputs <= got.columns.keys()
    if features is not None and predictions is not None:
        assert got.columns.keys() <= {*features, *predictions}


@pytest.mark.parametrize("features", [None, ["image.b64"]], ids=["learned", "watched"])
def test_bytes_written_as_text_are_counted_by_their_size(features):
    rows = [{"image": {"b64": "aGVsbG8="}}, {"image": {"b64": "aGk="}}]
    assert table((rows, None), features=features).columns == {"image.b64": [5, 2]}
    bare = [{"b64": "aGVsbG8="}, {"b64": None}]
    named = features and ["b64"]
    assert table((bare, None), features=named).columns == {"b64": [5, None]}
