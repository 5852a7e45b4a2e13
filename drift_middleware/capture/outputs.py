"""What a server's answer says: which prediction belongs to which row, and its columns."""

from __future__ import annotations

from typing import Any, Final

from drift_middleware.capture.bodies import Events
from drift_middleware.capture.records import dotted, kinds, transposed

NUMBERS = {int, float, type(None)}
# A list of more numbers than this is one output, an embedding.
MOST_OUTPUTS = 16

NO_ANSWER: Final = object()
"""Stands for an answer that is absent, or is no object: a stream, a page, an image."""

# Keys that servers put around their predictions, the surest first.
WRAPPERS = ("predictions", "outputs", "results", "prediction", "output", "result")
WRAPPING = frozenset(WRAPPERS)


class Scores(dict[Any, float]):
    """The classes of one row, each with its score: only the best one makes columns."""


def join(answer: Any, rows: int) -> tuple[list[Any] | None, bool]:
    """Find one prediction for each row of a request.

    Returns
    -------
    predictions : list or None
        As the server sent them, in the order of the rows.
    unaligned : bool
        There is an answer, but not one prediction for each row.
    """
    if answer is NO_ANSWER or answer is None:
        return None, False
    kind = type(answer)
    if kind is Events:
        return None, False  # a format that knows the stream reads it
    while kind is dict and len(answer) == 1 and (key := next(iter(answer))) in WRAPPING:
        answer = answer[key]
        kind = type(answer)
    if kind is list:
        found = _from_list(answer, rows)
    elif kind is dict:
        found = _from_record(answer, rows)
    else:
        found = [answer] if rows == 1 else None
    return found, found is None


def _from_list(answers: list[Any], rows: int) -> list[Any] | None:
    if len(answers) == rows:
        if type(answers[0]) is list and is_ranking(answers[0]):
            return list(map(classes, answers))
        return answers
    if rows == 1:
        if is_ranking(answers):
            return [classes(answers)]
        return [answers] if is_probabilities(answers) else None
    if len(answers) == 1 and type(answers[0]) is list and len(answers[0]) == rows:
        return answers[0]  # all on one line of CSV
    return None


def _from_record(answer: dict[str, Any], rows: int) -> list[Any] | None:
    columnar = transposed(answer)
    if columnar is not None and len(columnar) == rows:
        return columnar
    # Beside other keys a list is the predictions when its length says so, or its protocol does.
    for key in WRAPPERS:
        inner = answer.get(key)
        if type(inner) is dict:
            inner = transposed(inner)
        if type(inner) is list and (len(inner) == rows or key == "predictions"):
            return _from_list(inner, rows)
    return [answer] if rows == 1 else None


def is_probabilities(values: list[Any]) -> bool:
    """Tell whether a list is a probability vector: two or more numbers that sum to 1."""
    # Labels [0, 1] sum to 1 too, but servers write probabilities as floats.
    return (
        len(values) > 1
        and float in (of := kinds(values))
        and of <= {float, int}
        and all(0 <= value <= 1 for value in values)
        and abs(sum(values) - 1) < 1e-3
    )


def is_ranking(values: list[Any]) -> bool:
    """Tell whether a list holds the classes of one row, as `{"label": ..., "score": ...}`."""
    return bool(values) and all(
        type(value) is dict
        and type(value.get("label")) in (str, int)
        and type(value.get("score")) in (float, int)
        for value in values
    )


def classes(prediction: Any) -> Any:
    """Give a ranking as scores by label; anything else as it is."""
    if type(prediction) is list and is_ranking(prediction):
        return Scores((value["label"], value["score"]) for value in prediction)
    return prediction


def is_error(prediction: Any) -> bool:
    """Tell whether one answer, or one row of it, says that something went wrong."""
    # A number of that name is an output: the margin of a forecast.
    return (
        type(prediction) is dict
        and type(error := prediction.get("error")) in (str, dict)
        and bool(error)
    )


def flatten(prediction: Any) -> dict[str, Any]:
    """Name the values of one prediction; a list of anything but numbers or classes has none.

    >>> flatten(0.93)
    {'prediction': 0.93}
    >>> flatten([0.1, 0.7, 0.2])
    {'label': 1, 'confidence': 0.7}
    >>> flatten([3.5, -1.0])
    {'prediction.0': 3.5, 'prediction.1': -1.0}
    """
    kind = type(prediction)
    if kind is dict:
        return {} if "error" in prediction and is_error(prediction) else dotted(prediction)
    if kind is list:
        return _flatten_list(prediction)
    if kind is Scores:
        return _best(prediction)
    return {} if kind is bytes else {"prediction": prediction}


def _best(scores: Scores) -> dict[str, Any]:
    if not scores:
        return {}
    label = max(scores, key=scores.__getitem__)
    return {"label": label, "score": scores[label]}


def _flatten_list(values: list[Any]) -> dict[str, Any]:
    if is_probabilities(values):
        confidence = max(values)
        return {"label": values.index(confidence), "confidence": confidence}
    if is_ranking(values):
        return _best(classes(values))
    if not kinds(values) <= NUMBERS:
        return {}
    if len(values) == 1:
        return {"prediction": values[0]}  # Keras answers [[3.5], [4.0]] for two rows
    if len(values) <= MOST_OUTPUTS:
        return {f"prediction.{i}": value for i, value in enumerate(values)}
    return {"prediction": values}
