import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture.bodies import Events
from drift_middleware.capture.outputs import NO_ANSWER, Scores, flatten, join
from drift_middleware.capture.records import DEEPEST, MOST_COLUMNS

SCORES = Scores(cat=0.1, dog=0.9)
PROBABILITIES = [0.1, 0.7, 0.2]
RANKING = [{"label": "cat", "score": 0.1}, {"label": "dog", "score": 0.9}]

ONE_ROW = {
    "bare number": (0.93, 0.93),
    "bare string": ("cat", "cat"),
    "zero": (0, 0),
    "false": (False, False),
    "record": ({"label": 0, "p": 0.9}, {"label": 0, "p": 0.9}),
    "record and siblings": ({"prediction": 1, "version": "v7"}, {"prediction": 1, "version": "v7"}),
    "prediction": ({"prediction": 1}, 1),
    "prediction null": ({"prediction": None}, None),
    "output": ({"output": {"a": 1, "b": 2}}, {"a": 1, "b": 2}),
    "nested wrappers": ({"result": {"prediction": 1}}, 1),
    "list of one": ([7], 7),
    "predictions of one": ({"predictions": [7]}, 7),
    "predictions of one and siblings": ({"predictions": [7], "model": "m"}, 7),
    "row of probabilities": ({"predictions": [PROBABILITIES]}, PROBABILITIES),
    "probabilities": (PROBABILITIES, PROBABILITIES),
    "wrapped probabilities": ({"predictions": PROBABILITIES}, PROBABILITIES),
    "record and its probabilities": (
        {"label": 1, "prediction": PROBABILITIES},
        {"label": 1, "prediction": PROBABILITIES},
    ),
    "ranking": (RANKING, SCORES),
    "ranking in a list": ([RANKING], SCORES),
    "wrapped columns of one and siblings": ({"outputs": {"a": [1]}, "m": 2}, {"a": 1}),
    "columns of one": ({"prediction": [1], "score": [0.9]}, {"prediction": 1, "score": 0.9}),
}


@pytest.mark.parametrize(("answer", "prediction"), ONE_ROW.values(), ids=ONE_ROW)
def test_the_prediction_of_a_single_row_is_found(answer, prediction):
    assert join(answer, 1) == ([prediction], False)


TWO_ROWS = {
    "list": ([0, 2], [0, 2]),
    "labels that sum to one": ([0, 1], [0, 1]),
    "list of lists": ([[0.1], [0.2]], [[0.1], [0.2]]),
    "list with null": ([None, 1], [None, 1]),
    "ranking of each": ([RANKING, RANKING], [SCORES, SCORES]),
    "ranking of one": ([RANKING, None], [SCORES, None]),
    "on one line": ([[0.5, 0.7]], [0.5, 0.7]),
    "predictions": ({"predictions": [0, 2]}, [0, 2]),
    "predictions and siblings": ({"predictions": [0, 2], "model": "m"}, [0, 2]),
    "results": ({"results": [{"id": 0}, {"id": 1}]}, [{"id": 0}, {"id": 1}]),
    "nested wrappers": ({"result": {"predictions": [0, 2]}}, [0, 2]),
    "columns": ({"a": [1, 2], "b": [3, 4]}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}]),
    "wrapped columns": ({"predictions": {"a": [1, 2]}}, [{"a": 1}, {"a": 2}]),
    "wrapped columns and siblings": ({"outputs": {"a": [1, 2]}, "m": 1}, [{"a": 1}, {"a": 2}]),
}


@pytest.mark.parametrize(("answer", "predictions"), TWO_ROWS.values(), ids=TWO_ROWS)
def test_the_predictions_of_two_rows_are_found(answer, predictions):
    assert join(answer, 2) == (predictions, False)


UNALIGNED = {
    "four for two": ({"predictions": [1, 2, 3, 4]}, 2),
    "four for two, by column": ({"predictions": {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}}, 2),
    "one for two": ([1], 2),
    "scalar for two": (0.93, 2),
    "record for two": ({"status": "ok"}, 2),
    "probabilities for two": (PROBABILITIES, 2),
    "three for one": ([1, 2, 3], 1),
    "wrapped three for one": ({"predictions": [1, 2, 3]}, 1),
    "wrapped three for one and siblings": ({"predictions": [1, 2, 3], "model": "m"}, 1),
    "two by column for one": ({"predictions": {"a": [1, 2]}, "m": 2}, 1),
    "none for one": ([], 1),
    "integers that sum to one": ([0, 1], 1),
}


@pytest.mark.parametrize(("answer", "rows"), UNALIGNED.values(), ids=UNALIGNED)
def test_predictions_that_are_not_one_a_row_are_not_joined(answer, rows):
    assert join(answer, rows) == (None, True)


@pytest.mark.parametrize(
    "answer", [NO_ANSWER, None, Events([1, 2])], ids=["none", "null", "stream"]
)
def test_no_answer_is_not_an_unaligned_one(answer):
    assert join(answer, 2) == (None, False)


FLAT = {
    "number": (0.93, {"prediction": 0.93}),
    "string": ("cat", {"prediction": "cat"}),
    "boolean": (False, {"prediction": False}),
    "null": (None, {"prediction": None}),
    "record": ({"label": 0, "score": 0.9}, {"label": 0, "score": 0.9}),
    "nested record": (
        {"label": 0, "probabilities": {"0": 0.9, "1": 0.1}},
        {"label": 0, "probabilities.0": 0.9, "probabilities.1": 0.1},
    ),
    "record with a list": ({"label": 0, "tags": ["x"]}, {"label": 0, "tags": ["x"]}),
    "a name that is taken": ({"a": {"b": 2}, "a.b": 1}, {"a.b": 2}),
    "empty record": ({}, {}),
    "probabilities": (PROBABILITIES, {"label": 1, "confidence": 0.7}),
    "certain": ([0.0, 1.0], {"label": 1, "confidence": 1.0}),
    "not quite one": ([0.3333, 0.3333, 0.3333], {"label": 0, "confidence": 0.3333}),
    "ranking": (RANKING, {"label": "dog", "score": 0.9}),
    "scores": (SCORES, {"label": "dog", "score": 0.9}),
    "no scores": (Scores(), {}),
    "ranking of what is no label": ([{"label": [], "score": 1}], {}),
    "error": ({"id": 1, "error": "missing"}, {}),
    "error record": ({"error": {"code": 3}}, {}),
    "no error": ({"prediction": 1, "error": None}, {"prediction": 1, "error": None}),
    "margin of error": ({"prediction": 1, "error": 0.5}, {"prediction": 1, "error": 0.5}),
    "bytes": (b"\xff", {}),
    "bytes as text": ({"image": {"b64": "aGVsbG8="}}, {"image.b64": 5}),
    "list of one": ([3.5], {"prediction": 3.5}),
    "several outputs": (
        [0.5, -1.0, 2.0],
        {"prediction.0": 0.5, "prediction.1": -1.0, "prediction.2": 2.0},
    ),
    "strings": (["a", "b"], {}),
    "nested list": ([[1.0]], {}),
    "texts": (["a", "b"], {}),
    "empty list": ([], {}),
}


@pytest.mark.parametrize(("prediction", "columns"), FLAT.values(), ids=FLAT)
def test_a_prediction_becomes_named_scalars(prediction, columns):
    assert flatten(prediction) == columns


def test_records_are_named_down_to_a_bounded_depth():
    deep = 1
    for _ in range(DEEPEST):
        deep = {"k": deep}
    assert flatten(deep) == {".".join("k" * DEEPEST): 1}
    assert flatten({"k": deep}) == {}


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_a_wide_record_gives_its_first_columns_alone(nested):
    record = {f"c{i}": {"v": i} if nested else i for i in range(2 * MOST_COLUMNS)}
    columns = flatten(record)
    assert list(columns.values()) == list(range(MOST_COLUMNS))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
payloads = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "predictions", "label", "score", "result"]), inner)
    ),
    max_leaves=20,
)


@given(payloads, st.integers(1, 4))
def test_joined_predictions_are_always_one_a_row(answer, rows):
    predictions, unaligned = join(answer, rows)
    assert predictions is None or (len(predictions) == rows and not unaligned)


@given(payloads)
def test_named_outputs_are_never_records(prediction):
    assert dict not in {type(value) for value in flatten(prediction).values()}
