import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from drift_middleware.capture import extractors
from drift_middleware.cli import main
from drift_middleware.drift.baseline import Baseline

RECORDED = Path(__file__).parent / "capture" / "exchanges"
ROW = {"age": 31, "city": "Oslo", "note": "planted-value"}
CSV = b"age,city\n31,Oslo\n54,Rome\n"


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("DRIFT_CONFIG", "DRIFT_BASELINE"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments, columns=120):
    return CliRunner().invoke(
        main, ["inspect", *map(str, arguments)], env={"COLUMNS": str(columns)}
    )


def shown(*arguments, **more):
    done = run(*arguments, **more)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def told(*arguments):
    return json.loads(shown(*arguments, "--json"))


def refusal(*arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    return done.stderr


def recording(asked, answer=0.5, status=200, path="/predict", method="POST", kind=None):
    body = {"b64": base64.b64encode(asked).decode()} if isinstance(asked, bytes) else None
    return {
        "method": method,
        "path": path,
        "query": "",
        "status": status,
        "request_headers": {"content-type": kind or "application/json"},
        "request_body": body or {"text": json.dumps(asked)},
        "response_headers": {"content-type": "application/json"},
        "response_body": {"text": json.dumps(answer)},
    }


def har(*entries):
    return {"log": {"version": "1.2", "entries": [*entries]}}


def entry(
    asked, answer, mime="application/json", headers=(), url="https://h.example/m/a?k=secret-key"
):
    return {
        "request": {
            "method": "POST",
            "url": url,
            "headers": [{"name": name, "value": value} for name, value in headers],
            "postData": {"mimeType": mime, **asked},
        },
        "response": {
            "status": 200,
            "headers": [{"name": "Content-Encoding", "value": "br"}],
            "content": {"mimeType": "application/json", **answer},
        },
    }


def write(name, content):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def baseline():
    rng = np.random.default_rng(0)
    columns = {
        "age": rng.normal(40, 9, 200),
        "city": rng.choice(["Oslo", "Rome"], 200),
        "income": rng.lognormal(size=200),
        "score": rng.random(200),
    }
    Baseline.fit(columns).save("baseline.json")
    return "baseline.json"


def test_a_recording_is_read_as_a_server_would():
    path = write(
        "r.json",
        [
            recording(ROW, {"label": "yes"}),
            recording(CSV, [1, 2], kind="text/csv"),
            recording({"a": 1}, status=500),
            recording({"instances": [[1], [2]]}, {"predictions": [1, 2, 3]}),
            recording("", method="GET"),
        ],
    )
    found = told(path)
    assert (found["captured"], found["rows"]) == (3, 5)
    assert found["skipped"] == {"status 5xx": 1, "neither POST nor PUT": 1}
    assert found["not_captured"] is None
    first, second, third, fourth, _ = found["exchanges"]
    assert (first["format"], first["fields"], first["predictions"]) == (
        "record",
        ["age", "city", "note"],
        ["label"],
    )
    assert (second["format"], second["rows"], second["fields"]) == ("csv", 2, ["age", "city"])
    assert (third["status"], third["skipped"], third["rows"]) == (500, "status 5xx", 0)
    assert (fourth["unaligned"], fourth["predictions"]) == (True, [])
    assert [one["endpoint"] for one in found["endpoints"]] == ["/predict", "/predict"]


def test_the_page_has_a_line_for_each_exchange_and_a_summary():
    path = write("r.json", [recording(ROW, {"label": "yes"}), recording({"a": 1}, status=500)])
    lines = shown(path).splitlines()
    assert lines[0] == "r.json: 2 exchanges, 1 captured with 1 rows; not captured: status 5xx 1"
    assert lines[2].split("  ")[0] == "path"
    assert lines[4].split() == ["/predict", "200", "record", "1", "age,", "city,", "note", "label"]
    assert lines[5].split() == ["/predict", "500", "status", "5xx"]
    assert len(lines) == 6


def test_values_are_shown_only_when_they_are_asked_for():
    path = write("r.json", [recording(ROW, {"label": "planted-answer"})])
    for arguments in ((path,), (path, "--json")):
        assert "planted" not in shown(*arguments)
        page = shown(*arguments, "--values")
        assert "planted-value" in page
        assert "planted-answer" in page
    assert told(path, "--values")["exchanges"][0]["values"] == [ROW | {"label": "planted-answer"}]


def test_a_har_file_holds_text_and_base64_and_forms():
    encoded = {"text": base64.b64encode(CSV).decode(), "encoding": "base64"}
    path = write(
        "site.har",
        har(
            entry({"text": json.dumps(ROW)}, {"text": '{"score": 0.5}'}),
            entry(
                encoded,
                {"text": base64.b64encode(b"[1, 2]").decode(), "encoding": "base64"},
                "text/csv",
            ),
            entry(
                {"params": [{"name": "age", "value": "31"}, {"name": "city", "value": "Oslo"}]},
                {"text": "0.5"},
                "application/x-www-form-urlencoded",
            ),
        ),
    )
    found = told(path, "--values")["exchanges"]
    assert [one["values"] for one in found] == [
        [ROW | {"score": 0.5}],
        [
            {"age": 31, "city": "Oslo", "prediction": 1},
            {"age": 54, "city": "Rome", "prediction": 2},
        ],
        [{"age": found[2]["values"][0]["age"], "city": "Oslo", "prediction": 0.5}],
    ]
    assert {one["path"] for one in found} == {"/m/a"}
    assert "secret-key" not in shown(path)


def test_a_folder_is_all_of_its_files():
    write("all/a.json", [recording(ROW)])
    write("all/b.har", har(entry({"text": json.dumps(ROW)}, {"text": "1"})))
    write("all/readme.md", "not read")
    assert told("all")["captured"] == 2


def test_a_baseline_names_values_by_position_and_says_what_of_it_is_not_captured(baseline):
    path = write(
        "r.json",
        [
            recording([[31, "Oslo", 5.5]], [0.5]),
            recording({"age": 5, "city": "Oslo", "note": "x"}, 0.25),
            recording({"user": "x", "password": "y"}, {"ok": True}, path="/login"),
        ],
    )
    found = told(path, "--baseline", baseline)
    assert [one["fields"] for one in found["exchanges"]] == [
        ["age", "city", "income"],
        ["age", "city"],
        [],
    ]
    assert [one["predictions"] for one in found["exchanges"]] == [["score"], ["score"], []]
    assert found["skipped"] == {"no column of the baseline": 1}
    assert found["not_captured"] == []
    path = write("r.json", [recording({"age": 5, "city": "Oslo"}, 0.25)])
    assert told(path, "--baseline", baseline)["not_captured"] == ["income"]
    page = shown(path, "--baseline", baseline)
    assert page.endswith("columns of the baseline that are not captured: income\n")


def test_a_configuration_maps_what_cannot_be_detected():
    write(
        "other.toml",
        '[[endpoint]]\npath = "/m/{model}"\nrequest.rows = "cases[].data"\n'
        'response.label = "said[].y"\nresponse.classes = ["no", "yes"]\n',
    )
    asked = {"cases": [{"data": {"age": 3}}, {"data": {"age": 4}}]}
    path = write("r.json", [recording(asked, {"said": [{"y": 1}, {"y": 0}]}, path="/m/a")])
    (line,) = told(path, "--config", "other.toml", "--values")["exchanges"]
    assert line["format"] == "mapping"
    assert line["values"] == [
        {"model": "a", "age": 3, "label": "yes"},
        {"model": "a", "age": 4, "label": "no"},
    ]


def test_paths_that_are_not_captured_are_not_captured_here(monkeypatch):
    monkeypatch.setenv("DRIFT_PATHS", "/models/*")
    path = write("r.json", [recording(ROW, path="/models/a"), recording(ROW, path="/other")])
    assert [one["skipped"] for one in told(path)["exchanges"]] == [None, "not of the option paths"]


def test_values_that_are_hard_to_write_are_written():
    body = b'{"huge": 123456789012345678901234567890, "text": "\\ud800", "nan": NaN}'
    (line,) = told(write("r.json", [recording(body)]), "--values")["exchanges"]
    assert line["values"][0]["huge"] == 123456789012345678901234567890


def test_extractors_of_the_users_are_imported_from_where_one_stands():
    write(
        "my_inspected.py",
        "from drift_middleware import Row, extractor\n"
        "@extractor('mine')\n"
        "def extract(request, response):\n"
        "    return [Row({'size': len(request.body)})]\n",
    )
    path = write("r.json", [recording({"odd": []})])
    try:
        (line,) = told(path, "--import", "my_inspected")["exchanges"]
    finally:
        extractors.EXTRACTORS.pop("mine", None)
    assert (line["format"], line["fields"]) == ("mine", ["size"])


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.json")), ids=lambda file: file.stem)
def test_the_recordings_of_real_servers_can_be_looked_at(file):
    expected = json.loads(file.read_bytes())
    found = told(file)
    assert len(found["exchanges"]) == len(expected)
    assert found["captured"] == sum(
        "skip" not in one["expected"] and one["method"] == "POST" for one in expected
    )


def test_no_path_or_name_can_forge_a_line():
    path = write("r.json", [recording({"a\n\x1b[31mred": 1, "x" * 300: 2}, 0.5, path="/a\nb")])
    page = shown(path)
    assert "\x1b" not in page
    assert r"/a\nb" in page
    assert r"a\n\x1b[31mred" in page
    assert len(page.splitlines()) < 12


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing.har", None, "nothing.har cannot be read: No such file or directory."),
        ("a.json", "{", "a.json is not JSON."),
        ("a.json", "{}", "a.json is neither HAR"),
        ("a.json", "[5]", "a.json: entry 0 is no exchange"),
        (
            "a.json",
            [recording(ROW), {"method": "POST"}],
            "a.json: entry 1 is no exchange: KeyError",
        ),
        ("a.har", har({"request": {}}), "a.har: entry 0 is no exchange: KeyError 'response'"),
        ("a.json", [recording(ROW) | {"request_body": {"b64": "x"}}], "entry 0 is no exchange"),
        ("empty/a.txt", "", "empty holds no file that ends in .har or .json."),
    ],
)
def test_a_file_that_holds_no_exchanges_is_refused(name, content, said):
    if content is not None:
        write(name, content)
    assert said in refusal(name.partition("/")[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--baseline", "none.csv"], "none.csv"),
        (["--config", "none.toml"], "none.toml"),
        (["--import", "no_such_module"], "--import no_such_module: ModuleNotFoundError"),
        ([], "Missing argument 'FILE'"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_in_one_line(arguments, said):
    file = [write("r.json", [recording(ROW)])] if arguments else []
    text = refusal(*file, *arguments)
    assert said in text
    assert len(text.splitlines()) == 1
