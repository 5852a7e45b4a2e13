"""`export`: the captured rows as a file, which no spreadsheet runs."""

import csv
import io
import json
import stat

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from drift_middleware.buffer import SqliteStore
from drift_middleware.cli import writers
from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor
from tests.cli.conftest import NAMES, record, refused, rows, run

FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]
HARMLESS = ["a=1", "1-1", "'=1", " x", "", 'Zürich, 3\n"west"']


def exported(path, target, *arguments):
    """Export into a file, and say where it is."""
    done = run("export", target, "--buffer", path, *arguments)
    assert (done.exit_code, done.stdout) == (0, "")
    return target


def printed(path, *arguments):
    """Export to the standard output.  As bytes: click's runner changes the ends of lines."""
    done = run("export", "-", "--buffer", path, *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout_bytes.decode()


def read_csv(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def store(path, columns, at=None, types=None):
    """Make a buffer of these rows."""
    made = SqliteStore(path, keep_rows=10**6, keep_checks=10)
    count = len(next(iter(columns.values())))
    with made.transaction() as tx:
        tx.append_rows(at or [1_700_000_000.0] * count, columns, types)
    made.close()
    return path


def test_csv_has_every_row_as_it_came(buffer):
    header, *lines = read_csv(printed(buffer))
    table = rows(300, seed=1)
    assert header == ["captured_at", *table]
    assert len(lines) == 500
    assert lines[0][0] == "2023-11-14T22:13:20.000Z"
    assert lines[-1][0] == "2023-11-14T23:13:20.000Z"
    for place, name in enumerate(table, 1):
        read = str if name == "city" else float
        assert [read(line[place]) for line in lines[:300]] == table[name]


def test_a_file_is_the_same_and_its_owners_alone(buffer, tmp_path):
    path = exported(buffer, tmp_path / "rows.csv")
    assert path.read_bytes().decode() == printed(buffer)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = run("export", path, "--buffer", buffer)  # once more, in its place
    assert done.stderr == f"500 rows of 4 columns in {path}\n"
    assert [*tmp_path.iterdir()] == [path]


def test_an_export_is_a_baseline(buffer, tmp_path):
    path = exported(buffer, tmp_path / "rows.csv", "--until", "2023-11-14T23:00")
    found = Baseline.fit(path, timestamp="captured_at")
    assert set(found.roles) == {"amount", "city", "age", "predicted", "joint"}


def test_json_lines_have_names_and_types(buffer, tmp_path):
    path = exported(buffer, tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    table = rows(300, seed=1)
    assert [{name: line[name] for name in table} for line in lines[:300]] == [
        dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)
    ]
    assert printed(buffer, "--json") == path.read_text("utf-8")


def test_parquet_has_types(buffer, tmp_path):
    found = parquet.read_table(exported(buffer, tmp_path / "rows.parquet"))
    assert {field.name: str(field.type) for field in found.schema} == {
        "captured_at": "timestamp[ms, tz=UTC]",
        "amount": "double",
        "city": "string",
        "age": "double",
        "predicted": "double",
    }
    for name, values in rows(300, seed=1).items():
        assert found[name].to_pylist()[:300] == values
    assert found["captured_at"].to_pylist()[0].isoformat() == "2023-11-14T22:13:20+00:00"


def test_every_kind_of_value_has_a_type(tmp_path):
    vector = np.array([0.1, 0.25], np.float32).tobytes()
    columns = {
        "whole": [1, 2, None],
        "half": [1, 2.5, None],
        "text": ["=1", "01", None],
        "mixed": [5, "five", 0.5],
        "vector": [vector, None, vector],
    }
    path = store(tmp_path / "drift.db", columns)
    found = parquet.read_table(exported(path, tmp_path / "rows.parquet")).to_pydict()
    assert found["whole"] == [1, 2, None]
    assert found["half"] == [1.0, 2.5, None]
    assert found["text"] == ["=1", "01", None]  # as it is: nothing runs a Parquet file
    assert found["mixed"] == ["5", "five", "0.5"]
    assert found["vector"] == [pytest.approx([0.1, 0.25]), None, pytest.approx([0.1, 0.25])]
    lines = read_csv(printed(path))
    assert [line[-1] for line in lines[1:]] == ["[0.1, 0.25]", "", "[0.1, 0.25]"]
    assert json.loads(printed(path, "--json").splitlines()[0])["vector"] == [0.1, 0.25]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_is_made_harmless(tmp_path, text):
    path = store(tmp_path / "drift.db", {text: [text], "n": [-1.5]})
    lines = read_csv(printed(path))
    assert [line[1] for line in lines] == [f"'{text}", f"'{text}"]
    assert lines[1][2] == "-1.5"  # a number is none
    raw = read_csv(printed(path, "--raw"))
    assert [line[1] for line in raw] == [text, text]


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_left_as_they_are(tmp_path, text):
    path = store(tmp_path / "drift.db", {"x": [text]})
    assert read_csv(printed(path))[1][1] == text


def test_names_are_names(hostile_buffer, tmp_path):
    header, *lines = read_csv(printed(hostile_buffer))
    expected = [f"'{name}" if name.startswith("=") else name for name in NAMES.values()]
    assert header[1:] == expected
    assert len(lines) == 300
    found = parquet.read_table(exported(hostile_buffer, tmp_path / "rows.parquet"))
    assert found.column_names[1:] == [*NAMES.values()]
    assert len(read_csv(printed(hostile_buffer))) == 301  # still there


def test_a_column_of_the_same_name_keeps_it(tmp_path):
    path = store(tmp_path / "drift.db", {"captured_at": ["theirs"], "at": ["x"], "id": ["y"]})
    header, line = read_csv(printed(path))
    assert header == ["_captured_at", "captured_at", "at", "id"]
    assert line[1:] == ["theirs", "x", "y"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], range(10)),
        (["--limit", 3], range(7, 10)),
        (["--since", "1970-01-01T00:00:04"], range(4, 10)),
        (["--until", "1970-01-01T00:00:04"], range(4)),
        (["--since", "1970-01-01T00:00:02Z", "--until", "1970-01-01T00:00:05Z"], range(2, 5)),
        (["--until", "1970-01-01T00:00:05Z", "--limit", 2], range(3, 5)),
        (["--since", "2030-01-01"], range(0)),
    ],
)
def test_some_of_them(tmp_path, arguments, expected):
    path = store(tmp_path / "drift.db", {"n": [*range(10)]}, at=[float(i) for i in range(10)])
    lines = read_csv(printed(path, *arguments))
    assert [int(line[1]) for line in lines[1:]] == [*expected]
    target = exported(path, tmp_path / "rows.parquet", *arguments)
    assert parquet.read_table(target)["n"].to_pylist() == [*map(type_of(expected), expected)]


def type_of(expected):
    return int if expected else str


def test_it_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("drift_middleware.buffer.rows.VALUES", 12)
    path = store(tmp_path / "drift.db", {"n": [*range(100)]})
    sizes = []
    write = writers.CsvWriter.write
    monkeypatch.setattr(
        writers.CsvWriter,
        "write",
        lambda self, batch: (sizes.append(len(batch)), write(self, batch)),
    )
    lines = read_csv(printed(path))
    assert [int(line[1]) for line in lines[1:]] == [*range(100)]
    assert max(sizes) == 4
    found = parquet.read_table(exported(path, tmp_path / "rows.parquet"))
    assert found["n"].to_pylist() == [*range(100)]


def test_as_many_columns_as_there_can_be(tmp_path):
    path = store(tmp_path / "drift.db", {f"c{i}": [i, i + 0.5] for i in range(1900)})
    found = parquet.read_table(exported(path, tmp_path / "rows.parquet"))
    assert found.num_columns == 1901
    assert found["c1899"].to_pylist() == [1899, 1899.5]


def test_a_server_may_be_writing(tmp_path):
    path = tmp_path / "drift.db"
    with Monitor(baseline=Baseline.fit(rows(500)), buffer=path, check_every=50) as monitor:
        record(monitor, rows(60, seed=1))
        assert len(read_csv(printed(path))) == 61
        record(monitor, rows(60, seed=2))
        assert len(read_csv(printed(path))) == 121


def test_what_is_redacted_is_not_there(tmp_path):
    path = tmp_path / "drift.db"
    options = {"redact": ("city",), "hash": ("age",)}
    baseline = Baseline.fit(rows(500))
    with Monitor(baseline=baseline, buffer=path, check_every=50, **options) as monitor:
        record(monitor, rows(20, seed=1))
    text = printed(path)
    assert "Oslo" not in text
    assert read_csv(text)[0] == ["captured_at", "amount", "age", "predicted"]


def test_where_no_row_is_kept_there_is_a_header(tmp_path):
    path = tmp_path / "drift.db"
    baseline = Baseline.fit(rows(500))
    with Monitor(baseline=baseline, buffer=path, check_every=50, store="tallies") as monitor:
        record(monitor, rows(60, seed=1))
    assert printed(path) == "captured_at\r\n"
    assert pd.read_parquet(exported(path, tmp_path / "rows.parquet")).empty


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = store(tmp_path / "drift.db", {"n": [1, 2]})
    (tmp_path / "rows.csv").write_text("before")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writers.CsvWriter, "write", fail)
    message = refused("export", tmp_path / "rows.csv", "--buffer", path)
    assert "rows.csv cannot be written: No space left on device." in message
    assert (tmp_path / "rows.csv").read_text() == "before"
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".rows")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'TARGET'. See drift-middleware export --help."),
        (["rows.xls"], "rows.xls: end the name in .csv, .parquet, .jsonl, or give - for the"),
        (["rows.csv", "--json"], "--json is for -: name a file that ends in .jsonl."),
        (["-", "--since", "yesterday"], "since='yesterday' is impossible: give a time"),
        (["-", "--limit", 0], "0 is not in the range"),
        (["no/such/rows.csv"], "no/such/rows.csv cannot be written: No such file or directory."),
        (["-", "--buffer", "gone.db"], "gone.db: there is no such file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(buffer, arguments, message):
    own = [] if "--buffer" in arguments else ["--buffer", buffer]
    assert message in refused("export", *arguments, *own)


def test_without_pyarrow_it_says_what_to_install(buffer, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    message = refused("export", tmp_path / "rows.parquet", "--buffer", buffer)
    assert "Parquet needs pyarrow: pip install 'drift-middleware[parquet]'." in message
    assert not [*tmp_path.iterdir()]
