"""The document describes what the routes really answer."""

import json

import jsonschema
import numpy as np
import pytest
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from drift_middleware.monitor import Monitor
from drift_middleware.web import Routes, openapi

PARAMETERS = {
    "": {"window", "since", "until", "segment"},
    "/history": {"limit", "before"},
    "/signals/{name}": {"name", "limit"},
    "/metrics": set(),
    "/openapi.json": set(),
    "/check": set(),
    "/reset": set(),
    "/baseline": {"rows"},
}
CHANGING = ("/check", "/reset", "/baseline")
TOKEN = "s3cret"  # noqa: S105  # of these tests alone


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    rng = np.random.default_rng(0)
    columns = {"age": rng.normal(size=400).tolist(), "city": ["Oslo", "Rome"] * 200}
    one = Monitor(
        baseline=columns | {"score": rng.random(400).tolist()},
        buffer=tmp_path_factory.mktemp("openapi") / "drift.db",
        check_every=50,
        segment_by="city",
    )
    for number in range(120):
        one.record({"age": float(rng.normal(4)), "city": ("Oslo", "Rome")[number % 2]}, 0.5)
    yield one
    one.close()


def client_of(monitor, token=None):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return TestClient(Routes(monitor, route="/_drift", token=token), headers=headers)


@pytest.fixture(scope="module")
def client(monitor):
    return client_of(monitor)


@pytest.fixture(scope="module")
def described(client):
    return client.get("/_drift/openapi.json").json()


@pytest.mark.parametrize("token", [None, "s3cret"])
def test_it_is_openapi(monitor, token):
    found = client_of(monitor, token).get("/_drift/openapi.json").json()
    validate(found)
    assert found["openapi"] == "3.1.0"
    assert ("security" in found) is (token is not None)


def test_it_has_every_route_with_its_parameters(described):
    found = {
        path.removeprefix("/_drift"): {one["name"] for one in operation["parameters"]}
        for path, operations in described["paths"].items()
        for operation in operations.values()
    }
    assert found == PARAMETERS


def test_every_route_that_it_has_answers_as_it_says(monitor, described):
    client = client_of(monitor, TOKEN)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            answer = client.request(method.upper(), path.replace("{name}", "age"))
            expected = 409 if path == "/_drift/baseline" else 200  # these are 120 rows
            assert answer.status_code == expected
            content = operation["responses"][str(expected)]["content"]
            assert answer.headers["content-type"] in content


def test_what_changes_is_described_as_post_alone_and_needs_the_token(described):
    changing = {f"/_drift{path}" for path in CHANGING}
    for path, operations in described["paths"].items():
        assert list(operations) == (["post"] if path in changing else ["get"])
    for path in changing:
        assert described["paths"][path]["post"]["security"] == [{"token": []}]
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def schema_of(described, path, status, method="get"):
    answer = described["paths"][f"/_drift{path}"][method]["responses"][status]
    schema = answer["content"]["application/json"]["schema"]
    components = described["components"]
    return jsonschema.Draft202012Validator(_closed({**schema, "components": components}))


def _closed(node):
    """Refuse fields that are not described, which the document itself leaves open."""
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    closed = {name: _closed(value) for name, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("", ""),
        ("?window=24h", ""),
        ("?segment=Oslo", ""),
        ("/history?limit=1", "/history"),
        ("/signals/age", "/signals/{name}"),
        ("/signals/city", "/signals/{name}"),
        ("/openapi.json", "/openapi.json"),
    ],
)
def test_a_real_answer_is_as_it_is_described_field_for_field(client, described, path, template):
    answer = client.get(f"/_drift{path}").json()
    schema_of(described, template, "200").validate(answer)


def test_these_schemas_see_a_wrong_answer(client, described):
    answer = client.get("/_drift").json()
    schema = schema_of(described, "", "200")
    for wrong in ({"severity": "awful"}, {"other": 1}, {"signals": [{}]}, {"capture": None}):
        assert not schema.is_valid(answer | wrong)


@pytest.mark.parametrize(
    ("path", "template", "status"),
    [
        ("?window=1", "", 400),
        ("?segment=nowhere", "", 400),
        ("/history?limit=x", "/history", 400),
        ("/signals/nothing", "/signals/{name}", 404),
    ],
)
def test_an_error_is_as_it_is_described(client, described, path, template, status):
    answer = client.get(f"/_drift{path}")
    assert answer.status_code == status
    schema_of(described, template, str(status)).validate(answer.json())


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/check", TOKEN, 200),
        ("/check", None, 403),
        ("/reset", "another", 401),
        ("/baseline", TOKEN, 409),
        ("/baseline?rows=x", TOKEN, 400),
    ],
)
def test_what_a_change_answers_is_as_it_is_described(monitor, described, path, token, status):
    guarded = TOKEN if token else None
    client = client_of(monitor, guarded)
    answer = client.post(f"/_drift{path}", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == status
    schema = schema_of(described, path.partition("?")[0], str(status), "post")
    schema.validate(answer.json())


def test_below_another_route_the_paths_are_its_own():
    found = openapi.document("/models/_drift", needs_token=False, version="0.1")
    assert list(found["paths"]) == [f"/models/_drift{path}" for path in PARAMETERS]


ACCEPT = {
    "": "text/plain; version=0.0.4; charset=utf-8",
    "*/*": "text/plain; version=0.0.4; charset=utf-8",
    "text/html,application/xhtml+xml": "text/plain; version=0.0.4; charset=utf-8",
    "application/openmetrics-text;version=1.0.0,text/plain;q=0.5": (
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    ),
}


@pytest.mark.parametrize("accept", ACCEPT)
def test_metrics_come_in_the_format_that_is_asked_for(client, accept):
    answer = client.get("/_drift/metrics", headers={"accept": accept})
    assert answer.headers["content-type"] == ACCEPT[accept]
    assert answer.text.endswith("# EOF\n") is ("openmetrics" in accept)
    assert "drift_rows_total 120\n" in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_the_token_guards_metrics_and_the_document(monitor):
    guarded = TestClient(Routes(monitor, route="/_drift", token="s3cret"))  # noqa: S106  # of this test alone
    assert guarded.get("/_drift/metrics").status_code == 401
    assert json.loads(guarded.get("/_drift/openapi.json").content).keys() == {"error"}
