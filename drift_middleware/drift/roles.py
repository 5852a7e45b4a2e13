"""Roles: which columns of a table go into the model and which come out, told by their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Literal

from drift_middleware.errors import BaselineError
from drift_middleware.schemas import Role

Predictions = Literal["auto"] | str | Sequence[str]

# Of a model's output wherever they stand first or last: `predicted_price`, `churn.probability`.
SURE = re.compile("predict(ion|ions|ed)|preds?|probabilit(y|ies)|probas?")
# Only where nothing else is said: `score`, `output_0`.  A `credit_score` is mostly a feature.
ALONE = re.compile("scores?|labels?|outputs?|confidences?")
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
