"""Levels: the one spelling of a categorical value, the same in a baseline and in traffic."""

from __future__ import annotations

from typing import Any

import numpy as np

LONGEST = 200
# Above this the float of a JSON decoder and the int of another may differ: spell both as floats.
EXACT = 2**53


def level(value: Any, longest: int | None = LONGEST) -> str | None:
    """Spell a value as a level, or None if it has no value.

    A boolean is `true` or `false`, a whole number has no point (`5`, also for 5.0), another number
    is its shortest exact decimal, a text is itself up to `longest` characters.  Missing values,
    NaN and anything nested give None.

    Examples
    --------
    >>> [level(value) for value in (True, 5, 5.0, 0.1, "EWR", None)]
    ['true', '5', '5', '0.1', 'EWR', None]
    """
    if isinstance(value, str):
        # A lone surrogate can be in JSON, but in no database and on no page.
        return str(value[:longest]).encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    return level(value.item()) if isinstance(value, np.bool_ | np.number) else None


def _number(value: float) -> str | None:
    if value != value:  # noqa: PLR0124 - NaN, the only number that differs from itself
        return None
    if abs(value) < EXACT and value == int(value):
        return str(int(value))
    try:
        return repr(float(value))
    except OverflowError:
        return "inf" if value > 0 else "-inf"
