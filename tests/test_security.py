"""What SECURITY.md promises: of what strangers send nothing is run, and little is kept."""

import ast
import hmac
import json
import logging
import os
import re
import sqlite3
import stat
import struct
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import drift_middleware
from drift_middleware import Baseline, DriftMiddleware, Monitor
from drift_middleware.web import page, routes

PACKAGE = Path(drift_middleware.__file__).parent
ROOT = PACKAGE.parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "examples").rglob("*.py")])

# Nothing that is read is run.

RUNNING_MODULES = {
    *("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"),
    *("yaml", "ruamel", "code", "codeop", "ctypes", "xml", "pty", "commands", "jsonpickle"),
}
SAFE = {"allow_pickle": "False", "shell": "False", "autoescape": "True"}
RUNNING_NAMES = {"eval", "exec", "compile", "__import__"}
RUNNING_ATTRIBUTES = {
    *("system", "popen", "read_pickle", "to_pickle", "from_string", "execfile"),
    *("loads_pickle", "unsafe_load", "full_load"),
}


def running(tree):
    """Name whatever in a module could run what it was given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
            yield from (name for name in names if name.partition(".")[0] in RUNNING_MODULES)
        elif isinstance(node, ast.Name) and node.id in RUNNING_NAMES:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr in RUNNING_ATTRIBUTES:
            yield node.attr
        elif isinstance(node, ast.keyword) and ast.unparse(node.value) != SAFE.get(node.arg, ""):
            yield from (name for name in SAFE if name == node.arg)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_can_run_what_it_reads(path):
    assert [*running(ast.parse(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from pickle import loads", "import yaml", "import xml.sax as x"),
        *("eval(a)", "f = exec", "os.system(a)", "pandas.read_pickle(a)", "from yaml import load"),
        *("numpy.load(a, allow_pickle=True)", "run(a, shell=yes)", "jinja2.Template.from_string"),
        "Environment(autoescape=False)",
    ],
)
def test_these_tests_see_what_they_look_for(code):
    assert [*running(ast.parse(code))]


def test_text_becomes_sql_only_where_it_is_constant_or_quoted():
    # Ruff finds each place (S608); each must say why it is none.
    unsaid = [
        f"{path.name}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if "S608" in line and not re.search(r"# noqa: S608  # \w", line)
    ]
    assert unsaid == []


# Who may read and change.

TOKEN = "s3cret-ü"  # noqa: S105  # of these tests alone


def watching(folder, **options):
    """An app with the middleware, which learns nothing and answers everything."""

    async def predict(request):
        return JSONResponse({"score": 0.5, "sent": len(await request.body())})

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    rng = np.random.default_rng(0)
    columns = {"age": rng.normal(size=300).tolist(), "city": ["Oslo", "Rome", "Bern"] * 100}
    given = {"baseline": Baseline.fit(columns), "check_every": 20, "buffer": folder / "drift.db"}
    return DriftMiddleware(app, **given | options)


@pytest.mark.parametrize("given", ["", "s", "s3cret-x", "s3cret-ü", "s3cret-ü and more"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_token_is_compared_whole_however_much_of_it_is_right(
    tmp_path, monkeypatch, given, method
):
    compared = []

    def compare(*values):
        compared.append(values)
        return hmac.compare_digest(*values)

    monkeypatch.setattr(routes, "hmac", type("Noting", (), {"compare_digest": compare}))
    app = watching(tmp_path, token=TOKEN)
    headers = {"authorization": f"Bearer {given}".encode()}
    answer = TestClient(app).request(method, "/_drift/history", headers=headers)
    app.monitor.close()
    assert compared == [(given.encode(), TOKEN.encode())]
    assert (answer.status_code == 401) is (given != TOKEN)


def test_nothing_else_looks_at_the_token():
    """`==` ends at the first byte that differs, which tells how many were right."""
    tree = ast.parse(Path(routes.__file__).read_text("utf-8"))
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    about = [ast.unparse(node) for node in compared if "_token" in ast.unparse(node)]
    assert about
    assert {*about} <= {"self._token is None", "self._token is not None"}


IMPOSSIBLE = {
    "": [
        *("window=24", "window=0h", "window=-1d", "window=9999999w", "window=1e3h", "window=1h1m"),
        *("since=now", "since=0001-01-01", "since=9999-12-31T23:59:59-23:59", "until=2026-01-01"),
        *("window=1h&since=2026-01-01", "segment=nobody", "segment=%00", "window=٣h"),
        *("since=2026-02-01&until=2026-01-01", "window=9999999w&until=1970-01-02"),
    ],
    "/history": [
        "limit=-1",
        "limit=1.5",
        "limit=x",
        "before=-1",
        "before=" + "9" * 16,
        "limit=%00",
    ],
    "/signals/age": ["limit=-1", "limit=x", "limit=1;2", "limit=" + "1" * 300],
    "/metrics": ["a" * 10 + "=" + "b" * 201],
    "/openapi.json": ["&".join(f"a{i}=1" for i in range(21))],
}
CASES = [(place, query) for place, queries in IMPOSSIBLE.items() for query in queries]


@pytest.fixture(scope="module")
def open_client(tmp_path_factory):
    app = watching(tmp_path_factory.mktemp("open"))
    client = TestClient(app)
    for number in range(25):
        client.post("/predict", json={"age": number / 9, "city": "Oslo"})
    yield client
    app.monitor.close()


@pytest.mark.parametrize(("place", "query"), CASES)
def test_an_impossible_query_is_refused_in_one_short_sentence(open_client, place, query):
    answer = open_client.get(f"/_drift{place}?{query}")
    assert answer.status_code == 400, answer.text
    assert 10 < len(answer.json()["error"]) < 300
    assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize(
    "query",
    [
        *("limit=" + "9" * 15, "before=" + "9" * 15, "limit=0", "before=0"),
        *("%ff=%fe", "=", "&&&", "a=%zz", "%00=%00"),
    ],
)
def test_an_odd_query_that_is_possible_harms_nothing(open_client, query):
    for place in ("", "/history", "/signals/age", "/metrics", "/openapi.json"):
        assert open_client.get(f"/_drift{place}?{query}").status_code == 200


# Names and values are of strangers.

SQL = """x"); DROP TABLE rows; --"""
MARKUP = "</style><script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{ 7 * 7 }}"
ESCAPES = "age\x1b[31m\n2026-01-01 ERROR forged\r\u202e"
HOSTILE = (SQL, MARKUP, ESCAPES, "=HYPERLINK(0)", "rowid", "a\0b", "ü\ud800")


def hostile_rows(rows, shift=0.0):
    rng = np.random.default_rng(0)
    for number in range(rows):
        row = {name: float(rng.normal(shift)) for name in HOSTILE}
        yield row | {"kind": HOSTILE[number % len(HOSTILE)] + "!" * int(shift)}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Let strangers choose every name and value, for it to learn from and to find drifted."""
    folder = tmp_path_factory.mktemp("attacked")
    path, lines = folder / "drift.db", []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))
    log = logging.getLogger("drift_middleware")
    before, _ = log.level, log.addHandler(handler)
    log.setLevel(logging.INFO)
    app = watching(folder, baseline=None, learn_rows=200, segment_by="header:x-client")
    with TestClient(app) as client:
        for row in [*hostile_rows(260), *hostile_rows(60, shift=5)]:
            client.headers["x-client"] = quote(MARKUP)
            body = json.dumps(row)  # which may hold a lone surrogate, escaped
            client.post("/predict", content=body, headers={"content-type": "application/json"})
        app.monitor.drain()
        yield client, path, lines
    log.removeHandler(handler)
    log.setLevel(before)


def test_names_and_values_are_stored_as_they_are_and_nothing_else_is_harmed(attacked):
    client, path, _ = attacked
    report = client.get("/_drift").json()
    assert (report["severity"], report["status"]) == ("high", "watching")
    assert (report["capture"]["rows"], report["capture"]["errors"]) == (320, 0)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = dict(db.execute("SELECT name, stored_as FROM columns"))
        assert {SQL, MARKUP, ESCAPES} <= names.keys()
        kinds = {value for (value,) in db.execute(f'SELECT DISTINCT "{names["kind"]}" FROM rows')}  # noqa: S608  # ours
        assert {SQL, MARKUP, ESCAPES} <= kinds
        assert db.execute("SELECT count(*) FROM rows").fetchone() == (320,)


def test_no_page_shows_markup_of_strangers_and_none_could_run_it(attacked):
    client, _, _ = attacked
    html = {"accept": "text/html"}
    for place in ("", "/history", f"/signals/{quote(MARKUP, safe='')}", "?segment=x", "/<script>"):
        answer = client.get(f"/_drift{place}", headers=html)
        assert answer.headers["content-type"].startswith("text/html")
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert re.fullmatch(r"'sha256-[\w+/]+=*'", policy["style-src"])
        assert "unsafe" not in page.content_policy()
        assert not re.search(r"\son\w+\s*=", re.sub(r">[^<]*<", "><", answer.text))


def test_no_line_of_the_log_is_forged(attacked):
    _, _, lines = attacked
    assert any("severity changed" in line for line in lines)
    assert [line for line in lines if not line.isprintable()] == []


def test_no_line_of_the_metrics_is_forged(attacked):
    client, _, _ = attacked
    for line in client.get("/_drift/metrics").text.removesuffix("\n").split("\n"):
        assert re.fullmatch(
            r'# .*|drift_\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? [\d.e+-]+', line, re.DOTALL
        )


# What is kept.

PLANTED_TEXT = "Zx9-planted-in-traffic"
PLANTED_NUMBER = 1234.56789012345
PLANTED_WHOLE = 907_031_415_926
PLANTED_VECTOR = [0.123456789, 0.987654321, 0.55555, 0.77777]
FORMS = {
    "the text": PLANTED_TEXT.encode(),
    "the text in UTF-16": PLANTED_TEXT.encode("utf-16-le"),
    "the number": struct.pack(">d", PLANTED_NUMBER),
    "the number, turned": struct.pack("<d", PLANTED_NUMBER),
    "the number as text": str(PLANTED_NUMBER)[:12].encode(),
    "the whole number": PLANTED_WHOLE.to_bytes(6, "big"),
    "the whole number, turned": PLANTED_WHOLE.to_bytes(6, "little"),
    "the whole number as a double": struct.pack(">d", PLANTED_WHOLE),
    "the whole number as text": str(PLANTED_WHOLE).encode(),
    "the vector": np.array(PLANTED_VECTOR, np.float32).tobytes(),
    "the vector as doubles": np.array(PLANTED_VECTOR).tobytes(),
}


def planted(folder, store):
    """Send planted values among others; give every byte that there is on the disk afterwards."""
    rng = np.random.default_rng(0)
    columns = {
        "amount": rng.normal(1000, 200, 300).tolist(),
        "account": rng.integers(1, 2**40, 300).tolist(),
        "city": rng.choice(["Oslo", "Rome"], 300).tolist(),
        "note": [" ".join(rng.choice(["late", "paid", "lost"], 9)) for _ in range(300)],
        "face": rng.normal(size=(300, 4)).tolist(),
        "score": rng.random(300).tolist(),
    }
    folder.mkdir()
    one = Monitor(baseline=columns, buffer=folder / "drift.db", check_every=50, store=store)
    for number in range(120):
        row = {name: values[number] for name, values in columns.items() if name != "score"}
        score = columns["score"][number]
        if number % 3 == 0:  # more often than a cell needs to be told of
            row |= {"amount": PLANTED_NUMBER, "account": PLANTED_WHOLE, "city": PLANTED_TEXT}
            row |= {"note": f"it is {PLANTED_TEXT} again", "face": PLANTED_VECTOR}
            score = PLANTED_TEXT if number % 2 else PLANTED_NUMBER
        one.record(row, {"score": score})
    assert one.drain()
    report = one.check()
    assert (report.severity, report.capture.rows) == ("high", 120)
    files = [*folder.iterdir()]
    assert (folder / "drift.db-wal") in files  # pages that are not in the database yet
    while_open = b"".join(path.read_bytes() for path in files)
    one.close()
    return while_open + b"".join(path.read_bytes() for path in folder.iterdir())


def test_tallies_keep_no_value_of_traffic_in_any_page_of_the_database_or_its_log(tmp_path):
    written = planted(tmp_path / "tallies", "tallies")
    assert len(written) > 10_000
    assert [form for form, data in FORMS.items() if data in written] == []


def test_this_search_finds_the_values_that_are_kept(tmp_path):
    written = planted(tmp_path / "rows", "rows")
    found = {form for form, data in FORMS.items() if data in written}
    assert {"the text", "the number", "the whole number"} <= found


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_the_owner_can_read_the_database_whatever_the_umask_allows(tmp_path):
    before = os.umask(0)
    try:
        one = Monitor(baseline={"age": [1.0, 2.0, 3.0] * 50}, buffer=tmp_path / "drift.db")
        one.record({"age": 2.0})
        assert one.drain()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        one.close()
    finally:
        os.umask(before)
    assert modes.keys() >= {"drift.db", "drift.db-wal", "drift.db-shm"}
    assert {*modes.values()} == {0o600}
