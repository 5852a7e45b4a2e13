import base64
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drift_middleware.capture import read
from drift_middleware.capture.reasons import Reason
from drift_middleware.schemas import Exchange

JSON = [(b"Content-Type", b"application/json")]
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


@pytest.mark.parametrize("recorded", RECORDED)
def test_a_recorded_exchange_gives_its_rows(recorded):
    rows = read(
        Exchange(
            recorded["method"],
            recorded["path"],
            request_headers=recorded_headers(recorded["request_headers"]),
            request_body=recorded_bytes(recorded["request_body"]),
            status=recorded["status"],
            response_headers=recorded_headers(recorded["response_headers"]),
            response_body=recorded_bytes(recorded["response_body"]),
        )
    )
    expected = recorded["expected"]
    assert rows.skipped == expected.get("skip")
    assert rows.format == expected.get("format", "")
    assert rows.features == expected.get("features", [])
    assert rows.predictions == expected.get("predictions")
    assert not rows.unaligned


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
    "text": ({"inputs": "I love it"}, Reason.FORMAT),
    "texts": ({"inputs": ["a", "b"]}, Reason.FORMAT),
    "open inference": (
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]},
        Reason.FORMAT,
    ),
    "dataframe_split": ({"dataframe_split": {"columns": ["a"], "data": [[1]]}}, Reason.FORMAT),
    "chat": ({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, Reason.FORMAT),
    "seldon": ({"meta": {"puid": "p"}, "data": {"ndarray": [[1, 2]]}}, Reason.FORMAT),
    "seldon text": ({"strData": "hello"}, Reason.FORMAT),
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
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["list", "record"]
)
def test_a_nested_request_never_raises(opening, closing):
    rows = read(exchange(opening * 200_000 + b"1" + closing * 200_000, 0))
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
    "too deep": (b"[" * 200_000, JSON),
    "null": (b"null", JSON),
}


@pytest.mark.parametrize(("answer", "headers"), UNANSWERED.values(), ids=UNANSWERED)
def test_a_request_without_a_readable_answer_keeps_its_rows(answer, headers):
    rows = read(exchange({"a": 1}, answer, response_headers=headers))
    assert (rows.features, rows.predictions, rows.unaligned) == ([{"a": 1}], None, False)


@pytest.mark.parametrize("side", ["request_headers", "response_headers"])
def test_a_compressed_body_gives_no_rows_and_says_why(side):
    headers = {side: [*JSON, (b"Content-Encoding", b"br")]}
    bodies = [b"\x0b\x02", b"\x0b\x02"]
    if side == "response_headers":
        bodies[0] = b'{"a": 1}'
    assert read(exchange(*bodies, **headers)).skipped == "content encoding not supported"


def test_predictions_that_do_not_line_up_leave_the_rows():
    rows = read(exchange({"instances": [[1], [2]]}, {"predictions": [1, 2, 3, 4]}))
    assert (rows.features, rows.predictions, rows.unaligned) == ([[1], [2]], None, True)


def test_what_is_no_exchange_of_bytes_is_unreadable_and_does_not_raise():
    assert read(exchange({"a": 1}, 0, status="200")).skipped == "unreadable"


json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["a", "instances", "inputs", "input", "data", "predictions", "name"]),
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


@given(bodies, bodies, headers, headers, st.integers(0, 700))
@example(b"[" * 1000, b"{" * 1000, [], [], 200)
@example(b'{"a": "\\ud800"}', b'"\\udfff"', [], [], 200)
def test_any_bytes_give_rows_or_a_reason(
    request_, answer, request_headers, response_headers, status
):
    rows = read(
        exchange(
            request_,
            answer,
            request_headers=request_headers,
            response_headers=response_headers,
            status=status,
        )
    )
    if rows.skipped is None:
        assert rows.features
        assert rows.predictions is None or len(rows.predictions) == len(rows.features)
    else:
        assert rows.skipped in REASONS
        assert not rows.features
        assert rows.predictions is None


@given(json_bodies)
def test_a_json_request_under_a_success_is_never_unreadable(request_):
    assert read(exchange(request_, 0)).skipped != "unreadable"
