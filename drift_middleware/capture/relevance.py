"""Which rows and columns are the model's: apps have other routes, and some take passwords."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from drift_middleware.schemas import Rows

SEVERAL = (dict, list, tuple)
"what rows of several values are"
SECRET = re.compile(
    r"pass(word|wd|phrase|code)|secret|token|api_?key|authorization|credential|cookie|session"
    r"|card_?number|cvv|cvc|iban|ssn|social_security",
    re.IGNORECASE,
)


def is_about(rows: Rows, features: Sequence[str], vectors: Collection[str] = ()) -> bool:
    """Say whether the rows have any of these columns: by name, or by number where positional.

    A list is also the value of the only feature, where that is one of the `vectors`.
    """
    row = rows.features[0] if rows.names is None else dict.fromkeys(rows.names)
    if isinstance(row, list) and len(features) == 1 and features[0] in vectors:
        return True
    if isinstance(row, dict):
        return any(name in row or name.partition(".")[0] in row for name in features)
    return (len(row) if isinstance(row, list) else 1) == len(features)


def is_bare(rows: Rows) -> bool:
    """Say whether the rows are single values: a text, a number, an image."""
    return not issubclass(type(rows.features[0]), SEVERAL)


def are_bare(batch: Iterable[Rows]) -> bool:
    """Say whether any of many are."""
    # Of thousands of rows there are a few types.
    return not all(issubclass(kind, SEVERAL) for kind in {type(one.features[0]) for one in batch})


def is_secret(column: str) -> bool:
    """Say whether a column's name is that of a secret, which is never learned from or kept.

    Examples
    --------
    >>> [is_secret(name) for name in ("password", "user.api_key", "age", "passengers")]
    [True, True, False, False]
    """
    return SECRET.search(column) is not None
