"""The door as apps and clients see it: nothing changes but four headers and one route."""

import asyncio
import copy
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

from drift_middleware import DriftMiddleware

OURS = [b"x-drift-severity", b"x-drift-data", b"x-drift-prediction", b"x-drift-check"]
RECORD = {"age": 31, "city": "Paris"}
REQUESTS = [
    ("POST", "/predict"),
    ("GET", "/predict"),
    ("HEAD", "/predict"),
    ("OPTIONS", "/predict"),
    ("PUT", "/predict"),
    ("POST", "/predict"),  # again: by now the path is known
    ("POST", "/predict/"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/_drifting"),
]


@pytest.fixture
def watch(tmp_path):
    """Wrap apps, each with a buffer of its own, and stop their threads in the end."""
    watched = []

    def wrap(app, **options):
        buffer = tmp_path / f"{len(watched)}.db"
        watched.append(DriftMiddleware(app, **{"buffer": buffer, **options}))
        return watched[-1]

    yield wrap
    for one in watched:
        one.monitor.close()


def talk(app, method="POST", path="/predict"):
    """Be the server of one request; return what the app sends, message by message."""
    sent = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "server": ("testserver", 80),
        "root_path": "",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"accept-encoding", b"gzip")],
        "extensions": {"http.response.pathsend": {}, "http.response.trailers": {}},
    }

    async def serve():
        given = iter([{"type": "http.request", "body": b'{"age": 31, "city": "Paris"}'}])

        async def receive():
            for message in given:
                return message
            return await asyncio.Future()  # the client waits for its answer

        async def send(message):
            if message["type"] == "http.response.start":
                headers = [(bytes(name), value) for name, value in message.get("headers", ())]
                message = {**message, "headers": headers}
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(serve())
    return sent


def without_ours(messages):
    return [
        {
            key: [pair for pair in value if pair[0].lower() not in OURS]
            if key == "headers"
            else value
            for key, value in message.items()
        }
        for message in messages
    ]


def raw(*messages):
    """Make an app that reads its request and sends these messages."""

    async def app(scope, receive, send):
        await receive()
        for message in messages:
            await send(message() if callable(message) else message)

    return app


def start(**fields):
    return {"type": "http.response.start", "status": 200, **fields}


def part(body=b"", *, more=False):
    return {"type": "http.response.body", "body": body, "more_body": more}


def answering(respond):
    """Make a Starlette app of one route."""

    async def predict(request):
        await request.body()
        return respond()

    return Starlette(routes=[Route("/predict", predict, methods=["GET", "POST", "PUT"])])


async def chunks():
    for number in range(3):
        await asyncio.sleep(0)
        yield f"data: {number}\n\n"


def fastapi_app(answer=None):
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: Annotated[Any, Body()]):
        return {"score": 0.5} if answer is None else answer

    return app


def gzip_app():
    app = answering(lambda: JSONResponse({"score": [0.5] * 500}))
    app.add_middleware(GZipMiddleware, minimum_size=10)
    return app


SCORE = b'{"score": 0.5}'
JSON = [(b"content-type", b"application/json")]
STAMPED = [(b"X-Drift-Severity", b"high"), (b"x-drift-check", b"99"), (b"x-mine", b"1")]
APPS = {
    "FastAPI": fastapi_app,
    "Starlette": lambda: answering(lambda: JSONResponse({"score": 0.5}, 201, {"x-mine": "1"})),
    "no content": lambda: answering(lambda: Response(status_code=204)),
    "a stream": lambda: answering(lambda: StreamingResponse(chunks())),
    "SSE": lambda: answering(lambda: StreamingResponse(chunks(), media_type="text/event-stream")),
    "a file": lambda: answering(lambda: FileResponse(__file__)),
    "gzip": gzip_app,
    "constant messages": lambda: raw(start(headers=JSON), part(SCORE)),
    "one-shot headers": lambda: raw(lambda: start(headers=iter(JSON)), part(SCORE)),
    "headers of lists": lambda: raw(start(headers=([b"a", b"1"], [b"a", b"2"])), part(SCORE)),
    "no headers": lambda: raw(start(), part(SCORE)),
    "no body": lambda: raw(start(headers=JSON), {"type": "http.response.body"}),
    "no body at the end": lambda: raw(
        start(headers=JSON), part(SCORE, more=True), {"type": "http.response.body"}
    ),
    "empty frames": lambda: raw(
        start(headers=JSON),
        part(more=True),
        part(SCORE, more=True),
        part(more=True),
        part(),
        part(),
    ),
    "mixed-case names": lambda: raw(start(headers=[(b"Content-Type", b"a/b")]), part(SCORE)),
    "our headers": lambda: raw(start(headers=STAMPED), part(SCORE)),
    "trailers": lambda: raw(
        start(headers=JSON, trailers=True),
        part(SCORE),
        {"type": "http.response.trailers", "headers": [(b"digest", b"1")]},
    ),
    "a path to send": lambda: raw(
        start(headers=JSON), {"type": "http.response.pathsend", "path": __file__}
    ),
    "debug info": lambda: raw(
        {"type": "http.response.debug", "info": {"template": 1}}, start(), part(SCORE)
    ),
}


@pytest.mark.parametrize("layers", [1, 2], ids=["once", "wrapped twice"])
@pytest.mark.parametrize("name", APPS)
def test_a_client_sees_what_it_would_see_without_us(name, layers, watch):
    plain, watched = APPS[name](), APPS[name]()
    for _ in range(layers):
        watched = watch(watched)
    for method, path in REQUESTS:
        answer = talk(watched, method, path)
        assert without_ours(answer) == without_ours(talk(plain, method, path))


@pytest.mark.parametrize("layers", [1, 2], ids=["once", "wrapped twice"])
@pytest.mark.parametrize("name", APPS)
def test_every_answer_has_each_of_our_headers_once(name, layers, watch):
    watched = APPS[name]()
    for _ in range(layers):
        watched = watch(watched)
    for method, path in [*REQUESTS, ("GET", "/_drift"), ("GET", "/_drift/nothing")]:
        (headers,) = (one["headers"] for one in talk(watched, method, path) if "status" in one)
        found = [pair for pair in headers if pair[0].lower() in OURS]
        assert sorted(found) == sorted(zip(OURS, [b"unknown"] * 3 + [b"0"], strict=True))


def test_an_app_that_sets_our_header_only_later_does_not_double_it(watch):
    answers = iter([start(headers=JSON), start(headers=STAMPED)])
    watched = watch(raw(lambda: next(answers), part(SCORE)))
    talk(watched)
    headers = talk(watched)[0]["headers"]
    assert [name.lower() for name, _ in headers].count(b"x-drift-severity") == 1


@pytest.mark.parametrize("headers", [JSON, STAMPED])
def test_the_messages_of_an_app_are_not_changed(headers, watch):
    messages = [start(headers=list(headers)), part(SCORE)]
    before = copy.deepcopy(messages)
    watched = watch(raw(*messages))
    for _ in range(3):
        talk(watched)
    assert messages == before


def noting(app, note):
    """Call `note` with each message on its way from the app to the server."""

    async def noted(scope, receive, send):
        async def tap(message):
            note(message)
            await send(message)

        await app(scope, receive, tap)

    return noted


def test_a_background_task_runs_after_the_answer(watch):
    log = []
    task = BackgroundTask(log.append, "task")
    watched = watch(answering(lambda: JSONResponse({"score": 0.5}, background=task)))
    talk(noting(watched, lambda message: log.append(message["type"])))
    assert log == ["http.response.start", "http.response.body", "task"]


def test_a_stream_is_passed_on_piece_by_piece(watch):
    log = []

    async def numbers():
        for number in range(3):
            log.append(f"made {number}")
            yield str(number)

    watched = watch(answering(lambda: StreamingResponse(numbers())))
    talk(noting(watched, lambda message: log.append(message.get("body"))))
    assert log == [None, "made 0", b"0", "made 1", b"1", "made 2", b"2", b""]


def test_a_websocket_passes_through(watch):
    async def echo(socket):
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    client = TestClient(watch(Starlette(routes=[WebSocketRoute("/echo", echo)])))
    with client.websocket_connect("/echo") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"


def test_a_lifespan_and_its_state_pass_through(watch):
    log = []

    @asynccontextmanager
    async def lifespan(app):
        log.append("start")
        yield {"model": "loaded"}
        log.append("stop")

    async def predict(request):
        return JSONResponse(request.state.model)

    app = Starlette(routes=[Route("/", predict, methods=["POST"])], lifespan=lifespan)
    with TestClient(watch(app)) as client:
        assert log == ["start"]
        assert client.post("/", json=RECORD).json() == "loaded"
    assert log == ["start", "stop"]


def test_a_startup_that_fails_is_seen_to_fail(watch):
    @asynccontextmanager
    async def lifespan(app):
        raise RuntimeError("no model")
        yield

    with (
        pytest.raises(RuntimeError, match="no model"),
        TestClient(watch(Starlette(lifespan=lifespan))),
    ):
        pass


def test_our_route_works_in_an_app_mounted_below_a_prefix(watch):
    inner = watch(fastapi_app())
    client = TestClient(Starlette(routes=[Mount("/api", inner)]))
    assert client.post("/api/predict", json=RECORD).json() == {"score": 0.5}
    assert client.get("/api/_drift").json()["capture"]["requests"] == 1
    assert client.get("/api/_drift/history").json() == {"checks": []}
    assert client.get("/_drift").status_code == 404


@pytest.mark.parametrize("path", ["/api/_drift", "/_drift"], ids=["kept", "stripped"])
def test_our_route_works_behind_a_proxy_that_names_its_prefix(path, watch):
    client = TestClient(watch(fastapi_app()), root_path="/api")
    assert client.get(path).json()["status"] == "learning"


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 405), ("OPTIONS", 405)]
)
def test_our_route_answers_to_reading_alone(method, status, watch):
    client = TestClient(watch(fastapi_app()))
    answer = client.request(method, "/_drift")
    assert answer.status_code == status
    assert (answer.content == b"") == (method == "HEAD")


def test_the_middleware_is_added_in_one_line(tmp_path):
    for app in (fastapi_app(), answering(lambda: JSONResponse({"score": 0.5}))):
        app.add_middleware(DriftMiddleware, buffer=tmp_path / f"{type(app).__name__}.db")
        with TestClient(app) as client:
            assert client.post("/predict", json=RECORD).headers["x-drift-severity"] == "unknown"
            assert client.get("/_drift").json()["capture"]["rows"] == 1
    app = Starlette(middleware=[Middleware(DriftMiddleware, buffer=tmp_path / "third.db")])
    with TestClient(app) as client:
        assert client.get("/_drift").json()["status"] == "learning"


def test_an_app_finds_the_monitor_where_its_server_keeps_no_state(watch):
    found = []

    async def app(scope, receive, send):
        found.append(scope["state"]["drift"])
        await raw(start(), part(SCORE))(scope, receive, send)

    watched = watch(app)
    talk(watched)
    assert found == [watched.monitor]


def test_switched_off_it_is_not_there(watch, tmp_path):
    watched = watch(fastapi_app(), enabled=False, baseline=tmp_path / "missing.csv")
    client = TestClient(watched)
    assert not set(client.post("/predict", json=RECORD).headers) & {name.decode() for name in OURS}
    assert client.get("/_drift").json() == {"detail": "Not Found"}
    watched.monitor.record(RECORD)
    assert watched.monitor.drain()
    report = watched.monitor.report()
    assert (report.status, report.capture.requests) == ("off", 0)
    assert list(tmp_path.iterdir()) == []


def test_our_route_can_be_moved(watch):
    client = TestClient(watch(fastapi_app(), route="/ops/drift"))
    assert client.get("/_drift").json() == {"detail": "Not Found"}
    assert client.get("/ops/drift").json()["status"] == "learning"
    assert client.get("/ops/drift/history").json() == {"checks": []}
    assert client.get("/ops").status_code == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer sesame", 200),
        ("Bearer Sesame", 401),
        ("sesame", 401),
        ("Bearer \xe9", 401),
        (None, 401),
    ],
)
def test_a_token_guards_our_route_and_nothing_else(given, status, watch):
    client = TestClient(watch(fastapi_app(), token="sesame"))  # noqa: S106  # of this test
    headers = {} if given is None else {"authorization": given.encode("latin-1")}
    for path in ("/_drift", "/_drift/history"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == status
        assert ("www-authenticate" in answer.headers) == (status == 401)
    assert client.post("/predict", json=RECORD).json() == {"score": 0.5}
