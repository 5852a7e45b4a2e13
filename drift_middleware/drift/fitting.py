"""Fitting: which columns of a table are watched, as what, and how each is cut."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.cells import Cells, Floats, cut_levels, cut_numbers
from drift_middleware.drift.columns import NESTED, Column, Columns
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.levels import LONGEST, level
from drift_middleware.drift.natural import natural_variation
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import Counter
from drift_middleware.errors import BaselineError
from drift_middleware.schemas import Role, Table

Predictions = Literal["auto"] | str | Sequence[str]

# Rows from which values that are all different are taken for identifiers.
TELLING = 50
# Of a model's output wherever they stand first or last: `predicted_price`, `churn.probability`.
SURE = re.compile("predict(ion|ions|ed)|preds?|probabilit(y|ies)|probas?")
# Only where nothing else is said: `score`, `output_0`.  A `credit_score` is mostly a feature.
ALONE = re.compile("scores?|labels?|outputs?|confidences?")
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def role_of(column: str) -> Role:
    """Guess from its name what a column is.

    Its words are split at whatever is no letter, and at capitals.  A prediction has a first or
    last word such as `prediction`, `predicted`, `pred`, `probability` or `proba`, or no words but
    `score`, `label`, `output`, `confidence` and their plurals.  Case does not matter.

    Examples
    --------
    >>> {name: role_of(name) for name in ("y_pred", "Output_0", "credit_score")}
    {'y_pred': 'prediction', 'Output_0': 'prediction', 'credit_score': 'feature'}
    """
    words = [word.lower() for word in WORD.findall(column)]
    ends = any(SURE.fullmatch(word) for word in (*words[:1], *words[-1:]))
    alone = bool(words) and all(ALONE.fullmatch(word) for word in words)
    return "prediction" if ends or alone else "feature"


def roles_of(columns: Collection[str], predictions: Predictions, origin: str) -> dict[str, Role]:
    """Give every column its role: as asked for, or as its name says.

    Raises
    ------
    BaselineError
        A prediction that was asked for is not among the columns.
    """
    if predictions == "auto":
        return {column: role_of(column) for column in columns}
    wanted = names_in(predictions)
    check_known("predictions", wanted, columns, origin)
    return {column: "prediction" if column in wanted else "feature" for column in columns}


def names_in(names: str | Iterable[str]) -> tuple[str, ...]:
    """Take one name for a sequence of it."""
    return (names,) if isinstance(names, str) else tuple(names)


def check_known(option: str, names: Iterable[str], columns: Collection[str], origin: str) -> None:
    """Raise a BaselineError that names the nearest column, unless all names are columns."""
    for name in names:
        if name not in columns:
            folded = {column.casefold(): column for column in columns}
            near = get_close_matches(str(name).casefold(), folded, n=1)
            hint = f"did you mean {folded[near[0]]!r}?" if near else f"it has {_listed(columns)}."
            msg = f"{option}: {origin} has no column {name!r}; {hint}"
            raise BaselineError(msg)


def _listed(columns: Collection[str], most: int = 12) -> str:
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(list(columns)[:most]) + more


def signals_of(
    columns: Columns, roles: dict[str, Role], ignore: Collection[str], seed: int
) -> tuple[tuple[Signal, ...], dict[str, str]]:
    """Cut every column that can be watched; of the others, say why not.

    Parameters
    ----------
    columns
        Plain columns, as `sources.load_columns` gives them.
    roles
        One for each column.
    ignore
        Columns to leave out.
    seed
        Start of the draws that order equal values, together with a column's name: another column
        changes nothing.
    """
    left_out: dict[str, str] = {}
    signals = []
    for name, values in columns.items():
        reason = "ignored" if name in ignore else _reason_to_leave_out(name, values)
        if reason:
            left_out[name] = reason
        else:
            cells = _cut(values, _rng(name, seed))
            signals.append(Signal(name=name, column=name, role=roles[name], cells=cells))
    return tuple(signals), left_out


def variation_of(
    signals: tuple[Signal, ...], columns: Columns, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Learn `shrink` and `tolerance`, see `natural_variation`, from rows in time order."""
    fine, coarse = (
        np.concatenate([_blocks(signal, columns, seed, count) for signal in signals], axis=1)
        for count in (40, 20)
    )
    return natural_variation(Detector(signals), fine, coarse)


def _blocks(signal: Signal, columns: Columns, seed: int, count: int) -> NDArray[np.int64]:
    """Tally one signal in each of `count` time blocks."""
    values = columns[signal.column].tolist()
    counter = Counter([signal], _rng(signal.name, seed + 1))
    table = Table(len(values), {signal.column: values}, predicted=[True] * len(values))
    places, _ = counter.place(table, [signal.column])
    return np.array([counter.count(part) for part in np.array_split(places, count, axis=1)])


def _rng(name: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8])])


def _cut(values: Column, rng: np.random.Generator) -> Cells:
    if values.dtype.kind == "f" and not np.isnan(values).all():
        return cut_numbers(values, rng)
    # Nothing is known of a column that is all missing: as levels, whatever appears is something.
    return cut_levels([level(value) for value in values.tolist()])


def _reason_to_leave_out(name: str, values: Column) -> str | None:
    if not name.strip():
        return "it has no name"
    if values.dtype.kind == "f":
        return "its values number the rows" if _numbers_the_rows(values) else None
    if any(isinstance(value, NESTED) for value in values):
        return "it holds lists, objects or bytes"
    return _reason_in_texts([value for value in values if isinstance(value, str)])


def _reason_in_texts(texts: list[str]) -> str | None:
    distinct = set(texts)
    if distinct and all(TIME.fullmatch(text) for text in distinct):
        return "it holds dates or times, of which the next is always new"
    if sum(map(len, texts)) > LONGEST * len(texts):
        return f"its texts are longer than {LONGEST} characters on average"
    if len(texts) >= TELLING and len(distinct) == len(texts):
        return "its values are all different (identifiers or free text)"
    return None


def _numbers_the_rows(values: Floats) -> bool:
    """Tell a row number: whole, each one more than the last."""
    if len(values) < TELLING:
        return False
    with np.errstate(over="ignore", invalid="ignore"):  # of the largest numbers and infinities
        return bool(values[0] % 1 == 0) and bool((np.diff(values) == 1).all())
