"""Columns: the values of a table's column, whatever holds them, as one plain array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drift_middleware.drift.levels import level

if TYPE_CHECKING:
    from pandas import Series

Column = NDArray[Any]
Columns = dict[str, Column]

# What people write for "no value" among numbers.  Among texts only the empty cell is missing.
MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "-", "?", "."}
NESTED = (list, tuple, dict, set, bytes, np.ndarray)
AS_IT_IS = (str, bool, int, *NESTED)


def column_of(values: Sequence[Any] | Column, *, decimal: str | None = None) -> Column:
    """Make a plain column of any values.

    Parameters
    ----------
    values
        As they come; None, NaN and NaT are missing.
    decimal
        The decimal mark, if texts that read as numbers are numbers (CSV has no types).  Without
        one they are only among real numbers.

    Returns
    -------
    (rows,) ndarray
        float64 with NaN where missing; or objects: str, bool, int, float, None where missing, and
        what is nested, as it is.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return values.astype(float)
    plain = [_plain(value) for value in values]
    numbers = _numbers(plain, decimal)
    return _objects(plain) if numbers is None else np.array(numbers, dtype=float)


def series_column(series: Series[Any], *, decimal: str | None = None) -> Column:
    """Make a plain column of a pandas Series; `decimal` as in `column_of`."""
    import pandas as pd

    categorical = isinstance(series.dtype, pd.CategoricalDtype)
    if series.dtype.kind in "iuf" and not categorical:
        return series.to_numpy(dtype=float, na_value=np.nan)
    values = series.astype(object).where(series.notna(), None).tolist()
    if categorical:  # by declaration: its numbers are codes
        return _objects(level(_plain(value)) for value in values)
    return column_of(values, decimal=decimal)


def read_number(text: str, *, decimal: str = ".") -> float | None:
    """Read a text as a number: NaN where it says that there is none, None if it is something else.

    Examples
    --------
    >>> read_number("1,5", decimal=","), read_number("n/a"), read_number("EWR")
    (1.5, nan, None)
    """
    if text.strip().lower() in MISSING:
        return np.nan
    try:
        return None if "_" in text else float(text.replace(decimal, "."))
    except ValueError:
        return None


def _objects(values: Iterable[Any]) -> Column:
    return np.fromiter(values, dtype=object)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, AS_IT_IS):
        return value
    if isinstance(value, float | Decimal | np.generic) and value != value:  # noqa: PLR0124 - NaN
        return None
    if isinstance(value, float | Decimal):
        return float(value)
    if isinstance(value, np.number | np.bool_):
        return value.item()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _numbers(values: list[Any], decimal: str | None) -> list[float] | None:
    """Read plain values as numbers, or give None if one of them is none or none is a number."""
    numbers = []
    typed = decimal is not None
    for value in values:
        number = _number(value, decimal or ".")
        if number is None:
            return None
        numbers.append(number)
        typed = typed or isinstance(value, int | float)
    return numbers if typed and not np.isnan(numbers).all() else None


def _number(value: Any, decimal: str) -> float | None:
    if value is None:
        return np.nan
    if isinstance(value, str):
        return read_number(value, decimal=decimal)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf
