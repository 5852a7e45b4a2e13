import json
import re
import sqlite3
from contextlib import closing

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from drift_middleware import Baseline, ConfigError, DriftMiddleware, Monitor

COLUMNS = {
    "age": [number % 50 for number in range(300)],
    "city": ["Oslo", "Rome", "Bern"] * 100,
    "user_id": [f"user {number % 9}" for number in range(300)],
    "zip": [1000 + number % 7 for number in range(300)],
    "vector": [[number % 5 + 0.5, 1.0, 2.0] for number in range(300)],
}
BASELINE = Baseline.fit(COLUMNS, source="test")
ROW = {name: values[4] for name, values in COLUMNS.items()}


def watching(path, **options):
    return Monitor(**{"baseline": BASELINE, "buffer": path, "check_every": 10} | options)


def record(path, rows=20, *, row=ROW, prediction=0.5, **options):
    one = watching(path, **options)
    for _ in range(rows):
        one.record(row, prediction)
    assert one.drain()
    report = one.report()
    one.close()
    return report


def stored(path):
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(line) for line in db.execute("SELECT * FROM rows")]


def values(path, name):
    return {line.get(name) for line in stored(path)}


@pytest.mark.parametrize("name", ["age", "city", "user_id", "zip"])
def test_a_redacted_column_is_stored_blank(path, name):
    record(path, redact=(name,))
    assert values(path, name) == {None}
    kept = {*ROW} - {name, "vector"}
    assert all(values(path, other) == {ROW[other]} for other in kept)


def test_a_redacted_column_is_counted_all_the_same(path, tmp_path):
    drifted = {**ROW, "city": "Paris"}
    report = record(path, 200, row=drifted, redact="city")
    plain = record(tmp_path / "plain.db", 200, row=drifted)
    told = {signal.name: signal.severity for signal in report.signals}
    assert told == {signal.name: signal.severity for signal in plain.signals}
    assert told["city"] == "high"
    assert "Paris" not in path.read_bytes().decode("latin-1")


def test_the_parts_of_a_redacted_column_are_blank_too(path):
    record(path)
    parts = [name for name in stored(path)[0] if name.startswith("vector.")]
    assert parts
    assert all(values(path, part) != {None} for part in parts)
    path.unlink()
    record(path, redact="vector")
    assert all(values(path, part) == {None} for part in parts)


def test_a_hashed_column_is_stored_as_sixteen_digits_that_are_the_same_for_the_same_value(path):
    for number in (5, 5.0, "5", 6):
        record(path, 3, row={**ROW, "zip": number}, hash=("zip", "user_id"))
    hashes = [line["zip"] for line in stored(path)]
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in hashes)
    assert len({*hashes[:9]}) == 1
    assert len({*hashes}) == 2
    assert len(values(path, "user_id")) == 1
    assert "user 4" not in json.dumps(stored(path))


def test_a_missing_value_has_no_hash(path):
    record(path, 3, row={**ROW, "user_id": None, "zip": None}, hash=("user_id", "zip"))
    assert values(path, "user_id") == values(path, "zip") == {None}


def test_another_buffer_has_another_key(tmp_path):
    paths = [tmp_path / "a.db", tmp_path / "b.db"]
    for path in paths:
        record(path, 3, hash="user_id")
        record(path, 3, hash="user_id")
    first, second = (values(path, "user_id") for path in paths)
    assert (len(first), len(second)) == (1, 1)
    assert first != second


@pytest.mark.parametrize("option", ["redact", "hash"])
def test_what_is_private_is_not_learned(path, option):
    one = Monitor(buffer=path, learn_rows=50, check_every=50, **{option: ("ssn", "user")})
    for number in range(120):
        user = {"mail": f"mail-{number % 3}"}
        row = {"age": number % 9, "ssn": f"secret-{number % 3}", "user": user}
        one.record(row, {"score": number % 7})
    assert one.drain()
    learned = {signal.column for signal in one.signals()}
    one.close()
    assert learned >= {"age", "score"}
    assert learned.isdisjoint({"ssn", "user.mail"})
    written = path.read_bytes()
    assert b"secret-" not in written
    assert b"mail-" not in written


def test_an_output_that_is_private_is_not_learned(path):
    baseline = Baseline.fit({"age": COLUMNS["age"]}, source="test")
    report = record(
        path,
        200,
        prediction={"name": "x", "score": 1},
        baseline=baseline,
        learn_rows=50,
        redact="name",
    )
    assert "name" not in {signal.column for signal in report.signals}
    assert "score" in {signal.column for signal in report.signals}


@pytest.mark.parametrize("option", ["redact", "hash"])
def test_a_name_that_no_column_has_is_an_error_at_start(path, option):
    said = f"{option} names 'user', and there is no such column. Did you mean 'user_id'?"
    with pytest.raises(ConfigError, match=re.escape(said)):
        watching(path, **{option: "user"}, store="tallies")


def test_without_a_baseline_no_name_can_be_wrong(path):
    Monitor(buffer=path, redact="anything").close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"redact": "age", "hash": "age"}, "redact and hash both name 'age'"),
        ({"redact": "city", "segment_by": "city"}, "segment_by='city' would show"),
        ({"hash": "city", "segment_by": "city"}, "segment_by='city' would show"),
    ],
)
def test_options_that_would_undo_each_other_are_refused(path, options, said):
    with pytest.raises(ConfigError, match=said):
        watching(path, **options)


SECRETS = ["in a header", "in the query", "in another column", "in an error", "in an answer"]
PLANTED = {text: text.replace(" ", "-") + "-7f3a" for text in SECRETS}


async def predict(request):
    body = await request.json()
    if "age" not in body:
        return JSONResponse({"detail": [{"input": body}]}, 422)
    answer = {"score": 0.5, "trace": PLANTED["in an answer"]}
    return JSONResponse(answer, headers={"x-trace": PLANTED["in a header"]})


def test_nothing_but_watched_columns_reaches_the_disk(path):
    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    baseline = Baseline.fit({**COLUMNS, "score": [0.5, 0.25] * 150}, source="test")
    app.add_middleware(DriftMiddleware, baseline=baseline, buffer=path, check_every=10)
    with TestClient(app) as client:
        headers = {
            "authorization": PLANTED["in a header"],
            "cookie": PLANTED["in a header"],
        }
        url = f"/predict?token={PLANTED['in the query']}"
        for _ in range(25):
            client.post(url, json={**ROW, "note": PLANTED["in another column"]}, headers=headers)
            client.post(url, json={"password": PLANTED["in an error"]}, headers=headers)
        report = client.get("/_drift")
        assert path.with_name("drift.db-wal").stat().st_size
        written = b"".join(file.read_bytes() for file in path.parent.glob("drift.db*"))
    found = report.json()["capture"]
    assert (found["rows"], found["skipped"]) == (25, {"status 4xx": 25})
    assert b"Oslo" in written
    for secret in PLANTED.values():
        assert secret.encode() not in written
        assert secret not in report.text
    (endpoint,) = found["endpoints"]
    assert (endpoint["endpoint"], endpoint["requests"]) == ("/predict", 50)
    assert {"age", "note"} <= {*endpoint["fields"]}
