import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture import extractors
from drift_middleware.capture.endpoints import DOES_NOT_FIT, described
from drift_middleware.capture.reader import Reader
from drift_middleware.config import Config
from drift_middleware.errors import ConfigError
from drift_middleware.schemas import Exchange, Rows

PATH = "/v1/models/iris:predict"
EXAMPLE = """
[[endpoint]]
path = "/v1/models/{model}:predict"
format = "auto"
request.rows     = "instances[].data"
request.features = ["age","income"]
request.ignore   = ["/request_id"]
response.label = "predictions[].predicted_label"
response.probability = "predictions[].score"
response.classes = ["no","yes"]
align = "index"
kind = "classification"
"""
ASKED = {"instances": [{"data": [31, 5.5]}, {"data": [54, 1.0]}]}
ANSWER = {
    "predictions": [
        {"predicted_label": 1, "score": [0.25, 0.75]},
        {"predicted_label": 0, "score": [0.5, 0.5]},
    ]
}


def exchange(asked, answer=None, path=PATH, kind=b"application/json", **more):
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    headers = [(b"content-type", kind)]
    return Exchange(
        "POST", path, request_headers=headers, request_body=body, response_body=answer, **more
    )


def tables(*given):
    return Config.load({}, endpoints=given).endpoint


def read(table, asked, answer=None, path="/p", **more):
    return Reader(endpoints=tables({"path": "/p", **table})).read(
        exchange(asked, answer, path, **more)
    )


def refusal(*given):
    with pytest.raises(ConfigError) as caught:
        described(tables(*given))
    return str(caught.value)


def test_a_file_says_where_everything_is(tmp_path):
    path = tmp_path / "drift.toml"
    path.write_text(EXAMPLE)
    config = Config.load({"DRIFT_CONFIG": str(path)})
    rows = Reader(endpoints=config.endpoint).read(exchange(ASKED, ANSWER))
    assert rows.skipped is None
    assert rows.features == [
        {"model": "iris", "age": 31, "income": 5.5},
        {"model": "iris", "age": 54, "income": 1.0},
    ]
    assert rows.predictions == [
        {"label": "yes", "probability": {"no": 0.25, "yes": 0.75}},
        {"label": "no", "probability": {"no": 0.5, "yes": 0.5}},
    ]


def test_a_table_in_python_and_one_in_the_environment_are_those_of_the_file():
    nested = {"path": "/p", "request": {"rows": "a[]", "features": ("b", "c")}}
    flat = {"path": "/p", "request.rows": "a[]", "request.features": ["b", "c"]}
    assert tables(nested) == tables(flat)
    variables = {"DRIFT_ENDPOINT": json.dumps([nested])}
    assert Config.load(variables).endpoint == tables(nested)
    assert Config.load({}, endpoint=tables(nested)).endpoint == tables(nested)


@pytest.mark.parametrize(
    ("template", "path", "names"),
    [
        ("/predict", "/predict", {}),
        ("/predict", "/predict/", None),
        ("/v1/models/{model}:predict", PATH, {"model": "iris"}),
        ("/v1/models/{model}:predict", "/v1/models/a/b:predict", None),
        ("/v1/models/{model:path}:predict", "/v1/models/a/b:predict", {"model": "a/b"}),
        (
            "/v2/models/{model}/versions/{version}/infer",
            "/v2/models/m/versions/3/infer",
            {"model": "m", "version": "3"},
        ),
        ("/a.c", "/abc", None),
        ("/{a}", "/x\n", {"a": "x\n"}),
    ],
)
def test_a_template_matches_paths_and_names_their_parts(template, path, names):
    (one,) = described(tables({"path": template}))
    assert one.match(path, "") == names


def test_the_template_of_the_app_matches_too():
    (one,) = described(tables({"path": "/models/{name}"}))
    assert one.match("/prefix/models/a", "/models/{name}") == {}


def test_the_first_table_that_matches_is_used_and_other_paths_are_detected():
    reader = Reader(
        endpoints=tables(
            {"path": "/m/a", "request.rows": "x[]"}, {"path": "/m/{n}", "request.rows": "y[]"}
        )
    )
    asked = {"x": [{"a": 1}], "y": [{"b": 2}]}
    for path, expected in (("/m/a", {"a": 1}), ("/m/b", {"b": 2})):
        assert reader.read(exchange(asked, 0, path)).features == [expected]
    assert reader.read(exchange({"c": 3}, 0, "/n")).features == [{"c": 3}]


@pytest.mark.parametrize(
    ("rows", "asked", "expected"),
    [
        ("a[]", {"a": [{"b": 1}, {"b": 2}]}, [{"b": 1}, {"b": 2}]),
        ("/a", {"a": [{"b": 1}, {"b": 2}]}, [{"b": 1}, {"b": 2}]),
        ("/a", {"a": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ("/a", {"a": [1, 2]}, [[1, 2]]),
        ("a[]", {"a": [1, 2]}, [1, 2]),
        ("/a", {"a": {"b": 1, "c": [2]}}, [{"b": 1, "c": [2]}]),
        ("/a", {"a": {"b": [1, 2], "c": [3, 4]}}, [{"b": 1, "c": 3}, {"b": 2, "c": 4}]),
        ("a.b[].c", {"a": {"b": [{"c": [1]}]}}, [[1]]),
        ("[].f", [{"f": {"x": 1}}, {"f": {"x": 2}}], [{"x": 1}, {"x": 2}]),
    ],
)
def test_rows_are_where_they_are_said_to_be(rows, asked, expected):
    assert read({"request.rows": rows}, asked).features == expected


def test_rows_may_be_in_a_table_of_another_codec():
    found = read({"request.rows": "[]"}, b"age,city\n31,Oslo\n", kind=b"text/csv")
    assert found.features == [{"age": 31, "city": "Oslo"}]


@pytest.mark.parametrize(
    ("table", "asked", "expected"),
    [
        ({"request.features": ["a", "b.c"]}, {"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b.c": 2}),
        ({"request.features": ["a", "z"]}, {"a": 1, "b": 2}, {"a": 1}),
        ({"request.ignore": ["/id", "u.v"]}, {"id": 1, "u": {"v": 2}, "a": 3}, {"a": 3}),
        ({"request.ignore": "u"}, {"u": {"v": 2, "w": 4}, "a": 3}, {"a": 3}),
        ({"request.ignore": ["/u/v"]}, {"u": {"v": 2, "w": 4}}, {"u.w": 4}),
    ],
)
def test_features_are_those_that_are_named_and_not_ignored(table, asked, expected):
    assert read(table, asked, 0).features == [expected]


@pytest.mark.parametrize(
    ("table", "answer", "expected"),
    [
        ({"response.prediction": "r[].y"}, {"r": [{"y": 1}, {"y": 2}]}, [1, 2]),
        ({"response.prediction": "r"}, {"r": [1, 2]}, [1, 2]),
        ({"response.label": "r[]"}, {"r": [1, 2]}, [{"label": 1}, {"label": 2}]),
        (
            {"response.label": "r", "response.classes": ["a", "b"]},
            {"r": [1, 0]},
            [{"label": "b"}, {"label": "a"}],
        ),
        (
            {"response.probability": "r", "response.classes": ["a", "b"]},
            {"r": [[0.25, 0.75], [1.0, 0]]},
            [
                {"label": "b", "probability": {"a": 0.25, "b": 0.75}},
                {"label": "a", "probability": {"a": 1.0, "b": 0}},
            ],
        ),
        (
            {"response.prediction": "r", "response.classes": ["a", "b"]},
            {"r": [[0.25, 0.75], 0]},
            [{"label": "b", "probability": {"a": 0.25, "b": 0.75}}, "a"],
        ),
        (
            {"response.probability": "r[]"},
            {"r": [0.5, 0.2]},
            [{"probability": 0.5}, {"probability": 0.2}],
        ),
        ({"kind": "classification"}, [0, 2.0], ["0", "2"]),
        ({"response.classes": ["no", "yes"]}, [0, 1], ["no", "yes"]),
        (
            {"kind": "regression"},
            [[0.25, 0.75], [0.5, 0.5]],
            [
                {"prediction.0": 0.25, "prediction.1": 0.75},
                {"prediction.0": 0.5, "prediction.1": 0.5},
            ],
        ),
        ({"align": "none"}, [0, 1], None),
    ],
)
def test_predictions_are_what_the_options_say(table, answer, expected):
    rows = read(table, [{"a": 1}, {"a": 2}], answer)
    assert (rows.predictions, rows.unaligned) == (expected, False)


def test_a_number_of_predictions_that_is_not_that_of_the_rows_is_unaligned():
    table = {"request.rows": "a", "response.prediction": "r[]"}
    found = read(table, {"a": [{"b": 1}, {"b": 2}]}, {"r": [1, 2, 3]})
    assert (found.features, found.predictions) == ([{"b": 1}, {"b": 2}], None)
    assert found.unaligned


@pytest.mark.parametrize(("answer", "expected"), [([0.1, 0.9], [[0.1, 0.9]]), (5, [5])])
def test_the_only_row_has_the_one_prediction(answer, expected):
    assert read({"response.prediction": "r"}, {"a": 1}, {"r": answer}).predictions == expected


KEYED = {
    "request.rows": "cases[].data",
    "response.prediction": "scores[].score",
    "align": "key:/id",
}


def keyed(asked, told):
    cases = [{"id": key, "data": {"x": value}} for key, value in asked.items()]
    scores = [{"id": key, "score": value} for key, value in told]
    return read(KEYED, {"cases": cases}, {"scores": scores})


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=1), st.randoms())
def test_a_key_brings_together_what_comes_in_any_order(asked, random):
    told = list(asked.items())
    random.shuffle(told)
    rows = keyed(asked, told)
    assert rows.predictions == [row["x"] for row in rows.features]
    assert not rows.unaligned


def test_a_row_whose_key_has_no_answer_has_no_prediction():
    rows = keyed({"a": 1, "b": 2}, [("b", 5), ("c", 6)])
    assert (rows.predictions, rows.unaligned) == ([None, 5], True)
    rows = keyed({"a": 1}, [("c", 6)])
    assert (rows.predictions, rows.unaligned) == (None, True)


def test_a_key_of_records_that_were_detected():
    table = {"response.prediction": "r[].y", "align": "key:/id", "request.ignore": "id"}
    answer = {"r": [{"id": 2, "y": "b"}, {"id": 1, "y": "a"}]}
    rows = read(table, [{"id": 1, "x": 5}, {"id": 2, "x": 6}], answer)
    assert (rows.features, rows.predictions) == ([{"x": 5}, {"x": 6}], ["a", "b"])


@pytest.mark.parametrize(
    ("table", "asked", "answer"),
    [
        ({"request.rows": "a[]"}, {"b": [1]}, None),
        ({"request.rows": "a[].b"}, {"a": [{"b": {"x": 1}}, {}]}, None),
        ({"request.rows": "/a", "request.features": ["x"]}, {"a": [[1, 2]]}, None),
        ({"request.features": ["z"]}, {"a": 1}, None),
        ({"request.ignore": ["a"]}, {"a": 1}, None),
        ({"response.prediction": "r"}, {"a": 1}, {"s": 1}),
        ({"response.prediction": "r"}, {"a": 1}, b"<html>"),
        ({"format": "oip_v2"}, {"a": 1}, 0),
        (KEYED, {"cases": [{"data": {"x": 1}}]}, {"scores": []}),
        (KEYED, {"cases": [{"id": [], "data": {"x": 1}}]}, {"scores": []}),
        (KEYED, {"cases": [{"id": 1, "data": {"x": 1}}]}, {"scores": [3]}),
    ],
    ids=repr,
)
def test_what_is_not_as_the_options_say_is_counted(table, asked, answer):
    assert read(table, asked, answer) == Rows(skipped=DOES_NOT_FIT)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"asked": b"{", "status": 200}, "body is not JSON"),
        ({"asked": {"a": []}}, "not a prediction"),
        ({"asked": {"a": [1]}, "status": 422}, "status 4xx"),
        ({"asked": b"", "truncated": True}, "body over the limit"),
        ({"asked": b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}"}, "nested too deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_reasons_are_those_of_all_exchanges(more, reason):
    assert read({"request.rows": "a[]"}, **more).skipped == reason


SCALARS = st.none() | st.booleans() | st.floats() | st.text(max_size=2) | st.integers()
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "r", "id", "y"]), inner, max_size=3)
    ),
    max_leaves=12,
)
READERS = [
    Reader(endpoints=tables({"path": "/p", **table}))
    for table in (
        {"request.rows": "a[]", "response.prediction": "r[].y", "align": "key:/id"},
        {"request.rows": "/a", "response.label": "r", "response.classes": ["0", "1"]},
        {"request.features": ["a", "y"], "response.probability": "r[]", "kind": "classification"},
        {"request.ignore": ["/a/y"], "kind": "regression"},
        {"request.rows": "a[?y > `1`]", "response.prediction": "length(r)"},
    )
]


@given(JSON, JSON, st.sampled_from(READERS))
def test_whatever_comes_is_rows_or_a_reason(asked, answer, reader):
    rows = reader.read(exchange(asked, answer, "/p"))
    if rows.skipped is None:
        assert rows.features
        assert rows.predictions is None or len(rows.predictions) == len(rows.features)
    else:
        assert rows.features == []
        assert rows.skipped != "unreadable"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"path": "predict"}, ["endpoint[0] (predict)", "path='predict'", "'/v1/models/{model}"]),
        ({"path": "/a/{b"}, ["path='/a/{b'"]),
        ({"path": "/{a}/{a}"}, ["has a name twice"]),
        (
            {"path": "/p", "format": "mlfow"},
            ["(/p)", "format='mlfow'", "'mlflow'?", "auto, oip_v2"],
        ),
        ({"path": "/p", "request.rows": "a[?"}, ["(/p)", "request.rows='a[?'", "JMESPath"]),
        ({"path": "/p", "response.label": ""}, ["response.label=''"]),
        ({"path": "/p", "align": "key:/id"}, ["align='key:/id'", "response.prediction"]),
        ({"path": "/p", "extract": "no.such:thing"}, ["extract='no.such:thing'", "no"]),
        ({"path": "/p", "extract": "json:nothing"}, ["extract='json:nothing'", "nothing"]),
        ({"path": "/p", "extract": "json:__name__"}, ["is no function"]),
        ({"path": "/p", "extract": "json:loads", "request.rows": "/a"}, ["request.rows", "leave"]),
        ({"path": "/p", "format": "mlflow", "request.rows": "/a"}, ["request.rows", "'mlflow'"]),
    ],
    ids=repr,
)
def test_an_impossible_table_is_refused_at_start(table, said):
    message = refusal(table)
    assert [part for part in said if part not in message] == []


def test_a_path_has_one_table():
    assert "endpoint[1] (/p): another table has this path" in refusal(
        {"path": "/p"}, {"path": "/p"}
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"request.rows": "/a"}, ["endpoint[0] is impossible", "`path`"]),
        (5, ["endpoint[0] is impossible", "got `int`"]),
        (
            {"path": "/p", "request": {"row": "/a"}},
            ["endpoint[0] (/p)", "'request.row'", "'request.rows'?", "Known: path, format"],
        ),
        ({"path": "/p", "request.features": 5}, ["(/p): request.features=5", "`array`"]),
        ({"path": "/p", "request.features": [5]}, ["request.features=[5]", "`str`"]),
        ({"path": "/p", "align": "order"}, ["align='order'", "'index', 'none', 'key:/...'"]),
        ({"path": "/p", "kind": "ranking"}, ["kind='ranking'", "'classification', 'regression'"]),
    ],
    ids=repr,
)
def test_a_table_with_a_wrong_key_or_value_is_refused_with_its_place(table, said):
    with pytest.raises(ConfigError) as caught:
        tables(table)
    assert [part for part in said if part not in str(caught.value)] == []


def test_an_extractor_is_a_format(monkeypatch):
    def mine(request, response):
        return [extractors.Row({"n": len(request.body), **request.path_params}, response.status)]

    monkeypatch.setitem(extractors.EXTRACTORS, "mine", mine)
    rows = read({"path": "/{place}", "format": "mine"}, b"12345", path="/here")
    assert rows == Rows([{"n": 5, "place": "here"}], [200], "mine")
