"""Sources: a file or a table in memory as columns.  Pandas is imported where a file needs it."""

from __future__ import annotations

import csv
import difflib
import gzip
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from drift_middleware.drift.columns import Columns, column_of, read_number, series_column
from drift_middleware.errors import BaselineError

if TYPE_CHECKING:
    from pandas import DataFrame


DELIMITERS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
PARQUET = (".parquet", ".pq")
# How files begin that are no CSV whatever their name says.
MAGIC = {
    b"PAR1": "a Parquet file; name it .parquet",
    b"\x1f\x8b": "compressed with gzip; name it .csv.gz",
    b"PK\x03\x04": "a zip archive or a spreadsheet; save it as CSV or Parquet",
    b"SQLite format 3": "a SQLite database; export the table as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}


def load_columns(source: str | Path | DataFrame | Mapping[str, Sequence[Any]]) -> Columns:
    """Read a table into columns, in its own order.

    Parameters
    ----------
    source
        A file (`.csv`, `.tsv`, either with `.gz`, or `.parquet`), a pandas DataFrame, or a mapping
        of column names to sequences of equal length.

    Returns
    -------
    dict of str to (rows,) ndarray
        Numbers as float64, NaN where missing.  Anything else as objects: str, bool, None where
        missing, and whatever the source nests, for the caller to refuse.

    Raises
    ------
    BaselineError
        The source cannot be read as a table.  The message never shows a value of it.
    """
    if isinstance(source, str | Path):
        return _read_file(Path(source).expanduser())
    if isinstance(source, Mapping):
        return _same_length({str(name): column_of(source[name]) for name in source})
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return _frame_columns(source, "the data frame")
    msg = (
        f"A baseline cannot be read from {type(source).__name__!r}; "
        "give a path, a pandas DataFrame or a mapping of columns."
    )
    raise BaselineError(msg)


def _same_length(columns: Columns) -> Columns:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        (usual, _), *_ = Counter(lengths.values()).most_common()
        odd = next(name for name, length in lengths.items() if length != usual)
        msg = f"Column {odd!r} has {lengths[odd]} rows and the others have {usual}."
        raise BaselineError(msg)
    return columns


def _read_file(path: Path) -> Columns:
    check_path(path)
    name = path.name.lower()
    try:
        if name.endswith(PARQUET):
            return _read_parquet(path)
        for suffix, delimiter in DELIMITERS.items():
            if name.endswith(suffix):
                return _read_csv(path, delimiter)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})."
        raise BaselineError(msg) from error
    known = ", ".join((*DELIMITERS, PARQUET[0]))
    hint = " Load a saved baseline with Baseline.load." if path.suffix.lower() == ".json" else ""
    msg = f"{path}: {path.suffix or 'no suffix'} is not one of {known}.{hint}"
    raise BaselineError(msg)


def check_path(path: Path) -> None:
    """Raise a BaselineError, with the name that may be meant, unless there is such a file."""
    if path.is_dir():
        msg = f"{path}: is a directory; name the file in it."
        raise BaselineError(msg)
    if not path.exists():
        folder = path.parent
        files = [file.name for file in folder.iterdir()] if folder.is_dir() else []
        near = difflib.get_close_matches(path.name, files, n=1)
        hint = f" Did you mean {folder / near[0]}?" if near else ""
        msg = f"{path}: there is no such file (looked in {folder.resolve()}).{hint}"
        raise BaselineError(msg)
    if path.stat().st_size == 0:
        msg = f"{path}: is empty; write it again."
        raise BaselineError(msg)


def _read_parquet(path: Path) -> Columns:
    import pandas as pd

    try:
        return _frame_columns(pd.read_parquet(path), str(path))
    except ImportError as error:
        msg = f"{path}: reading Parquet needs pyarrow; pip install 'drift-middleware[parquet]'."
        raise BaselineError(msg) from error
    except (ValueError, OSError) as error:  # what pyarrow's own errors derive from
        msg = f"{path}: is not a readable Parquet file; write it again, or give a CSV."
        raise BaselineError(msg) from error


def _read_csv(path: Path, delimiter: str) -> Columns:
    import pandas as pd

    release = tuple(int(part) for part in pd.__version__.split(".")[:2])
    # Numbers must be read exactly, to equal those of the traffic.  Since 3.1 pandas always does.
    exact: dict[str, Any] = {} if release >= (3, 1) else {"float_precision": "round_trip"}
    with _reading(path):
        names, delimiter = _scan(path, delimiter)
        decimal = "," if delimiter == ";" else "."
        with _open(path) as text, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                text,
                sep=delimiter,
                names=[name.strip() for name in names],
                header=0,
                index_col=False,
                keep_default_na=False,
                na_values=[""],
                # "a, b" in the header: the blanks after the commas are the file's style.
                skipinitialspace=any(name.startswith(" ") for name in names[1:]),
                decimal=decimal,
                low_memory=False,
                **exact,
            )
    return _frame_columns(frame, str(path), decimal=decimal)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        msg = f"{path}: is not UTF-8 text; save it as UTF-8."
        raise BaselineError(msg) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{path}: is not a whole gzip file; compress it again."
        raise BaselineError(msg) from error
    except (csv.Error, ValueError) as error:  # pandas' ParserError is a ValueError
        msg = f"{path}: is not a CSV file that can be read ({type(error).__name__})."
        raise BaselineError(msg) from error


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as text:
        yield text


def _scan(path: Path, delimiter: str) -> tuple[list[str], str]:
    """Check what pandas would mend silently: names that occur twice, lines of another length."""
    _check_text(path)
    with _open(path) as text:
        delimiter = _delimiter(text, delimiter)
        text.seek(0)
        lines = csv.reader(text, delimiter=delimiter)
        names = next((line for line in lines if line), [])
        _check_names([name.strip() for name in names], str(path))
        rows = 0
        for line in filter(None, lines):
            rows += 1
            if len(line) != len(names):
                msg = (
                    f"{path}: line {lines.line_num} has {len(line)} cells and the header has "
                    f"{len(names)}; look for a missing quote or comma there."
                )
                raise BaselineError(msg)
    if not rows:
        msg = f"{path}: has a header and no rows; some hundred are needed."
        raise BaselineError(msg)
    if all(read_number(name) is not None for name in names):
        msg = f"{path}: its first line is numbers; a header with column names is needed."
        raise BaselineError(msg)
    return names, delimiter


def _check_text(path: Path) -> None:
    with path.open("rb") as raw:
        start = raw.read(1024)
    compressed = path.suffix.lower() == ".gz"
    for magic, what in MAGIC.items():
        if start.startswith(magic) and not compressed:
            msg = f"{path}: is {what}."
            raise BaselineError(msg)
    if b"\0" in start and not compressed:
        msg = f"{path}: is not text; a CSV file is expected."
        raise BaselineError(msg)


def _delimiter(text: IO[str], usual: str) -> str:
    """Keep the usual delimiter unless it splits no header, and another splits two lines alike."""
    first = list(islice(filter(str.strip, text), 2))

    def widths(delimiter: str) -> list[int]:
        return [len(line) for line in csv.reader(first, delimiter=delimiter)]

    if widths(usual)[:1] != [1]:
        return usual
    others = (other for other in ",;\t|" if len(set(widths(other))) == 1 < widths(other)[0])
    return next(others, usual)


def _check_names(names: list[str], origin: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        msg = f"{origin}: column {twice[0]!r} occurs {names.count(twice[0])} times; rename one."
        raise BaselineError(msg)


def _frame_columns(frame: DataFrame, origin: str, *, decimal: str | None = None) -> Columns:
    names = [_name(label) for label in frame.columns]
    _check_names(names, origin)
    return {
        name: series_column(frame.iloc[:, place], decimal=decimal)
        for place, name in enumerate(names)
    }


def _name(label: Any) -> str:
    return ".".join(map(str, label)) if isinstance(label, tuple) else str(label)
