import json
import logging
from importlib.metadata import EntryPoint

import pytest

import drift_middleware
from drift_middleware import ConfigError, Request, Response, Row, extractor
from drift_middleware.capture import extractors
from drift_middleware.capture.extractors import EXTRACTORS
from drift_middleware.capture.reader import Reader
from drift_middleware.config import Config
from drift_middleware.schemas import Exchange, Rows

SENT = {"cases": [{"age": 31}, {"age": 54}]}


@pytest.fixture(autouse=True)
def registry():
    before = dict(EXTRACTORS)
    EXTRACTORS.clear()
    yield EXTRACTORS
    EXTRACTORS.clear()
    EXTRACTORS.update(before)


def exchange(asked=SENT, answer=None, **more):
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    fields = {"method": "POST", "path": "/predict", "request_body": body} | more
    headers = [(b"Content-Type", b"Application/JSON; charset=utf-8"), (b"X-Client", b"caf\xe9")]
    return Exchange(request_headers=headers, response_body=json.dumps(answer).encode(), **fields)


def cases(request, response):
    body = request.json()
    if "cases" not in body:
        return None
    return [Row(features=case, prediction=0.5) for case in body["cases"]]


def read(sent, *given, **more):
    return Reader(extractors={f"number {i}": one for i, one in enumerate(given)}, **more).read(sent)


def rows_of(*rows):
    return read(exchange(), lambda request, response: list(rows))


def test_an_extractor_gives_the_rows_of_its_own_exchanges(registry):
    extractor("cases")(cases)
    assert registry == {"cases": cases}
    rows = read(exchange(), cases)
    assert rows == Rows([{"age": 31}, {"age": 54}], [0.5, 0.5], "number 0")


def test_what_is_registered_later_is_asked_too(registry):
    one = Reader()
    assert one.read(exchange(answer=[1, 2])).format != "cases"
    extractor("cases")(cases)
    assert one.read(exchange()).format == "cases"


def test_what_is_no_extractors_own_is_detected():
    rows = read(exchange({"age": 31}, 0.5), lambda request, response: None, cases)
    assert (rows.features, rows.format) == ([{"age": 31}], "record")
    assert read(exchange(b"age\n31\n"), cases).skipped == "body is not JSON"


@pytest.mark.parametrize(
    "broken",
    [
        lambda request, response: 1 / 0,
        lambda request, response: request.json()["no such key"],
        lambda request, response: 5,
        lambda request, response: [5],
        lambda request, response: [Row(features="text")],
        lambda request, response: [Row(features=5)],
        lambda request, response: [Row({"a": 1}, proba="much")],
        lambda request, response: setattr(request, "body", b""),
        lambda request, response: cases(request),
    ],
    ids=["arithmetic", "key", "number", "numbers", "text", "no features", "proba", "set", "call"],
)
def test_what_an_extractor_raises_is_counted_and_goes_no_further(broken, caplog):
    caplog.set_level(logging.INFO)
    one = Reader(extractors={"broken": broken})
    assert one.read(exchange()) == Rows(skipped="the extractor raised")
    assert one.report()[0].skipped == {"the extractor raised": 1}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("row", "features", "prediction"),
    [
        (Row({"a": 1}), {"a": 1}, None),
        (Row((1, 2), "yes"), [1, 2], "yes"),
        (
            Row({"a": 1}, proba={"no": 0.25, "yes": 0.75}),
            {"a": 1},
            {"label": "yes", "probability": {"no": 0.25, "yes": 0.75}},
        ),
        (
            Row({"a": 1}, "no", proba=[0.25, 0.75]),
            {"a": 1},
            {"prediction": "no", "probability": [0.25, 0.75]},
        ),
        (
            Row({"a": 1}, 0, row_id="x7", model="iris", version="3"),
            {"model": "iris", "version": "3", "a": 1},
            0,
        ),
    ],
)
def test_a_row_says_features_prediction_probabilities_and_model(row, features, prediction):
    expected = None if prediction is None else [prediction]
    assert rows_of(row) == Rows([features], expected, "number 0")


def test_a_row_may_lack_the_prediction_that_others_have():
    assert rows_of(Row({"a": 1}, 5), Row({"a": 2})).predictions == [5, None]


def test_no_rows_are_no_prediction():
    assert rows_of().skipped == "not a prediction"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_error_is_not_shown_to_extractors(status):
    asked = []
    rows = read(exchange(status=status), lambda *views: asked.append(views))
    assert rows.skipped == f"status {status // 100}xx"
    assert asked == []


def test_of_a_body_over_the_limit_an_extractor_may_make_what_it_can():
    cut = exchange(b"", truncated=True)
    assert read(cut, cases).skipped == "body over the limit"
    assert read(cut, lambda request, response: 1 / 0).skipped == "body over the limit"
    rows = read(
        cut, lambda request, response: [Row({"cut": request.truncated, "a": response.truncated})]
    )
    assert rows.features == [{"cut": True, "a": False}]


def test_views_show_the_exchange_and_cannot_be_changed():
    sent = exchange(answer={"y": 1}, path="/p", query=b"a=1", status=201)
    request, response = Request(sent, {"model": "iris"}), Response(sent)
    assert (request.method, request.path, request.query) == ("POST", "/p", "a=1")
    assert dict(request.path_params) == {"model": "iris"}
    assert request.headers["content-type"] == "Application/JSON; charset=utf-8"
    assert request.headers["x-client"] == "café"
    assert request.content_type == "application/json"
    assert (request.json(), request.body) == (SENT, sent.request_body)
    assert (response.json(), response.body, response.status) == ({"y": 1}, b'{"y": 1}', 201)
    assert (request.truncated, response.truncated, response.content_type) == (False, False, "")
    for view, name in ((request, "body"), (request, "path"), (response, "status"), (request, "x")):
        with pytest.raises(AttributeError):
            setattr(view, name, "other")
    with pytest.raises(TypeError):
        request.headers["a"] = "b"
    with pytest.raises(TypeError):
        request.path_params["a"] = "b"


def test_a_function_of_a_module_is_named_in_a_table(tmp_path, monkeypatch):
    (tmp_path / "my_extractors.py").write_text(
        "from drift_middleware import Row\n"
        "class Mine:\n"
        "    @staticmethod\n"
        "    def extract(request, response):\n"
        "        if request.body == b'{}':\n"
        "            return None\n"
        "        return [Row({'a': len(request.body)}, version='3')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    table = {"path": "/m/{model}", "extract": "my_extractors:Mine.extract"}
    one = Reader(endpoints=Config.load({}, endpoints=[table]).endpoint)
    rows = one.read(exchange(b"{ }", path="/m/iris"))
    assert rows.features == [{"model": "iris", "version": "3", "a": 3}]
    assert rows.format == "my_extractors:Mine.extract"
    assert one.read(exchange(b"{}", path="/m/iris")).skipped == "not a prediction"


def entry_point(value, name="theirs"):
    return EntryPoint(name, value, extractors.GROUP)


def test_installed_packages_register_theirs_and_yours_of_that_name_stays(monkeypatch, registry):
    points = [entry_point("json:loads"), entry_point("json:dumps", "mine")]
    monkeypatch.setattr(extractors, "entry_points", lambda group: points)
    extractor("mine")(cases)
    extractors.load_entry_points()
    assert registry == {"mine": cases, "theirs": json.loads}


def test_an_installed_extractor_that_cannot_be_loaded_is_an_error_at_start(monkeypatch):
    monkeypatch.setattr(extractors, "entry_points", lambda group: [entry_point("no_such:thing")])
    with pytest.raises(ConfigError, match=r"extractor 'theirs' \(no_such:thing\) cannot be loaded"):
        extractors.load_entry_points()


@pytest.mark.parametrize("name", ["", "auto", cases])
def test_an_extractor_needs_a_name_of_its_own(name):
    with pytest.raises(ConfigError, match=r"@extractor\('my_format'\)"):
        extractor(name)


def test_the_names_are_those_of_the_package():
    assert drift_middleware.extractor is extractor
    assert drift_middleware.Row is Row
