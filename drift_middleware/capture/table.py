"""Rows of many exchanges to one table by column: the last step before counting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain, compress, repeat
from operator import itemgetter
from typing import Any

from drift_middleware.capture.outputs import flatten, is_probabilities
from drift_middleware.capture.records import BINARY, MOST_COLUMNS, dotted, kinds, sized
from drift_middleware.schemas import Rows, Table

Records = list[dict[str, Any]]

POSITIONS = tuple(f"x{position}" for position in range(MOST_COLUMNS))
ABSENT = object()
# A row of more numbers than this is an image or an embedding.
MOST_POSITIONS = 256
VECTOR = "vector"
# Of a row without a prediction.
NOTHING: Records = [{}]


def tabulate(
    batch: Sequence[Rows],
    *,
    features: Sequence[str] | None,
    predictions: Sequence[str] | None,
    at: Sequence[float],
    vectors: Collection[str] = (),
    beside: Collection[str] = (),
) -> Table:
    """Lay the rows of many exchanges side by side.

    Parameters
    ----------
    batch
        In order of arrival; exchanges without rows are left out.
    features, predictions
        Names of the watched columns of each role, or None to take all that come.
    at
        Arrival of each exchange of the batch, seconds since the epoch.
    vectors
        The watched columns that hold a list of numbers: a row that is nothing but a list is the
        only watched feature, or prediction, where that is a vector.
    beside
        Columns to take too, where rows or answers have them by name.

    Returns
    -------
    Table
        Only with the columns that some row has, be it as null.  A watched feature that no request
        of the batch has, but the answers have, is taken from these.
    """
    captured = [
        bool(rows.features) and rows.skipped is None for rows, _ in zip(batch, at, strict=True)
    ]
    batch, at = list(compress(batch, captured)), list(compress(at, captured))
    requests = [len(rows.features) for rows in batch]
    table = Table(rows=sum(requests), requests=requests, at=at)
    shared = _shared_names(batch, features)
    inputs = _joined([rows.features if shared else _unnamed(rows) for rows in batch])
    has_answer = [rows.predictions is not None for rows in batch]
    table.predicted = _joined(map(repeat, has_answer, requests))
    if inputs:
        found = _joined(
            NOTHING * count if rows.predictions is None else rows.predictions
            for rows, count in zip(batch, requests, strict=True)
        )
        answers = _answers(found, _only(predictions, vectors), predictions or ())
        if shared:
            requested: _Records | _Positions = _Positions(inputs, shared)
        else:
            inputs = _wrapped(inputs, _only(features, vectors))
            requested = _requested(inputs, features, answers)
        _add_features(table, requested, features, predictions)
        _add_outputs(table, requested, answers, features, predictions)
        _add_beside(table, requested, answers, beside)
    return table


def _joined(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def _shared_names(batch: Sequence[Rows], features: Sequence[str] | None) -> tuple[str, ...] | None:
    """Give the names that all rows have, where these are tuples of watched columns, and more."""
    names = {rows.names for rows in batch}
    return names.pop() if features is not None and len(names) == 1 else None


def _unnamed(rows: Rows) -> Sequence[Any]:
    """Give rows that name themselves."""
    if rows.names is None:
        return rows.features
    return [dict(zip(rows.names, row, strict=True)) for row in rows.features]


def _only(names: Sequence[str] | None, vectors: Collection[str]) -> str | None:
    """Give the only watched column of a side, if it is a vector."""
    return names[0] if names is not None and len(names) == 1 and names[0] in vectors else None


def _wrapped(rows: list[Any], vector: str | None) -> list[Any]:
    """Name rows that are lists, and too long to be a value for each of several columns."""
    if list not in kinds(rows):
        return rows
    longest, name = (MOST_POSITIONS, VECTOR) if vector is None else (-1, vector)
    return [{name: row} if type(row) is list and len(row) > longest else row for row in rows]


def _answers(found: list[Any], vector: str | None, names: Sequence[str]) -> Records:
    """Name the values of predictions: those of a list by position, where they are as many."""
    if list not in kinds(found):
        return list(map(flatten, found))
    if vector is not None:
        return [{vector: one} if type(one) is list else flatten(one) for one in found]
    return [_named_answer(one, names) for one in found]


def _named_answer(answer: Any, names: Sequence[str]) -> dict[str, Any]:
    is_positional = type(answer) is list and len(names) > 1 and len(answer) == len(names)
    if is_positional and not is_probabilities(answer):
        return dict(zip(names, answer, strict=True))
    return flatten(answer)


class _Records:
    """Rows by name."""

    def __init__(self, records: Records) -> None:
        self.records = records

    def names(self) -> dict[str, None]:
        return dict.fromkeys(chain.from_iterable(self.records))

    def column(self, name: str) -> list[Any] | None:
        """Give the values of one name, of bytes their sizes, or None if no row has it."""
        values = self._values(name)
        is_bytes = values is not None and name.rpartition(".")[2] == BINARY
        return list(map(sized, values or ())) if is_bytes else values

    def _values(self, name: str) -> list[Any] | None:
        records = self.records
        try:
            # Every row has it, nearly always: then no bytecode is run per value.
            return list(map(itemgetter(name), records))
        except KeyError:
            pass
        if "." in name:
            values = [_walk(record, name) for record in records]
        else:
            values = [record.get(name, ABSENT) for record in records]
        if all(value is ABSENT for value in values):
            return None
        return [None if value is ABSENT else value for value in values]


class _Positions:
    """Rows that are all of one length, by the names of their positions."""

    def __init__(self, rows: Sequence[Sequence[Any]], names: Sequence[str]) -> None:
        self.columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=False))

    def names(self) -> dict[str, None]:
        return dict.fromkeys(self.columns)

    def column(self, name: str) -> list[Any] | None:
        return self.columns.get(name)


def _walk(record: dict[str, Any], name: str) -> Any:
    """Look a dotted name up, as it is or as a path into nested records."""
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if type(value) is not dict or part not in value:
            return ABSENT
        value = value[part]
    return value


def _requested(
    inputs: list[Any], features: Sequence[str] | None, answers: Records
) -> _Records | _Positions:
    held = set(map(type, inputs))
    if held != {dict}:
        names = _names_of_positions(features, answers)
        lengths = set(map(len, inputs)) if held == {list} else set()
        if features is not None and len(lengths) == 1:
            return _Positions(inputs, names.get(lengths.pop(), POSITIONS))
        inputs = [_named(row, names) for row in inputs]
    # To take all that comes is to take what is nested too.
    return _Records(inputs if features is not None else list(map(dotted, inputs)))


def _names_of_positions(
    features: Sequence[str] | None, answers: Records
) -> dict[int, Sequence[str]]:
    """Name rows of as many values as there are watched features, or as the requests can have."""
    if not features:
        return {}
    outputs = _Records(answers).names()
    rest = [name for name in features if name not in outputs]
    return {len(rest): rest, len(features): features}


def _named(row: Any, names: dict[int, Sequence[str]]) -> dict[str, Any]:
    if type(row) is dict:
        return row
    values = row if type(row) is list else [row]
    return dict(zip(names.get(len(values), POSITIONS), values, strict=False))


def _add_features(
    table: Table,
    requested: _Records | _Positions,
    features: Sequence[str] | None,
    predictions: Sequence[str] | None,
) -> None:
    if features is None:
        reserved = frozenset(predictions or ())
        features = [name for name in requested.names() if name not in reserved][:MOST_COLUMNS]
    for name in features:
        values = requested.column(name)
        if values is not None:
            table.columns[name] = values


def _add_outputs(
    table: Table,
    requested: _Records | _Positions,
    answers: Records,
    features: Sequence[str] | None,
    predictions: Sequence[str] | None,
) -> None:
    watched = list(table.columns) if features is None else features
    if predictions is None:
        # A name that the requests have too is an echo of them.
        echoes = {*watched, *requested.names()}
        room = max(0, MOST_COLUMNS - len(table.columns))
        names = _Records(answers).names()
        predictions = [name for name in names if name not in echoes][:room]
    elif len(predictions) == 1:
        echoes = set(watched)
        answers = [_single(answer, predictions[0], echoes) for answer in answers]
    promoted = [name for name in watched if name not in table.columns]
    given = _Records(answers)
    for name in (*predictions, *promoted):
        values = given.column(name)
        if values is not None:
            table.columns[name] = values
            table.outputs.add(name)


def _add_beside(
    table: Table, requested: _Records | _Positions, answers: Records, beside: Collection[str]
) -> None:
    for name in beside:
        if name not in table.columns:
            values = requested.column(name) or _Records(answers).column(name)
            if values is not None:
                table.columns[name] = values


def _single(answer: dict[str, Any], name: str, echoes: set[str]) -> dict[str, Any]:
    """Give the only output the name of the only watched prediction."""
    if name in answer or not answer:
        return answer
    own = [value for key, value in answer.items() if key not in echoes]
    return {**answer, name: own[0]} if len(own) == 1 else answer
