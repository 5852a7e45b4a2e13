"""Whatever clients send and apps do, both see what they would see without us, and it is counted."""

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from itertools import pairwise
from typing import Annotated

import pytest
from fastapi import Body, FastAPI, HTTPException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from drift_middleware import DriftMiddleware

RECORD = b'{"age": 31, "city": "Paris"}'
LIMIT = 1000
JSON = [(b"content-type", b"application/json")]
OURS = (b"x-drift-severity", b"x-drift-data", b"x-drift-prediction", b"x-drift-check")
DISCONNECT = {"type": "http.disconnect"}


@pytest.fixture
def watch(tmp_path):
    """Wrap apps, each with a buffer of its own, and stop their threads in the end."""
    watched = []

    def wrap(app, **options):
        options = {"max_body_bytes": LIMIT, "buffer": tmp_path / f"{len(watched)}.db"} | options
        watched.append(DriftMiddleware(app, **options))
        return watched[-1]

    yield wrap
    for one in watched:
        one.monitor.close()


def request(*pieces):
    """Cut a body into the messages of a server."""
    last = len(pieces) - 1
    return [
        {"type": "http.request", "body": piece, "more_body": place < last}
        for place, piece in enumerate(pieces)
    ]


def talk(app, messages, headers=JSON):
    """Be the server of one request: return what the app sent, without ours, and what it raised."""
    sent, coming = [], iter(messages)
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b""}
    scope["headers"] = headers

    async def serve():
        async def receive():
            for message in coming:
                if isinstance(message, BaseException):
                    raise message
                return message
            return await asyncio.Future()  # the client waits for its answer

        async def send(message):
            if "headers" in message:
                kept = [pair for pair in message["headers"] if pair[0] not in OURS]
                message = {**message, "headers": kept}
            sent.append(message)

        try:
            await app(scope, receive, send)
        except BaseException as error:  # noqa: BLE001  # a server sees them all
            return error
        return None

    return sent, asyncio.run(serve())


def capture(watched):
    assert watched.monitor.drain()
    return watched.monitor.report().capture


def rows_of(watched, *columns):
    """Read what is in the buffer, as anybody could."""
    assert watched.monitor.drain()
    with closing(sqlite3.connect(watched.monitor.config.buffer)) as connection:
        query = f"SELECT {', '.join(columns)} FROM rows"  # noqa: S608  # names of this file
        return connection.execute(query).fetchall()


def assert_counted(make_app, messages, reason, watch, headers=JSON):
    """Compare two requests to an app of its own with two to a watched one, and count them."""
    plain, watched = make_app(), watch(make_app())
    for sent in (1, 2):
        expected, raised = talk(plain, messages, headers)
        found, error = talk(watched, messages, headers)
        assert (found, repr(error)) == (expected, repr(raised))
        counted = capture(watched)
        assert counted.skipped == ({} if reason is None else {reason: sent})
        assert counted.requests + sum(counted.skipped.values()) == sent
        assert (counted.dropped, counted.errors) == (0, 0)
    return watched


def echo_app(answer=None):
    """Make an app that reads all that it gets and says how much."""

    async def predict(request):
        body = await request.body()
        return JSONResponse({"score": len(body)}) if answer is None else answer

    return Starlette(routes=[Route("/predict", predict, methods=["POST"])])


def streaming_app(*pieces):
    """Make an app that reads all that it gets and answers in pieces."""

    async def app(scope, receive, send):
        await Request(scope, receive).body()
        await send(START)
        for place, piece in enumerate(pieces):
            more = place < len(pieces) - 1
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    return app


def fastapi_app():
    class Flight(BaseModel):
        age: float

    app = FastAPI()

    @app.post("/predict")
    async def predict(flight: Annotated[Flight, Body()]):
        if flight.age < 0:
            raise HTTPException(418, "too young")
        return {"score": 1 / flight.age}

    return app


def raw(*steps):
    """Make an app of steps: messages to send, errors to raise, or "receive"."""

    async def app(scope, receive, send):
        for step in steps:
            if step == "receive":
                await receive()
            elif isinstance(step, BaseException):
                raise step
            else:
                await send(step)

    return app


def reading_twice():
    return raw("receive", "receive", START, ANSWER)


NOT_READ = "body not read by the app"
RAISED = "the app raised"
START = {"type": "http.response.start", "status": 200, "headers": JSON}
ANSWER = {"type": "http.response.body", "body": b'{"score": 0.5}'}
PART = {**ANSWER, "more_body": True}
END = {"type": "http.response.body"}
ENDLESS = {**ANSWER, "body": b"[" + b"1," * LIMIT + b"1]"}
EARLY, HALF_WAY, LATE = ValueError("early"), ValueError("half way"), ValueError("late")
CANCELLED = asyncio.CancelledError()
LONG = b'{"age": 31, "note": "' + b"x" * LIMIT + b'"}'

SKIPPED = {
    "cut short": (b'{"age": 31, "ci', "body is not JSON"),
    "two objects": (RECORD + RECORD, "body is not JSON"),
    "no text at all": (bytes(range(256)), "body is not JSON"),
    "UTF-16 cut within a character": (RECORD.decode().encode("utf-16")[:-1], "body is not JSON"),
    "nested objects": (b'{"a":' * 150 + b"1" + b"}" * 150, "not a prediction"),
    "a string": (b'"age"', "not a prediction"),
    "null": (b"null", "not a prediction"),
    "an empty object": (b"{}", "not a prediction"),
    "empty objects": (b"[{}, {}]", "not a prediction"),
    "mixed rows": (b'[{"age": 31}, [31]]', "not a prediction"),
    "no scalar": (b'{"age": [], "city": {}}', "not a prediction"),
    "nothing": (b"", "empty body"),
    "white space": (b" \n ", "body is not JSON"),
    "over the limit": (LONG, "body over the limit"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_body_without_rows_is_counted_by_its_reason(name, watch):
    body, reason = SKIPPED[name]
    watched = assert_counted(echo_app, request(body), reason, watch)
    assert rows_of(watched, "id") == []


@pytest.mark.parametrize(("opening", "ending"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [1000, 15_000])
def test_a_body_that_is_nested_deep_is_counted_once(depth, opening, ending, watch):
    watched = watch(echo_app(), max_body_bytes=200_000)
    body = opening * depth + b"1" + ending * depth
    assert talk(watched, request(body)) == talk(echo_app(), request(body))
    counted = capture(watched)
    assert counted.requests + sum(counted.skipped.values()) == 1
    if depth > 1000:  # how deep is too deep is the interpreter's to say
        assert counted.skipped == {"nested too deep": 1}


# What Python and JavaScript clients do write: read as it was meant.
READ = {
    "NaN": (b'{"age": NaN, "x": 1}', "x", 1),
    "Infinity": (b'{"age": Infinity}', "age", float("inf")),
    "-Infinity": (b'{"age": -Infinity}', "age", float("-inf")),
    "1e999": (b'{"age": 1e999}', "age", float("inf")),
    "2^63": (b'{"age": 9223372036854775808}', "age", 2.0**63),
    "2^64": (b'{"age": 18446744073709551616}', "age", 2.0**64),
    "2^63 - 1": (b'{"age": 9223372036854775807}', "age", 2**63 - 1),
    "400 digits": (b'{"age": %s}' % (b"9" * 400), "age", sys.float_info.max),
    "duplicate keys": (b'{"age": 1, "age": 2}', "age", 2),
    "a byte order mark": (b"\xef\xbb\xbf" + RECORD, "age", 31),
    "UTF-16": (RECORD.decode().encode("utf-16"), "age", 31),
    "UTF-16 without a mark": (RECORD.decode().encode("utf-16-be"), "age", 31),
    "a lone surrogate": (b'{"age": 1, "city": "\\ud800"}', "city", "?"),
    "a zero character": (b'{"age": 1, "city": "a\\u0000b"}', "city", "a\0b"),
}


@pytest.mark.parametrize("name", READ)
def test_odd_json_is_read_as_it_was_meant(name, watch):
    body, column, value = READ[name]
    watched = assert_counted(echo_app, request(body), None, watch)
    assert rows_of(watched, column) == [(value,)] * 2


HEADERS = {
    "gzip": ([*JSON, (b"content-encoding", b"gzip")], "body is not JSON"),
    "a form": ([(b"content-type", b"multipart/form-data")], "unreadable"),
    "odd bytes": ([(b"content-type", b"\xff\xfe;;=")], "content type not supported"),
    "none": ([], "content type not supported"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_rule_a_body_out_are_counted(name, watch):
    headers, reason = HEADERS[name]
    assert_counted(echo_app, request(b"1x"), reason, watch, headers)


@pytest.mark.parametrize("pieces", [1, 2, 10, 1000])
def test_a_body_over_the_limit_is_counted_in_one_piece_or_in_many(pieces, watch):
    cuts = [len(LONG) * place // pieces for place in range(pieces + 1)]
    messages = request(*(LONG[a:b] for a, b in pairwise(cuts)))
    assert_counted(echo_app, messages, "body over the limit", watch)


@pytest.mark.parametrize(("size", "reason"), [(LIMIT, None), (LIMIT + 1, "body over the limit")])
def test_the_limit_is_exact(size, reason, watch):
    body = RECORD.ljust(size)
    assert_counted(echo_app, request(body), reason, watch)
    assert_counted(echo_app, request(body[:10], body[10:]), reason, watch)


APPS = {
    "a missing field": (fastapi_app, [b"{}"], "status 4xx"),
    "a wrong type": (fastapi_app, [b'{"age": "old"}'], "status 4xx"),
    "no JSON": (fastapi_app, [b'{"age": '], "status 4xx"),
    "an HTTPException": (fastapi_app, [b'{"age": -1}'], "status 4xx"),
    "an exception": (fastapi_app, [b'{"age": 0}'], "status 5xx"),
    "a redirect": (lambda: echo_app(RedirectResponse("/")), [RECORD], "status 3xx"),
    "a 503": (lambda: echo_app(JSONResponse({}, 503)), [RECORD], "status 5xx"),
    "a body never read": (lambda: raw(START, ANSWER), [RECORD], NOT_READ),
    "read after the answer": (lambda: raw(START, ANSWER, "receive"), [RECORD], NOT_READ),
    "a body half read": (lambda: raw("receive", START, ANSWER), [b"[", b"1]"], NOT_READ),
    "no answer": (lambda: raw("receive"), [RECORD], "no answer"),
    "nothing done": (raw, [RECORD], "no answer"),
    "an answer cut short": (lambda: raw("receive", START, PART), [RECORD], None),
    "a long answer": (lambda: raw("receive", START, ENDLESS), [RECORD], "body over the limit"),
    "an early error": (lambda: raw(EARLY), [RECORD], RAISED),
    "an error half way": (lambda: raw("receive", START, PART, HALF_WAY), [RECORD], RAISED),
    "a cancelled task": (lambda: raw("receive", START, PART, CANCELLED), [RECORD], "cancelled"),
    "a late error": (lambda: raw("receive", START, ANSWER, LATE), [RECORD], None),
    "a late error of a stream": (lambda: raw("receive", START, PART, END, LATE), [RECORD], None),
}


@pytest.mark.parametrize("name", APPS)
def test_what_an_app_does_is_counted_once_and_not_changed(name, watch):
    make_app, pieces, reason = APPS[name]
    assert_counted(make_app, request(*pieces), reason, watch)


@pytest.mark.parametrize("answer", [[ANSWER], [PART, END]], ids=["whole", "stream"])
def test_what_is_sent_after_the_end_is_no_part_of_the_answer(answer, watch):
    app = raw("receive", START, *answer, ANSWER, PART)
    watched = assert_counted(lambda: app, request(RECORD), None, watch)
    assert rows_of(watched, "score") == [(0.5,)] * 2


class Stop(BaseException):
    """Not an Exception, as what ends a process is none."""


@pytest.mark.parametrize("error", [ValueError("x"), Stop(), asyncio.CancelledError()])
def test_the_server_gets_the_same_exception_object(error, watch):
    for app in (raw("receive", error), raw("receive", START, PART, error)):
        _, raised = talk(watch(app), request(RECORD))
        assert raised is error


def test_an_exception_that_the_framework_answers_further_out_is_counted(tmp_path):
    app = fastapi_app()
    app.add_middleware(DriftMiddleware, buffer=tmp_path / "drift.db")
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.post("/predict", json={"age": 0})
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert client.get("/_drift").json()["capture"]["skipped"] == {RAISED: 1}
    with TestClient(app) as client, pytest.raises(ZeroDivisionError):
        client.post("/predict", json={"age": 0})


HALF = {"type": "http.request", "body": RECORD[:9], "more_body": True}
HANG_UPS = {
    "at once": (streaming_app, [DISCONNECT], RAISED),
    "half way": (streaming_app, [HALF, DISCONNECT], RAISED),
    "cancelled at once": (streaming_app, [CANCELLED], "cancelled"),
    "cancelled half way": (streaming_app, [HALF, CANCELLED], "cancelled"),
    # A framework may answer to nobody: what was asked is not known whole.
    "half way, and 500": (echo_app, [HALF, DISCONNECT], NOT_READ),
    "half way, and 200": (reading_twice, [HALF, DISCONNECT], NOT_READ),
    "after the body": (reading_twice, [*request(RECORD), DISCONNECT], None),
}


@pytest.mark.parametrize("name", HANG_UPS)
def test_a_client_that_hangs_up_is_counted(name, watch):
    make_app, messages, reason = HANG_UPS[name]
    assert_counted(make_app, messages, reason, watch)


def test_the_last_message_of_a_request_may_have_no_body(watch):
    messages = [*request(RECORD, b"")[:1], {"type": "http.request"}]
    assert_counted(echo_app, messages, None, watch)


def test_a_request_message_without_a_body_is_an_empty_body(watch):
    assert_counted(echo_app, [{"type": "http.request"}], "empty body", watch)


def test_our_route_shows_what_was_skipped(watch):
    watched = watch(echo_app())
    for body in (RECORD, b"", b"{", b"{", LONG, b"[]", RECORD):
        talk(watched, request(body))
    shown = TestClient(watched).get("/_drift").json()["capture"]
    assert (shown["requests"], shown["rows"]) == (2, 2)
    assert shown["skipped"] == {
        "empty body": 1,
        "body is not JSON": 2,
        "body over the limit": 1,
        "not a prediction": 1,
    }
    assert sum(shown["skipped"].values()) + shown["requests"] == 7


def pieces_of(body, cuts):
    """Cut a body at these places, of which those at its ends give empty pieces."""
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[a:b] for a, b in pairwise(places)]


RECORDS = st.lists(
    st.fixed_dictionaries({"age": st.integers(0, 99), "city": st.text(max_size=5)}),
    min_size=1,
    max_size=5,
)
CUTS = st.lists(st.integers(0, 300), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS, asked_cuts=CUTS, answer_cuts=CUTS)
def test_any_split_of_the_bodies_gives_the_same_rows_and_answer(
    records, asked_cuts, answer_cuts, tmp_path_factory
):
    body = json.dumps(records).encode()
    answer = json.dumps([record["age"] / 100 for record in records]).encode()
    app = streaming_app(*pieces_of(answer, answer_cuts))
    watched = DriftMiddleware(app, buffer=tmp_path_factory.mktemp("split") / "drift.db")
    messages = request(*pieces_of(body, asked_cuts))
    assert talk(watched, messages) == talk(app, messages)
    expected = [(record["age"], record["city"], record["age"] / 100) for record in records]
    assert rows_of(watched, "age", "city", "prediction") == expected
    watched.monitor.close()
