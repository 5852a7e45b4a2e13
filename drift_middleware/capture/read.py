"""One exchange to its rows, or to the reason why there are none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from drift_middleware.capture.bodies import Binary, Events, Fields, Grid, Lines
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.formats import BY_NAME, formats_of
from drift_middleware.capture.formats.forms import Query
from drift_middleware.capture.outputs import NO_ANSWER, is_error
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.schemas import Exchange, Rows


def read(
    exchange: Exchange,
    *,
    columns: Sequence[str] = (),
    format: str | None = None,  # noqa: A002 - the word that `drift.toml` uses for it
) -> Rows:
    """Find the rows of one exchange and their predictions.  Never raises, whatever the bytes.

    Parameters
    ----------
    exchange
        A request and its answer, as bytes.
    columns
        Names of the features that the model was trained on, if known.  They settle what the
        payload leaves open, such as whether four numbers are one row of four or four rows of one.
    format
        A name of the registry (`drift_middleware.capture.formats`), which beats detection.

    Returns
    -------
    Rows
        One entry of `features` for each row: a dict, or a list where the payload is positional.
        `predictions` are as many, or None where the answer has not one for each (`unaligned`) or
        says nothing.  `skipped` is the reason if there are no rows.

    Raises
    ------
    ValueError
        `format` is no name of the registry.

    Examples
    --------
    >>> from drift_middleware.schemas import Exchange
    >>> body, answer = b'{"instances": [[5.1, 0.2], [6.7, 2.3]]}', b'{"predictions": [0, 2]}'
    >>> rows = read(Exchange("POST", "/v1/models/iris:predict", request_body=body,
    ...                      response_body=answer))
    >>> rows.format, rows.features, rows.predictions
    ('tfs_row', [[5.1, 0.2], [6.7, 2.3]], [0, 2])
    >>> read(Exchange("POST", "/predict", request_body=b"{")).skipped
    'body is not JSON'
    """
    if format is not None and format not in BY_NAME:
        raise ValueError(_unknown(format))
    try:
        return _read(exchange, columns, format)
    except SkipError as skip:
        return Rows(skipped=skip.reason.value)
    except RecursionError:
        return Rows(skipped=Reason.TOO_DEEP.value)
    except Exception:  # noqa: BLE001 - the bytes are anybody's: no fault of theirs may stop the thread
        return Rows(skipped=Reason.UNREADABLE.value)


def _read(exchange: Exchange, columns: Sequence[str], name: str | None) -> Rows:
    if not 200 <= exchange.status < 300:
        raise SkipError(Reason(f"status {exchange.status // 100}xx"))
    if exchange.truncated:
        raise SkipError(Reason.TRUNCATED)
    if exchange.request_body or not exchange.query:
        request = decode(exchange.request_body, exchange.request_headers)
        if type(request) is Fields:
            request = _of_form(request)
    else:
        request = _of_query(exchange.query)
    decoded = Decoded(request, answer_of(exchange), exchange, columns, name is not None)
    for each in formats_of(request) if name is None else BY_NAME[name].of(request):
        rows = each.read(decoded)
        if rows is not None:
            return rows
    raise SkipError(Reason.NOT_A_PREDICTION)


def _of_query(query: bytes) -> Query:
    return Query(parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True))


def _of_form(form: Fields) -> Any:
    """Take the JSON out of a form around it, as Seldon's clients send it."""
    sent = form.get("json")
    return decode(sent.encode(), []) if type(sent) is str else form


def answer_of(exchange: Exchange) -> Any:
    """Decode the answer: NO_ANSWER if it says nothing; SkipError if nobody may go by it."""
    try:
        answer = decode(exchange.response_body, exchange.response_headers)
    except SkipError as skip:
        # A page is no answer; one that is compressed, or too long, would go unseen.
        if skip.reason in (Reason.ENCODING, Reason.TOO_MANY):
            raise
        return NO_ANSWER
    except RecursionError:
        return NO_ANSWER
    kind = type(answer)
    if kind is dict or kind is list:
        return answer
    if kind is Events and any(map(is_error, answer)):
        raise SkipError(Reason.ERROR)  # its status was sent before it failed
    if kind is Grid:
        return _predictions(answer)
    if kind is Lines:
        return list(answer)
    return NO_ANSWER if kind is Binary or kind is Fields else answer


def _predictions(grid: Grid) -> list[Any]:
    """Give the rows of a table of answers; those of one column without a name are its values."""
    if grid.names is not None:
        return [dict(zip(grid.names, row, strict=False)) for row in grid.rows]
    if all(type(row) is list and len(row) == 1 for row in grid.rows):
        return [row[0] for row in grid.rows]
    return grid.rows


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, BY_NAME, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(BY_NAME)}."
    return f"format {name!r} is unknown: {hint}"
