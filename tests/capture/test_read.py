import base64
import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drift_middleware.capture import read
from drift_middleware.capture.formats import BY_NAME, KEYS
from drift_middleware.capture.reasons import Reason
from drift_middleware.schemas import Exchange

JSON = [(b"Content-Type", b"application/json")]
STREAM = [(b"Content-Type", b"text/event-stream")]
REASONS = {reason.value for reason in Reason}
RECORDED = [
    pytest.param(recorded, id=f"{path.stem}-{recorded['label']}")
    for path in sorted((Path(__file__).parent / "exchanges").glob("*.json"))
    for recorded in json.loads(path.read_text())
]


def exchange(request, answer=b"", **fields):
    """Make an exchange of bytes, or of objects to be sent as JSON."""
    bodies = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (request, answer)
    ]
    given = {"request_headers": JSON, "response_headers": JSON, **fields}
    return Exchange("POST", "/predict", request_body=bodies[0], response_body=bodies[1], **given)


def recorded_bytes(body):
    return body["text"].encode() if "text" in body else base64.b64decode(body["b64"])


def recorded_headers(headers):
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def token(value):
    """Read what JSON can't say."""
    if type(value) is dict:
        return {name: token(one) for name, one in value.items()}
    if type(value) is list:
        return list(map(token, value))
    if type(value) is str and value.startswith("__bytes:"):
        return bytes.fromhex(value[8:-2])
    return (
        {"__nan__": math.nan, "__inf__": math.inf}.get(value, value)
        if type(value) is str
        else value
    )


def approx(value, tolerance):
    """Compare floats to a tolerance, however deep they are."""
    if type(value) is dict:
        return {name: approx(one, tolerance) for name, one in value.items()}
    if type(value) is list:
        return [approx(one, tolerance) for one in value]
    return pytest.approx(value, rel=tolerance, nan_ok=True) if type(value) is float else value


def replayed(recorded):
    return Exchange(
        recorded["method"],
        recorded["path"],
        query=recorded["query"].encode(),
        request_headers=recorded_headers(recorded["request_headers"]),
        request_body=recorded_bytes(recorded["request_body"]),
        status=recorded["status"],
        response_headers=recorded_headers(recorded["response_headers"]),
        response_body=recorded_bytes(recorded["response_body"]),
    )


# A codec's name where they have one for it; we name the format within.
WITHIN = {"msgpack": "tfs_row", "json": "record"}


@pytest.mark.parametrize("recorded", RECORDED)
def test_a_recorded_exchange_gives_its_rows(recorded):
    rows, expected = read(replayed(recorded)), recorded["expected"]
    if "skip" in expected:
        assert (rows.features, rows.predictions, rows.format) == ([], None, "")
        assert rows.skipped in REASONS
        assert expected["skip"] not in REASONS or rows.skipped == expected["skip"]
        return
    assert rows.skipped is None
    assert rows.format in {WITHIN.get(name, name) for name in expected["format"].split("|")}
    tolerance = expected.get("tol", 0)
    if expected["features"] is not None:
        assert rows.features == approx(token(expected["features"]), tolerance)
        assert len(rows.features) == expected["n_rows"]
    if expected["aligned"]:
        assert rows.predictions == approx(token(expected["predictions"]), tolerance)
        assert not rows.unaligned
    else:
        assert rows.predictions is None
        # An answer that is no answer does not line up, nor does it fail to.
        assert rows.unaligned is (expected["predictions"] is not None)


def test_all_recorded_exchanges_are_replayed():
    assert len(RECORDED) == 99


READ = {
    "record": ({"a": 1}, 0, "record", [{"a": 1}]),
    "nested record": ({"a": {"b": 1}}, 0, "record", [{"a": {"b": 1}}]),
    "record of null": ({"a": None}, 0, "record", [{"a": None}]),
    "a feature called instances": ({"instances": 3}, 0, "record", [{"instances": 3}]),
    "a feature called inputs": ({"inputs": 3}, 0, "record", [{"inputs": 3}]),
    "a feature called messages": (
        {"messages": 12, "data": 3},
        0,
        "record",
        [{"messages": 12, "data": 3}],
    ),
    "records": ([{"a": 1}, {}], [0, 1], "records", [{"a": 1}, {}]),
    "matrix": ([[1, 2], [3, 4]], [0, 1], "matrix", [[1, 2], [3, 4]]),
    "matrix of one row": ([[1, 2]], 0, "matrix", [[1, 2]]),
    "flat, one answer": ([1.0, 2.0, 3.5], 0.9, "matrix", [[1.0, 2.0, 3.5]]),
    "flat, list of one answer": ([1.0, 2.0, 3.5], [0.9], "matrix", [[1.0, 2.0, 3.5]]),
    "flat, one record": ([1.0, 2.0, 3.5], {"label": 1}, "matrix", [[1.0, 2.0, 3.5]]),
    "flat, as many answers": ([1.0, 2.0, 3.5], [1, 0, 2], "matrix", [1.0, 2.0, 3.5]),
    "flat, probabilities": ([1.0, 2.0, 3.5], [0.25, 0.75], "matrix", [[1.0, 2.0, 3.5]]),
    "flat, alone": ([5.1], [0.25, 0.75], "matrix", [[5.1]]),
    "flat, alone and unanswered": ([5.1], b"", "matrix", [[5.1]]),
    "instances": ({"instances": [[1], [2]]}, {"predictions": [0, 1]}, "tfs_row", [[1], [2]]),
    "instances, scalars": ({"instances": [1.0, 2.0]}, {"predictions": 3}, "tfs_row", [1.0, 2.0]),
    "instances, records": (
        {"signature_name": "s", "instances": [{"a": 1}], "parameters": {"t": 1}},
        {"predictions": [0]},
        "tfs_row",
        [{"a": 1}],
    ),
    "inputs, columns": (
        {"inputs": {"a": [1, 2], "b": [[3], [4]]}},
        {"outputs": [0, 1]},
        "tfs_columnar",
        [{"a": 1, "b": [3]}, {"a": 2, "b": [4]}],
    ),
    "inputs, one record": ({"inputs": {"a": 1, "b": [2]}}, 0, "tfs_columnar", [{"a": 1, "b": [2]}]),
    "inputs, records": ({"inputs": [{"a": 1}], "params": {"t": 1}}, [0], "mlflow", [{"a": 1}]),
    "inputs, matrix": ({"inputs": [[1, 2]]}, [0], "mlflow", [[1, 2]]),
    "inputs, flat, one answer": ({"inputs": [1, 2]}, 0, "mlflow", [[1, 2]]),
    "inputs, flat, as many answers": ({"inputs": [1, 2]}, [0, 0], "mlflow", [1, 2]),
}


@pytest.mark.parametrize(("request_", "answer", "name", "features"), READ.values(), ids=READ)
def test_a_payload_gives_its_rows(request_, answer, name, features):
    rows = read(exchange(request_, answer))
    assert (rows.skipped, rows.format, rows.features) == (None, name, features)


SKIPPED = {
    "empty list": ([], Reason.NOT_A_PREDICTION),
    "empty record": ({}, Reason.NOT_A_PREDICTION),
    "empty records": ([{}, {}], Reason.NOT_A_PREDICTION),
    "empty matrix": ([[], []], Reason.NOT_A_PREDICTION),
    "number": (3, Reason.NOT_A_PREDICTION),
    "string": ("cat", Reason.NOT_A_PREDICTION),
    "null": (None, Reason.NOT_A_PREDICTION),
    "record of lists": ({"a": [1, 2], "b": {"c": []}}, Reason.NOT_A_PREDICTION),
    "records and rows": ([{"a": 1}, [1]], Reason.NOT_A_PREDICTION),
    "records and scalars": ([{"a": 1}, None], Reason.NOT_A_PREDICTION),
    "no instances": ({"instances": []}, Reason.NOT_A_PREDICTION),
    "no inputs": ({"inputs": {}}, Reason.NOT_A_PREDICTION),
    "no input rows": ({"inputs": {"a": []}}, Reason.NOT_A_PREDICTION),
    "empty inputs": ({"inputs": [{}]}, Reason.NOT_A_PREDICTION),
    "inputs of nothing": ({"inputs": {"a": {}}}, Reason.NOT_A_PREDICTION),
    "columns of two lengths": ({"inputs": {"a": [1], "b": [2, 3]}}, Reason.AMBIGUOUS),
    "flat, no answer": ([1, 2], Reason.AMBIGUOUS),
    "inputs, flat, no answer": ({"inputs": [1, 2]}, Reason.AMBIGUOUS),
    "no columns": ({"a": []}, Reason.NOT_A_PREDICTION),
    "columns or vectors": ({"a": [1, 2], "b": [3, 4]}, Reason.AMBIGUOUS),
    "a column or a vector": ({"a": [1, 2]}, Reason.AMBIGUOUS),
    "texts that nothing answers": ({"ids": ["a", "b"]}, Reason.NOT_A_PREDICTION),
    "vectors of two lengths": ({"a": [1, 2], "b": [3]}, Reason.NOT_A_PREDICTION),
    "columns of records": ({"a": [{"b": 1}], "c": [{"d": 1}]}, Reason.NOT_A_PREDICTION),
    "two texts or a pair": ({"inputs": ["a", "b"]}, Reason.AMBIGUOUS),
    "no tensor that is whole": (
        {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2]}]},
        Reason.NOT_A_PREDICTION,
    ),
    "no split": ({"dataframe_split": {"columns": ["a"]}}, Reason.NOT_A_PREDICTION),
    "a row that is too long": (
        {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        Reason.NOT_A_PREDICTION,
    ),
    "two inputs of MLflow": (
        {"dataframe_records": [{"a": 1}], "inputs": [[1]]},
        Reason.NOT_A_PREDICTION,
    ),
    "no examples": ({"examples": [{}]}, Reason.NOT_A_PREDICTION),
    "no messages": ({"messages": []}, Reason.NOT_A_PREDICTION),
    "an empty chat": ({"messages": [{}]}, Reason.NOT_A_PREDICTION),
    "seldon, an empty array": ({"data": {"ndarray": []}}, Reason.NOT_A_PREDICTION),
    "seldon, a tensor that is not whole": (
        {"data": {"tensor": {"shape": [2, 2], "values": [1]}}},
        Reason.NOT_A_PREDICTION,
    ),
    "seldon, a tensor without a shape": (
        {"data": {"tftensor": {"floatVal": [1]}}},
        Reason.NOT_A_PREDICTION,
    ),
    "no input of Azure": ({"input_data": {}}, Reason.NOT_A_PREDICTION),
    "columns of Azure, no answer": ({"input_data": {"a": [1, 2]}}, Reason.AMBIGUOUS),
    "a setting alone": ({"data": [[1]], "threshold": {"a": []}}, Reason.NOT_A_PREDICTION),
}


@pytest.mark.parametrize(("request_", "reason"), SKIPPED.values(), ids=SKIPPED)
def test_a_payload_without_rows_says_why(request_, reason):
    rows = read(exchange(request_))
    assert (rows.skipped, rows.features, rows.predictions) == (reason, [], None)


@pytest.mark.parametrize(
    "answer",
    [[0.2, 0.3, 0.5], [1, 2], {"results": [1, 2, 3], "took": 9}],
    ids=["probabilities or three values", "neither one nor three", "a record or three values"],
)
def test_a_flat_list_that_the_answer_does_not_settle_is_ambiguous(answer):
    assert read(exchange([1.0, 2.0, 3.5], answer)).skipped == Reason.AMBIGUOUS


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (100, "status 1xx"),
        (199, "status 1xx"),
        (300, "status 3xx"),
        (307, "status 3xx"),
        (404, "status 4xx"),
        (500, "status 5xx"),
        (999, "unreadable"),
    ],
)
def test_an_unsuccessful_answer_gives_no_rows(status, reason):
    assert read(exchange({"a": 1}, 0, status=status)).skipped == reason


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_success_gives_rows(status):
    assert read(exchange({"a": 1}, 0, status=status)).predictions == [0]


def test_a_truncated_exchange_gives_no_rows():
    assert read(exchange({"a": 1}, 0, truncated=True)).skipped == "body over the limit"


def test_an_empty_request_gives_no_rows():
    assert read(exchange(b"", 0)).skipped == "empty body"


def test_malformed_json_gives_no_rows():
    assert read(exchange(b"{bad", 0)).skipped == "body is not JSON"


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [' + b",".join([b"[1]"] * 70_000) + b"]}",
        b"[" + b",".join([b'{"a": 1}'] * 70_000) + b"]",
        b"[1]\n" * 70_000,
        b'{"instances": [' + b",".join([b"1"] * 70_000) + b"]}",
        b'{"a": [' + b",".join([b"1"] * 70_000) + b'], "b": [' + b",".join([b"1"] * 70_000) + b"]}",
    ],
    ids=["lists", "records", "lines", "values", "columns"],
)
def test_more_rows_than_a_request_has_are_counted_and_not_made(body):
    assert read(exchange(body, [0] * 70_000)).skipped == "too many rows or values"


def test_an_answer_of_too_many_values_is_counted():
    assert read(exchange([1] * 9, [[1]] * 70_000)).skipped == "too many rows or values"


@pytest.mark.parametrize(
    "held", [[[1]] * 70_000, {"instances": [[1]] * 70_000}], ids=["list", "record"]
)
def test_more_rows_of_msgpack_than_a_request_has_are_counted_and_not_made(held):
    body = msgspec.msgpack.encode(held)
    headers = [(b"content-type", b"application/msgpack")]
    assert read(exchange(body, request_headers=headers)).skipped == "too many rows or values"


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["list", "record"]
)
def test_a_nested_request_never_raises(opening, closing):
    rows = read(exchange(opening * 60_000 + b"1" + closing * 60_000, 0))
    assert rows.skipped == "nested too deep"
    # How deep is too deep is the interpreter's: 1,000 levels are for some.
    rows = read(exchange(opening * 1_000 + b"1" + closing * 1_000, 0))
    assert rows.skipped in {"nested too deep", "not a prediction", None}


def test_a_record_that_is_nested_less_deep_than_the_decoder_allows_is_not_a_prediction():
    assert read(exchange(b'{"a":' * 300 + b"1" + b"}" * 300, 0)).skipped == "not a prediction"


UNANSWERED = {
    "empty": (b"", []),
    "stream": (b'data: {"i": 0}\n\n', [(b"content-type", b"text/event-stream")]),
    "page": (b"<html>", [(b"content-type", b"text/html")]),
    "image": (b"\x89PNG", [(b"content-type", b"image/png")]),
    "malformed": (b"{bad", JSON),
    "too deep": (b"[" * 60_000, JSON),
    "null": (b"null", JSON),
}


@pytest.mark.parametrize(("answer", "headers"), UNANSWERED.values(), ids=UNANSWERED)
def test_a_request_without_a_readable_answer_keeps_its_rows(answer, headers):
    rows = read(exchange({"a": 1}, answer, response_headers=headers))
    assert (rows.features, rows.predictions, rows.unaligned) == ([{"a": 1}], None, False)


@pytest.mark.parametrize("side", ["request_headers", "response_headers"])
def test_a_body_compressed_as_nobody_does_gives_no_rows_and_says_why(side):
    headers = {side: [*JSON, (b"Content-Encoding", b"compress")]}
    bodies = [b"\x0b\x02", b"\x0b\x02"]
    if side == "response_headers":
        bodies[0] = b'{"a": 1}'
    assert read(exchange(*bodies, **headers)).skipped == "content encoding not supported"


def test_predictions_that_do_not_line_up_leave_the_rows():
    rows = read(exchange({"instances": [[1], [2]]}, {"predictions": [1, 2, 3, 4]}))
    assert (rows.features, rows.predictions, rows.unaligned) == ([[1], [2]], None, True)


def test_a_stream_that_ends_in_an_error_gives_no_rows():
    stream = b'data: {"text_output": "a"}\n\ndata: {"error": "boom"}\n\n'
    rows = read(exchange({"a": 1}, stream, response_headers=STREAM))
    assert rows.skipped == "the answer is an error"


def test_a_format_that_nobody_knows_is_refused_at_once():
    with pytest.raises(ValueError, match="format 'mlfow' is unknown: did you mean 'mlflow'"):
        read(exchange({"a": 1}), format="mlfow")
    with pytest.raises(ValueError, match="it is one of oip_v2, seldon_v1"):
        read(exchange(b"{bad"), format="?")


COLUMNS = ["sl", "sw", "pl", "pw"]
TOLD = {
    "one row of as many values as columns": ([1, 2, 3, 4], COLUMNS, [[1, 2, 3, 4]]),
    "a row for each, of one column": ([1, 2, 3, 4], ["sl"], [1, 2, 3, 4]),
    "columns, by their names": (
        {"sl": [1, 2], "sw": [3, 4]},
        COLUMNS,
        [{"sl": 1, "sw": 3}, {"sl": 2, "sw": 4}],
    ),
    "an input, by its width": ({"input": [1, 2, 3, 4]}, COLUMNS, [[1, 2, 3, 4]]),
    "rows in one tensor": (
        {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]},
        COLUMNS,
        [[1, 2, 3, 4]],
    ),
    "rows under one name": ({"instances": [{"features": [1, 2, 3, 4]}]}, COLUMNS, [[1, 2, 3, 4]]),
    "rows of another width": ({"instances": [{"x": [1, 2]}]}, COLUMNS, [{"x": [1, 2]}]),
    "rows of two widths": (
        {"instances": [{"x": [1, 2, 3, 4]}, {"x": [1]}]},
        COLUMNS,
        [{"x": [1, 2, 3, 4]}, {"x": [1]}],
    ),
    "the vector of that name": ({"instances": [{"x": [1, 2]}]}, ["x", "y"], [{"x": [1, 2]}]),
    "the only feature, of a text": ({"inputs": "a"}, ["review"], ["a"]),
    "a text of that name": ({"inputs": "a"}, ["text"], [{"text": "a"}]),
    "a text among others": ({"inputs": "a"}, ["review", "age"], [{"text": "a"}]),
    "a record under a name": ({"iris": {"sl": 1, "sw": 2}}, COLUMNS, [{"sl": 1, "sw": 2}]),
    "a record of that name": ({"sl": {"sl": 1}}, COLUMNS, [{"sl": {"sl": 1}}]),
    "data that is a feature": ({"data": {"sl": 1}}, ["data"], [{"data": {"sl": 1}}]),
}


@pytest.mark.parametrize(("request_", "columns", "features"), TOLD.values(), ids=TOLD)
def test_the_columns_of_the_baseline_settle_what_the_answer_leaves_open(
    request_, columns, features
):
    rows = read(exchange(request_), columns=columns)
    assert (rows.skipped, rows.features) == (None, features)


def test_what_the_columns_leave_open_too_is_ambiguous():
    assert read(exchange([1, 2, 3]), columns=COLUMNS).skipped == Reason.AMBIGUOUS
    assert read(exchange({"sl": [1, 2], "x": [3, 4]}), columns=COLUMNS).skipped == Reason.AMBIGUOUS


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"a", b"text/plain", "not a prediction"),
        (b"\xff\xd8\xff", b"image/jpeg", "content type not supported"),
    ],
    ids=["text", "bytes"],
)
def test_a_model_of_several_features_is_asked_with_no_single_value(body, content_type, reason):
    sent = exchange(body, 0, request_headers=[(b"content-type", content_type)])
    assert read(sent).skipped is None
    assert read(sent, columns=COLUMNS).skipped == reason


def test_a_json_string_is_a_row_only_for_a_model_of_one_feature():
    assert read(exchange("cat", 0)).skipped == "not a prediction"
    assert read(exchange("cat", 0), columns=["name"]).features == ["cat"]


def test_bytes_of_no_type_are_not_a_row():
    sent = exchange(b"\xff\xd8", 0, request_headers=[(b"content-type", b"\xff;;=")])
    assert read(sent).skipped == "content type not supported"


def test_the_answer_settles_before_the_columns():
    rows = read(exchange([1, 2, 3, 4], [0, 0, 1, 1]), columns=COLUMNS)
    assert (rows.features, rows.predictions) == ([1, 2, 3, 4], [0, 0, 1, 1])


NAMED = {
    "columns that the answer does not settle": (
        {"a": [1, 2]},
        "columnar",
        "/predict",
        [{"a": 1}, {"a": 2}],
    ),
    "a record of vectors": (
        {"a": [1, 2], "b": [3, 4]},
        "record",
        "/",
        [{"a": [1, 2], "b": [3, 4]}],
    ),
    "a path that says nothing": ({"inputs": "a"}, "tei", "/", [{"text": "a"}]),
    "texts to embed": (
        {"input": ["a", "b"]},
        "openai_embeddings",
        "/",
        [{"text": "a"}, {"text": "b"}],
    ),
    "a prompt": ({"prompt": "a"}, "openai_completions", "/", [{"text": "a"}]),
    "Cog without an answer": ({"input": {"a": 1}}, "cog", "/", [{"a": 1}]),
}


@pytest.mark.parametrize(("request_", "name", "path", "features"), NAMED.values(), ids=NAMED)
def test_a_named_format_beats_detection(request_, name, path, features):
    told = exchange(request_)
    told.path = path
    rows = read(told, format=name)
    assert (rows.skipped, rows.format, rows.features) == (None, name, features)


def test_a_named_format_reads_nothing_of_another():
    assert read(exchange({"a": 1}, 0), format="tfs_row").skipped == "not a prediction"
    assert read(exchange([1], 0), format="record").skipped == "not a prediction"
    assert read(exchange({}, 0), format="record").skipped == "not a prediction"


UNALIGNED = {
    "two of three tensors": (
        {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]},
        {"outputs": [{"name": "y", "shape": [2], "datatype": "FP32", "data": [1, 2]}]},
        [{"x": 1}],
    ),
    "choices for another number of prompts": (
        {"prompt": ["a", "b"]},
        {"choices": [{"index": 0, "text": "x"}]},
        [{"text": "a"}, {"text": "b"}],
    ),
    "a rank that no text has": (
        {"query": "q", "texts": ["a"]},
        [{"index": 1, "score": 0.5}],
        [{"query": "q", "text": "a"}],
    ),
    "classes that are none": (
        {
            "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}],
            "outputs": [{"name": "y", "parameters": {"classification": 1}}],
        },
        {"outputs": [{"name": "y", "shape": [1], "datatype": "BYTES", "data": ["cat"]}]},
        [{"x": 1}],
    ),
    "an empty array of Seldon": ({"strData": "a"}, {"data": {"ndarray": []}}, [{"text": "a"}]),
}


@pytest.mark.parametrize(("request_", "answer", "features"), UNALIGNED.values(), ids=UNALIGNED)
def test_a_format_whose_answer_does_not_line_up_keeps_its_rows(request_, answer, features):
    rows = read(exchange(request_, answer))
    assert (rows.features, rows.predictions, rows.unaligned) == (features, None, True)


def test_what_is_common_to_all_examples_does_not_fill_the_memory():
    body = {"context": {f"c{i}": i for i in range(2000)}, "examples": [{"a": 1}] * 2000}
    assert read(exchange(body)).skipped == Reason.TRUNCATED


def test_a_vector_that_is_no_base64_is_none():
    answer = {"object": "list", "data": [{"index": 0, "embedding": "é"}]}
    assert read(exchange({"input": "a"}, answer)).predictions == [None]


def test_nan_null_and_missing_stay_apart():
    rows = read(exchange(b'[{"a": NaN, "b": 1}, {"a": null, "b": 1}, {"b": 1}]', [0, 1, 2]))
    assert math.isnan(rows.features[0]["a"])
    assert rows.features[1:] == [{"a": None, "b": 1}, {"b": 1}]


def test_what_is_no_exchange_of_bytes_is_unreadable_and_does_not_raise():
    assert read(exchange({"a": 1}, 0, status="200")).skipped == "unreadable"


json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [*sorted(KEYS), "a", "b", "name", "shape", "datatype", "columns", "predictions"]
            ),
            inner,
        )
    ),
    max_leaves=20,
).map(lambda value: json.dumps(value).encode())
bodies = st.binary(max_size=64) | json_bodies
headers = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"Content-Encoding", b"x"]) | st.binary(max_size=16),
        st.sampled_from([b"application/json", b"gzip", b"identity", b"*/*"])
        | st.binary(max_size=8),
    ),
    max_size=3,
)


named = st.none() | st.sampled_from(sorted(BY_NAME))
watched = st.lists(st.sampled_from([*sorted(KEYS), "a", "b"]), max_size=3, unique=True)


@given(bodies, bodies, headers, headers, st.integers(0, 700), named, watched)
@example(b"[" * 1000, b"{" * 1000, [], [], 200, None, [])
@example(b'{"a": "\\ud800"}', b'"\\udfff"', [], [], 200, None, [])
def test_any_bytes_give_rows_or_a_reason(
    request_, answer, request_headers, response_headers, status, name, columns
):
    rows = read(
        exchange(
            request_,
            answer,
            request_headers=request_headers,
            response_headers=response_headers,
            status=status,
        ),
        columns=columns,
        format=name,
    )
    if rows.skipped is None:
        assert rows.features
        assert name is None or rows.format == name
        assert rows.predictions is None or len(rows.predictions) == len(rows.features)
    else:
        assert rows.skipped in REASONS
        assert not rows.features
        assert rows.predictions is None


@given(json_bodies, json_bodies, named, watched)
def test_a_json_request_under_a_success_is_never_unreadable(request_, answer, name, columns):
    rows = read(exchange(request_, answer), columns=columns, format=name)
    assert rows.skipped != "unreadable"
