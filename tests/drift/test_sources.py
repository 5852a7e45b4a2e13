import datetime
import decimal
import gzip
import sqlite3
import sys
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.drift.sources import load_columns
from drift_middleware.errors import BaselineError

NAN = float("nan")


def write(tmp_path, content, name="baseline.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(tmp_path, content, name="baseline.csv"):
    return load_columns(write(tmp_path, content, name))


def plain(columns):
    return {
        name: [None if value != value else value for value in values.tolist()]
        for name, values in columns.items()
    }


# What a CSV says.


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", "-3e4"], [1, 2.5, -3e4]),
        (["1", "", "3"], [1, None, 3]),
        (["1", "NA", "n/a", "null", "None", "?", " "], [1, *[None] * 6]),
        (["0.1", "NaN", "123456789.123456789"], [0.1, None, 123456789.123456789]),
        (["inf", "-Infinity", "1"], [float("inf"), -float("inf"), 1]),
        (["1", "18446744073709551615"], [1, 2.0**64]),
        (["1", "9" * 30, "NA"], [1, 1e30, None]),
        (["1_000", "2"], ["1_000", "2"]),
        (["", "", ""], [None] * 3),
        (["a", "", "NA", "None", "1"], ["a", None, "NA", "None", "1"]),
        (["NA", "NA"], ["NA", "NA"]),
        (["true", "False", "TRUE"], [True, False, True]),
        (["True", "", "False"], [True, None, False]),
        (["yes", "true"], ["yes", "true"]),
        (["2026-01-01", "2026-01-02"], ["2026-01-01", "2026-01-02"]),
        (['"a, ""b"""', "ü"], ['a, "b"', "ü"]),
    ],
    ids=str,
)
def test_csv_cells_become(tmp_path, cells, expected):
    lines = ["before,x", *(f"0,{cell}" for cell in cells)]
    assert plain(read(tmp_path, "\n".join(lines)))["x"] == expected


@given(numbers=st.lists(st.floats(allow_nan=False), min_size=2))
def test_csv_numbers_are_read_to_the_last_bit(tmp_path_factory, numbers):
    text = "x\n" + "\n".join(map(repr, numbers))
    assert read(tmp_path_factory.mktemp("exact"), text)["x"].tolist() == numbers


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a,b\n1.5,x\n2,y\n", "b.csv"),
        ("\ufeffa,b\n1.5,x\n2,y\n", "bom.csv"),
        ("a,b\r\n1.5,x\r\n2,y\r\n", "windows.CSV"),
        ("a, b\n1.5, x\n2, y\n", "blanks.csv"),
        ('"a","b"\n"1.5","x"\n"2","y"\n', "quoted.csv"),
        ("\na,b\n\n1.5,x\n2,y\n\n", "empty_lines.csv"),
        ("a;b\n1.5;x\n2;y\n", "semicolon.csv"),
        ("a;b\n1,5;x\n2;y\n", "comma_is_the_decimal_mark.csv"),
        ("a\tb\n1.5\tx\n2\ty\n", "tab.csv"),
        ("a\tb\n1.5\tx\n2\ty\n", "tab.tsv"),
        ("a|b\n1.5|x\n2|y\n", "bar.csv"),
        (gzip.compress(b"a,b\n1.5,x\n2,y\n"), "b.csv.gz"),
        (gzip.compress(b"a\tb\n1.5\tx\n2\ty\n"), "b.tsv.gz"),
    ],
)
def test_these_spellings_are_one_table(tmp_path, text, name):
    assert plain(read(tmp_path, text, name)) == {"a": [1.5, 2], "b": ["x", "y"]}


def test_a_decimal_comma_is_understood_beside_missing_tokens(tmp_path):
    assert plain(read(tmp_path, "a;b\n1,5;x\nNA;y\n"))["a"] == [1.5, None]


def test_one_column_whose_texts_hold_semicolons_stays_one_column(tmp_path):
    assert plain(read(tmp_path, "a\nx;y\nz\n")) == {"a": ["x;y", "z"]}


def test_columns_keep_their_order_and_may_lack_a_name(tmp_path):
    assert list(read(tmp_path, ",b,a\n0,1,2\n1,1,2\n")) == ["", "b", "a"]


# What is in memory.


def test_a_data_frame_keeps_its_types():
    frame = pd.DataFrame(
        {
            "int": [1, 2],
            "nullable": pd.array([1, None], dtype="Int64"),
            "flag": [True, False],
            "nullable flag": pd.array([True, None], dtype="boolean"),
            "text": ["007", None],
            "code": pd.Categorical([5, None]),
            "decimal": [decimal.Decimal("1.5"), None],
            "time": pd.to_datetime(["2026-01-01T10:00", None]),
            "wait": pd.to_timedelta(["90s", None]),
            "day": [datetime.date(2026, 1, 1), None],
            "id": [uuid.UUID(int=5), None],
            "mixed": ["a", 5],
            "numbers with a token": [1.5, "n/a"],
            "nested": [[1, 2], None],
            3: [NAN, NAN],
            ("two", "levels"): [1.5, 2.5],
        }
    )
    assert plain(load_columns(frame)) == {
        "int": [1, 2],
        "nullable": [1, None],
        "flag": [True, False],
        "nullable flag": [True, None],
        "text": ["007", None],
        "code": ["5", None],
        "decimal": [1.5, None],
        "time": ["2026-01-01T10:00:00", None],
        "wait": [90, None],
        "day": ["2026-01-01", None],
        "id": ["00000000-0000-0000-0000-000000000005", None],
        "mixed": ["a", 5],
        "numbers with a token": [1.5, None],
        "nested": [[1, 2], None],
        "3": [None, None],
        "two.levels": [1.5, 2.5],
    }


def test_a_mapping_of_sequences_is_a_table():
    columns = {
        "number": [1, None, 2.5],
        "huge": [10**400, -(10**400), 1],
        "text": ["5", "6", None],
        "flag": [True, None, np.False_],
        "array": np.array([1, 2, 3]),
        "scalars": [np.float32(0.5), np.int64(2), np.datetime64("NaT", "D")],
        "times": np.array(["2026-01-01", "NaT", "2026-01-03"], "M8[D]"),
        "series": pd.Series(["a", None, "b"]),
    }
    assert plain(load_columns(columns)) == {
        "number": [1, None, 2.5],
        "huge": [float("inf"), -float("inf"), 1],
        "text": ["5", "6", None],
        "flag": [True, None, False],
        "array": [1, 2, 3],
        "scalars": [0.5, 2, None],
        "times": ["2026-01-01", None, "2026-01-03"],
        "series": ["a", None, "b"],
    }


def test_a_parquet_file_gives_what_its_frame_gives(tmp_path):
    frame = pd.DataFrame(
        {
            "number": pd.array([1, None], dtype="Int64"),
            "text": ["NA", None],
            "flag": pd.array([None, True], dtype="boolean"),
            "time": pd.to_datetime(["2026-01-01T10:00", None]),
        }
    )
    frame.to_parquet(tmp_path / "b.parquet")
    assert plain(load_columns(tmp_path / "b.parquet")) == plain(load_columns(frame))


# What cannot be read, and what is said then.

WRONG = {
    "an empty file": (b"", "baseline.csv", ["is empty"]),
    "a header alone": (b"a,b\n", "baseline.csv", ["header and no rows"]),
    "no header": (b"1,2\n3,4\n", "baseline.csv", ["first line is numbers", "header"]),
    "a name twice": (b"a,b,a\n1,2,3\n", "baseline.csv", ["'a' occurs 2 times", "rename"]),
    "a name twice but for a blank": (b"a, a\n1,2\n", "baseline.csv", ["'a' occurs 2 times"]),
    "a long line": (b"a,b\n1,2\n3,4,5\n", "baseline.csv", ["line 3 has 3 cells", "header has 2"]),
    "long lines only": (b"a,b\n1,2,3\n4,5,6\n", "baseline.csv", ["line 2 has 3 cells"]),
    "a cut last line": (b"a,b\n1,2\n3", "baseline.csv", ["line 3 has 1 cells"]),
    "an open quote": (b'a,b\n"1,2\n3,4\n', "baseline.csv", ["quote"]),
    "a huge cell": (b'a,b\n"' + b"x" * 200_000, "baseline.csv", ["not a CSV"]),
    "latin 1": ("a,b\n1,sécret\n".encode("latin1"), "baseline.csv", ["not UTF-8", "save it"]),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "baseline.csv", ["UTF-16", "save it as UTF-8"]),
    "bytes": (b"\x7fELF\x00\x01\x02", "baseline.csv", ["not text", "CSV"]),
    "a spreadsheet": (b"PK\x03\x04\x14\x00", "baseline.csv", ["spreadsheet", "save it as CSV"]),
    "Parquet as CSV": (b"PAR1\x15\x04", "baseline.csv", ["Parquet", ".parquet"]),
    "gzip as CSV": (gzip.compress(b"a\n1\n"), "baseline.csv", ["gzip", ".csv.gz"]),
    "CSV as gzip": (b"a,b\n1,2\n", "baseline.csv.gz", ["not a whole gzip"]),
    "half a gzip": (gzip.compress(b"a,b\n1,2\n" * 99)[:-20], "b.csv.gz", ["not a whole gzip"]),
    "CSV as Parquet": (b"a,b\n1,2\n", "baseline.parquet", ["not a readable Parquet"]),
    "another suffix": (b"a,b\n1,2\n", "baseline.xlsx", [".xlsx is not one of", ".parquet"]),
    "no suffix": (b"a,b\n1,2\n", "baseline", ["no suffix", ".csv"]),
    "a saved baseline": (b"{}", "baseline.json", ["Baseline.load"]),
}


@pytest.mark.parametrize(("content", "name", "said"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_no_table_is_refused_with_its_name_and_the_reason(
    tmp_path, content, name, said
):
    path = write(tmp_path, content, name)
    with pytest.raises(BaselineError) as error:
        load_columns(path)
    for words in (str(path), *said):
        assert words in str(error.value)
    assert "sécret" not in str(error.value)


def test_a_missing_file_is_refused_with_the_name_that_may_be_meant(tmp_path):
    write(tmp_path, "a\n1\n", "baseline.csv")
    with pytest.raises(BaselineError, match=r"no such file.*mean .*baseline\.csv"):
        load_columns(tmp_path / "basline.csv")
    with pytest.raises(BaselineError, match="no such file") as error:
        load_columns(tmp_path / "nowhere" / "basline.csv")
    assert "mean" not in str(error.value)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(BaselineError, match="directory; name the file"):
        load_columns(str(tmp_path))


def test_a_database_is_refused(tmp_path):
    path = tmp_path / "drift.csv"
    database = sqlite3.connect(path)
    database.execute("create table a (b)")
    database.close()
    with pytest.raises(BaselineError, match="SQLite"):
        load_columns(path)


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(BaselineError, match="'b' has 1 rows and the others have 2"):
        load_columns({"a": [1, 2], "b": [1], "c": [1, 2]})


def test_a_frame_with_a_name_twice_is_refused():
    with pytest.raises(BaselineError, match="'a' occurs 2 times"):
        load_columns(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(BaselineError, match="'1' occurs 2 times"):
        load_columns(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_what_is_no_table_is_refused_by_its_type():
    with pytest.raises(BaselineError, match=r"'list'.*path, a pandas DataFrame or a mapping"):
        load_columns([1, 2, 3])


def test_without_pyarrow_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    path = write(tmp_path, b"PAR1", "baseline.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    with pytest.raises(BaselineError, match=r"pip install 'drift-middleware\[parquet\]'"):
        load_columns(path)
