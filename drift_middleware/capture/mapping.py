"""Mapping: rows and predictions of one exchange where an `[[endpoint]]` says that they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.locations import Location, MisfitError, location, names_of
from drift_middleware.capture.outputs import MOST_OUTPUTS, NO_ANSWER, join
from drift_middleware.capture.read import read
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import CONTAINERS, dotted, kinds, transposed
from drift_middleware.schemas import Endpoint, Exchange, Rows

MAPPED = "mapping"
"format of rows that were found where the options say"
AUTO = "auto"
KEY = "key:"
PARTS = ("prediction", "label", "probability")
Predictions = tuple[list[Any] | None, bool]
"and whether there are some, but not one for each row"


class Found(NamedTuple):
    """Rows on their way, and what the key of each is in."""

    rows: Rows
    holders: Sequence[Any]


class Mapped:
    """What a table says of rows, features and predictions.

    Raises
    ------
    ValueError
        A location is none; the message begins with the key.
    """

    def __init__(self, table: Endpoint) -> None:
        self._format = None if table.format == AUTO else table.format
        self._rows = _location("request.rows", table.request_rows)
        self._features = table.request_features
        self._ignored = {
            ".".join(names_of(name)) if name.startswith("/") else name
            for name in table.request_ignore
        }
        places = {
            part: _location(f"response.{part}", getattr(table, f"response_{part}"))
            for part in PARTS
        }
        self._places = {part: place for part, place in places.items() if place is not None}
        self._classes = [str(name) for name in table.response_classes]
        self._kind = table.kind
        self._is_joined = table.align != "none"
        is_keyed = table.align.startswith(KEY)
        self._key = location(table.align.removeprefix(KEY)) if is_keyed else None
        if self._key is not None and not self._places:
            msg = f"align={table.align!r} needs to know what in the response has this key: "
            msg += "give response.prediction, such as 'predictions[]'"
            raise ValueError(msg)

    def read(
        self,
        exchange: Exchange,
        path_params: Mapping[str, str],
        columns: Sequence[str],
        pinned: str | None,
    ) -> Rows:
        """Find the rows of one exchange; or raise MisfitError or SkipError."""
        if self._rows is None:
            found = self._detected(exchange, columns, pinned)
        else:
            found = self._located(self._rows, exchange)
        rows = found.rows
        if rows.skipped is None:
            answers = self._predictions(found, exchange)
            rows.features = [
                labelled(chosen(row, self._features, self._ignored), path_params)
                for row in rows.features
            ]
            rows.predictions, rows.unaligned = answers
        return rows

    def _detected(self, exchange: Exchange, columns: Sequence[str], pinned: str | None) -> Found:
        if self._format is None:
            rows = detected(exchange, columns, pinned)
        else:
            rows = read(exchange, columns=columns, format=self._format)
            if rows.skipped == Reason.NOT_A_PREDICTION:
                raise MisfitError
        return Found(rows, rows.features)

    def _located(self, place: Location, exchange: Exchange) -> Found:
        if exchange.truncated:
            raise SkipError(Reason.TRUNCATED)
        document = opened(decode(exchange.request_body, exchange.request_headers))
        value, is_each = place.find(document)
        rows = value if is_each else _rows_of(value)
        if not rows:
            raise SkipError(Reason.NOT_A_PREDICTION)
        if any(row in (None, {}, []) for row in rows):
            raise MisfitError
        predictions, unaligned = None, False
        if not self._places:
            predictions, unaligned = join(_answer(exchange), len(rows))
        holders = place.holders.find(document)[0] if is_each else rows
        return Found(Rows(rows, predictions, MAPPED, unaligned=unaligned), holders)

    def _predictions(self, found: Found, exchange: Exchange) -> Predictions:
        """Give each row its prediction."""
        rows = found.rows
        if not self._is_joined:
            return None, False
        if not self._places:
            given = rows.predictions
            named = None if given is None else [self._answer_of(one) for one in given]
            return named, rows.unaligned
        answers = opened(_answer(exchange))
        parts: dict[str, list[Any]] = {}
        for part, place in self._places.items():
            if self._key is None:
                value, is_each = place.find(answers)
                values = spread(value, len(rows.features), is_each=is_each)
            else:
                values = _by_key(self._key, place, answers, found.holders)
            if values is None:
                return None, True
            parts[part] = values
        nothing = [None] * len(rows.features)
        lined_up = zip(*(parts.get(part, nothing) for part in PARTS), strict=True)
        predictions = [self._answer_of(*each) for each in lined_up]
        return predictions, self._key is not None and None in predictions

    def _answer_of(self, prediction: Any, label: Any = None, probability: Any = None) -> Any:
        """Put together what is predicted for one row, with the names of the classes."""
        if type(probability) is list:
            probability = self._named(probability)
        prediction, label = self._said(prediction), self._said(label)
        if type(prediction) is dict and label is None and prediction.keys() == {*self._classes}:
            prediction, probability = None, prediction
        return answer(prediction, label, probability)

    def _said(self, value: Any) -> Any:
        value = self._named(value)
        if self._kind == "classification" and type(value) in (int, float) and value == value // 1:
            return str(int(value))
        if self._kind == "regression" and type(value) is list and 1 < len(value) <= MOST_OUTPUTS:
            return {f"prediction.{i}": each for i, each in enumerate(value)}
        return value

    def _named(self, value: Any) -> Any:
        return named(value, self._classes) if self._classes else value


def detected(exchange: Exchange, columns: Sequence[str], pinned: str | None) -> Rows:
    """Read an exchange by the format that is pinned, and where that fails by any."""
    if pinned is not None:
        rows = read(exchange, columns=columns, format=pinned)
        if rows.skipped is None:
            return rows
    return read(exchange, columns=columns)


def _location(key: str, text: str | None) -> Location | None:
    try:
        return None if text is None else location(text)
    except ValueError as error:
        msg = f"{key}={text!r} {error}"
        raise ValueError(msg) from None


def _answer(exchange: Exchange) -> Any:
    try:
        return decode(exchange.response_body, exchange.response_headers)
    except SkipError:
        return NO_ANSWER  # in which no location is found


def _by_key(
    key: Location, place: Location, answers: Any, holders: Sequence[Any]
) -> list[Any] | None:
    """Look up what the response has for the key of each row; None if it has none of them."""
    try:
        told = {
            key.find(holder)[0]: value
            for holder, value in zip(
                place.holders.find(answers)[0], place.find(answers)[0], strict=True
            )
        }
        keys = [key.find(holder)[0] for holder in holders]
        return [told.get(each) for each in keys] if told.keys() & {*keys} else None
    except (TypeError, ValueError):  # a key that is a list, or no list of holders
        raise MisfitError from None


def _rows_of(value: Any) -> list[Any]:
    """Tell what rows there are at a place that is one: records, lists, columns, or one row."""
    if isinstance(value, dict):
        return transposed(value) or [value]
    if isinstance(value, list) and kinds(value) <= CONTAINERS:
        return value
    return [value]


def opened(body: Any) -> Any:
    """Give a decoded body as plain objects: a table is a list of records, or of lists."""
    if not isinstance(body, Grid):
        return body
    if body.names is None:
        return body.rows
    return [dict(zip(body.names, row, strict=False)) for row in body.rows]


def spread(found: Any, rows: int, *, is_each: bool) -> list[Any] | None:
    """Give each row its own of what was found; None if the numbers differ."""
    if isinstance(found, list) and len(found) == rows:
        return found
    return [found] if rows == 1 and not is_each else None


def chosen(row: Any, features: Sequence[str], ignored: Collection[str]) -> Any:
    """Take of a row only these features, or all but those that are ignored; or MisfitError.

    >>> chosen([31, "Oslo"], ["age", "city"], {"city"})
    {'age': 31}
    """
    if features and type(row) is not dict:
        values = row if type(row) is list else [row]
        if len(values) != len(features):
            raise MisfitError
        row = dict(zip(features, values, strict=True))
    if type(row) is not dict or not (features or ignored):
        return row
    row = dotted(row)
    if features:
        row = {name: row[name] for name in features if name in row}
    if ignored:
        row = {name: value for name, value in row.items() if not is_part(name, ignored)}
    if not row:
        raise MisfitError
    return row


def is_part(name: str, of: Collection[str]) -> bool:
    """Say whether a dotted name is one of these, or within one."""
    return name in of or any(name.startswith(f"{one}.") for one in of)


def labelled(row: Any, known: Mapping[str, str]) -> Any:
    """Add the columns `model` and `version`, where they are known and the row has names."""
    if type(row) is not dict:
        return row
    return {name: known[name] for name in ("model", "version") if name in known} | row


def named(value: Any, classes: Sequence[str]) -> Any:
    """Name a class by its number, probabilities by their classes; leave all else as it is.

    >>> named(1, ["no", "yes"]), named([0.25, 0.75], ["no", "yes"])
    ('yes', {'no': 0.25, 'yes': 0.75})
    """
    if type(value) is list and len(value) == len(classes):
        return dict(zip(classes, value, strict=True))
    if isinstance(value, int | float) and value in range(len(classes)):
        return classes[int(value)]
    return value


def answer(prediction: Any, label: Any = None, probability: Any = None) -> Any:
    """Put together what is predicted for one row; None: not given.

    >>> answer(None, None, {"no": 0.25, "yes": 0.75})
    {'label': 'yes', 'probability': {'no': 0.25, 'yes': 0.75}}
    """
    if prediction is None and label is None and type(probability) is dict:
        label = _likeliest(probability)
    given = {"prediction": prediction, "label": label, "probability": probability}
    parts = {name: value for name, value in given.items() if value is not None}
    return prediction if parts.keys() <= {"prediction"} else parts


def _likeliest(probability: Mapping[str, Any]) -> str | None:
    numbers = {name: value for name, value in probability.items() if isinstance(value, int | float)}
    return max(numbers, key=lambda name: numbers[name], default=None)
