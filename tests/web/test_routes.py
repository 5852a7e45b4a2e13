import json
import sqlite3
from contextlib import closing
from urllib.parse import quote

import anyio
import msgspec
import numpy as np
import pytest
from starlette.testclient import TestClient

from drift_middleware.drift.baseline import Baseline
from drift_middleware.errors import StoreError
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Check, Report, SignalReport, WindowReport, WindowSignal
from drift_middleware.web import Routes

NAMES = [
    "age",
    "a/b",
    "größe 日本",
    "two words",
    "..",
    "?x=1#y",
    "50%",
    "+",
    "/",
    "//",
    "a/",
    "history",
]
TOKEN = "s3cret-ü"  # noqa: S105  # of these tests alone


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=400).tolist() for name in NAMES}
    one = Monitor(
        baseline=Baseline.fit(columns, ignore=["joint"]),
        buffer=tmp_path_factory.mktemp("web") / "drift.db",
        check_every=10,
    )
    for _ in range(45):
        one.record({name: float(rng.normal(4)) for name in NAMES})
    yield one
    one.close()


def client_of(source, token=None, **options):
    routes = Routes(source, route="/_drift", token=token)
    return TestClient(routes, **options)


@pytest.fixture(scope="module")
def client(monitor):
    return client_of(monitor)


class Broken:
    """A source whose database is gone, and with it every answer."""

    def drain(self, timeout=5.0):
        return False

    def _fail(self, *args, **options):
        raise StoreError("drift.db cannot be read: it is gone.")

    report = signals = history = signal_history = _fail


class Noted(Broken):
    """A source that notes what it was asked."""

    def __init__(self):
        self.asked = []

    def drain(self, timeout=5.0):
        self.asked.append("drain")
        return True

    def report(self, **options):
        self.asked.append(options)
        return Report()

    def signals(self):
        return [SignalReport(**dict.fromkeys(SignalReport.__struct_fields__[:9], "age"))]

    def history(self, limit, before=None):
        self.asked.append((limit, before))
        return []

    def signal_history(self, name, limit):
        self.asked.append((name, limit))
        return []


def test_the_answer_is_the_report_field_for_field(client, monitor):
    answer = client.get("/_drift")
    assert answer.status_code == 200
    assert list(answer.json()) == list(Report.__struct_fields__)
    assert [list(one) for one in answer.json()["signals"]] == [
        list(SignalReport.__struct_fields__)
    ] * len(NAMES)
    assert msgspec.convert(answer.json(), Report) == monitor.report()


def test_a_client_reads_what_it_wrote_before(client, monitor):
    before = client.get("/_drift").json()["capture"]["rows"]
    monitor.record(dict.fromkeys(NAMES, 4.0))
    assert client.get("/_drift").json()["capture"]["rows"] == before + 1


def test_a_slash_at_the_end_is_the_same_route(client):
    assert client.get("/_drift/").json() == client.get("/_drift").json()
    assert client.get("/_drift/history/").json() == client.get("/_drift/history").json()


def test_the_history_is_newest_first_and_by_pages(client):
    def numbers(query=""):
        return [one["number"] for one in client.get(f"/_drift/history{query}").json()["checks"]]

    assert numbers() == [4, 3, 2, 1]
    assert numbers("?limit=2") == [4, 3]
    assert numbers("?limit=2&before=3") == [2, 1]
    assert numbers("?before=1") == numbers("?limit=0") == []
    assert numbers("?limit=&before=") == numbers("?other=1") == [4, 3, 2, 1]
    assert list(client.get("/_drift/history").json()["checks"][0]) == list(Check.__struct_fields__)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {}),
        ("?window=24h", {"window": "24h"}),
        ("?window=1h&window=2h&other=3", {"window": "2h"}),
        ("?since=2026-11-01T00:00:00Z&until=2026-12-01", None),
        ("?window=&since=", {}),
    ],
)
def test_the_report_is_asked_for_the_stretch_that_the_query_names(query, asked):
    source = Noted()
    assert client_of(source).get(f"/_drift{query}").status_code == 200
    both = {"since": "2026-11-01T00:00:00Z", "until": "2026-12-01"}
    assert source.asked == ["drain", both if asked is None else asked]


def test_a_window_is_in_the_answer_field_for_field(client, monitor):
    window = client.get("/_drift?window=24h").json()["window"]
    assert list(window) == list(WindowReport.__struct_fields__)
    assert list(window["signals"][0]) == list(WindowSignal.__struct_fields__)
    assert (window["checks"], window["rows"], len(window["signals"])) == (4, 40, len(NAMES))
    assert client.get("/_drift?since=2020-01-01").json()["window"] == window
    assert client.get("/_drift?until=2020-01-01&window=1d").json()["window"]["checks"] == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("window=24", "window='24' is impossible: give a number and m, h, d or w"),
        ("since=today", "since='today' is impossible: give a time since 1970"),
        ("until=2026-11-01", "until says where a period ends: give window or since"),
        ("window=24h&since=2026-11-01", "window and since both say where the period begins"),
    ],
)
def test_an_impossible_stretch_is_refused_in_one_sentence(client, query, message):
    answer = client.get(f"/_drift?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def test_one_answer_has_no_more_than_a_thousand_checks():
    source = Noted()
    client_of(source).get("/_drift/history?limit=999999")
    client_of(source).get("/_drift/signals/age?limit=999999")
    assert source.asked == ["drain", (1000, None), "drain", ("age", 1000)]


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "٣", "1e3", "9" * 16, "0x1", "1;2"])
@pytest.mark.parametrize("where", ["history?limit", "history?before", "signals/age?limit"])
def test_an_impossible_number_is_refused_with_its_name_and_value(client, where, text):
    answer = client.get(f"/_drift/{where}={quote(text)}")
    assert answer.status_code == 400
    name = where.partition("?")[2]
    assert answer.json() == {"error": f"{name}={text!r} is impossible: give a whole number."}


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_is_found_by_its_name_whatever_characters_it_has(client, monitor, name):
    # As a server hands it over: the path is decoded.  A client would resolve the dots.
    scope_path = f"/_drift/signals/{name}"
    answer = ask(Routes(monitor, route="/_drift", token=None), scope_path)
    assert answer["name"] == name
    assert [line["check"] for line in answer["history"]] == [4, 3, 2, 1]
    assert answer.keys() == {*SignalReport.__struct_fields__, "history"}


def test_a_signal_whose_name_looks_encoded_is_found():
    source = Noted()
    source.signals = lambda: [msgspec.structs.replace(Noted().signals()[0], name="a%41")]
    assert (
        ask(Routes(source, route="/_drift", token=None), "/_drift/signals/a%41")["name"] == "a%41"
    )


def test_a_signal_whose_name_ends_in_a_slash_is_found(client):
    assert client.get("/_drift/signals/%2F%2F").json()["name"] == "//"


def test_an_unknown_signal_is_not_found_and_the_captured_ones_are_named(client):
    answer = client.get("/_drift/signals/hight")
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("No signal 'hight' was captured. Captured: ")
    assert "größe 日本" in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["/_drift/nothing", "/_drift/history/2", "/_drift/signals", "/_drift/signals/"]
)
def test_what_is_not_there_is_answered_with_what_is(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "Try /_drift, /_drift/history or /_drift/signals/{name}." in answer.json()["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_reading_is_allowed(client, method):
    answer = client.request(method, "/_drift")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json() == {"error": "Only GET and HEAD are allowed here."}


@pytest.mark.parametrize(
    "given",
    [
        *(None, "", "Bearer", "Bearer ", "Bearer s3cret", "Bearer s3cret-ü!", "Bearer s3cret-ü x"),
        *("Basic x", "Basic s3cret-ü", "s3cret-ü", " s3cret-ü", "Bearers3cret-ü", "é"),
    ],
)
@pytest.mark.parametrize("path", ["/_drift", "/_drift/history", "/_drift/signals/age", "/_drift/x"])
def test_without_the_token_nothing_is_told(monitor, path, given):
    headers = {} if given is None else {"authorization": given.encode()}
    answer = client_of(monitor, TOKEN).get(path, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"error": "This needs the header `Authorization: Bearer <token>`."}


def test_with_the_token_all_is_as_without_one(monitor, client):
    headers = {"authorization": f"Bearer {TOKEN}".encode()}
    guarded = client_of(monitor, TOKEN, headers=headers)
    assert guarded.get("/_drift").json() == client.get("/_drift").json()
    assert guarded.post("/_drift").status_code == 405


@pytest.mark.parametrize("given", ["bearer s3cret-ü", "BEARER s3cret-ü", "Bearer  s3cret-ü "])
def test_the_scheme_of_the_token_is_read_as_http_reads_it(monitor, given):
    headers = {"authorization": given.encode()}
    assert client_of(monitor, TOKEN).get("/_drift", headers=headers).status_code == 200


def test_head_is_get_without_a_body_to_the_client(client):
    got, head = client.get("/_drift/history"), client.head("/_drift/history")
    assert head.status_code == 200
    assert head.headers == got.headers


def test_no_cache_keeps_an_answer_and_no_browser_guesses_its_type(client):
    for answer in (client.get("/_drift"), client.get("/_drift/nothing"), client.post("/_drift")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/_drift", "/_drift?window=1h", "/_drift/history", "/_drift/signals/age"]
)
def test_a_database_that_cannot_be_read_is_said_and_never_raised(path):
    answer = client_of(Broken()).get(path)
    assert answer.status_code == 503
    assert answer.json() == {"error": "drift.db cannot be read: it is gone."}


def test_a_real_database_that_is_damaged_is_said(tmp_path):
    one = Monitor(baseline=Baseline.fit({"age": [1, 2, 3] * 20}), buffer=tmp_path / "drift.db")
    with closing(sqlite3.connect(one.config.buffer)) as connection:
        connection.execute("DROP TABLE checks")
    for path in ("/_drift/history", "/_drift?window=1h"):
        answer = client_of(one).get(path)
        assert answer.status_code == 503
        assert "drift.db cannot be read: no such table: checks" in answer.json()["error"]
    one.close()


@pytest.mark.parametrize(
    ("path", "root_path", "is_ours"),
    [
        ("/_drift", "", True),
        ("/_drift/", "", True),
        ("/_drift/anything", "", True),
        ("/_drifting", "", False),
        ("/", "", False),
        ("/x/_drift", "", False),
        ("/x/_drift", "/x", True),
        ("/x/_drift/history", "/x", True),
        ("/_drift", "/x", True),  # a proxy cut the prefix off, and the server only says so
        ("/x", "/x", False),
    ],
)
def test_only_its_own_paths_are_its_own(path, root_path, is_ours):
    routes = Routes(Noted(), route="/_drift", token=None)
    assert routes.owns({"path": path, "root_path": root_path}) is is_ours


def test_it_answers_below_a_mount(monitor):
    plain, below = client_of(monitor), client_of(monitor, root_path="/models/one")
    for path in ("/_drift", "/_drift/history", "/_drift/signals/age"):
        assert below.get(f"/models/one{path}").json() == plain.get(path).json()


def ask(app, path):
    """Call the application with a decoded path, as servers do."""
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    anyio.run(app, scope, receive, send)
    return json.loads(sent[1]["body"])
