"""Times: the hour and the weekday that they say, and how old they are when they arrive."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from drift_middleware.drift.descriptors import Part

Floats = NDArray[np.float64]
Unit = Literal["date", "iso", "seconds", "milliseconds", "microseconds", "nanoseconds"]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOUR, DAY = 3600, 86_400
EPOCH = date(1970, 1, 1).toordinal()
# Numbers are times from 1980 to 2100 only, so that none can be meant in two units.
EARLIEST, LATEST = 315_532_800.0, 4_102_444_800.0
PER_SECOND: dict[Unit, float] = {
    "seconds": 1.0,
    "milliseconds": 1e3,
    "microseconds": 1e6,
    "nanoseconds": 1e9,
}
# Share of a column's values that must be times; the others are slips, "unknown", "tbd".
MOST = 0.95

DATE = re.compile(r"\d{4}-\d\d-\d\d")
NUMBER = (int, float)
CAN_BE_MISSING = (float, np.floating, np.datetime64, datetime)
DIGITS = re.compile(r"\d{9,19}(\.\d*)?", re.ASCII)
# The words of a name: split at whatever is no letter, and at capitals.
WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
OF_TIMES = {"time", "date", "datetime", "timestamp", "ts", "epoch", "unix", "unixtime"}

Reading = tuple[float, float, Unit]
"what a clock on the wall showed, in seconds since it showed 1970; how far it is ahead of UTC; and \
how it was written"


def read_times(values: Sequence[Any], *, by_name: str = "") -> Floats | None:
    """Read a column of times, or give None if it is something else.

    Times are ISO 8601 dates and datetimes, and objects of these kinds; what has no zone is taken
    for UTC.  Numbers are times if all of them are seconds since the epoch, or all in one of its
    smaller units, from 1980 to 2100, and the column is named so: an amount of money may lie there
    too.  Up to 5 % of the values may be something else; these are missing.

    Parameters
    ----------
    values : (rows,)
        As they come; None and NaN are missing.
    by_name
        The name of the column.

    Returns
    -------
    (rows,) float64 or None
        Seconds since the epoch, NaN where missing.

    Examples
    --------
    >>> read_times(["1970-01-02", "1970-01-01T01:00:10+01:00", None])
    array([8.64e+04, 1.00e+01,      nan])
    >>> read_times([1.7e9]), read_times([1.7e12], by_name="sent_at")
    (None, array([1.7e+09]))
    """
    may_be_numbers = _names_times(by_name)
    first = next((value for value in values if not _is_missing(value)), None)
    if _number(first) is not None and not may_be_numbers:
        return None  # before a look at the others: most columns are of this kind
    readings = [_read(value) for value in values]
    units = {reading[2] for reading in readings if reading is not None} & PER_SECOND.keys()
    others = [value for value, reading in zip(values, readings, strict=True) if reading is None]
    strays = [value for value in others if not _is_missing(value)]
    if (units and not may_be_numbers) or len(units) > 1 or any(map(_is_number, strays)):
        return None
    times = len(values) - len(others)
    if not times or times < MOST * (times + len(strays)):
        return None
    return np.array([np.nan if each is None else each[0] - each[1] for each in readings])


class Time(Struct, frozen=True, forbid_unknown_fields=True, tag="time"):
    """What is watched of a column of times.

    Any way to write a time is read as `read_times` does, whatever the baseline's was: a client that
    writes the same times in another way is no drift.  Hours and weekdays are those of the zone that
    a time is written in, and of UTC where it has none.
    """

    unit: Unit
    "how the baseline wrote most of them; a `date` has no hour"
    has_age: bool
    "when the baseline's rows arrived is known"

    is_nested = False
    learned = frozenset[str]()

    @classmethod
    def learn(cls, values: Sequence[Any], *, has_age: bool) -> Self:
        """Learn how most of some values are written."""
        units = Counter(reading[2] for reading in map(_read, values) if reading is not None)
        return cls(unit=max(units, key=units.__getitem__, default="iso"), has_age=has_age)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `describe` gives, in order."""
        hour = () if self.unit == "date" else ("hour",)
        return (*hour, "weekday", *(("age",) if self.has_age else ()))

    def describe(self, values: Sequence[Any], at: Sequence[float] | None) -> dict[str, Part]:
        """Describe values: the hour from 0 to 23, the weekday by name, the age in seconds.

        A time to come has a negative age; a date is as old as its first moment.
        """
        readings = [_read(value) or NO_TIME for value in values]
        clock, offset = np.array([reading[:2] for reading in readings]).reshape(-1, 2).T
        has_hour = np.array([reading[2] != "date" for reading in readings], bool)
        arrival = np.full(len(values), np.nan) if at is None else np.asarray(at, float)
        described: dict[str, Part] = {
            "hour": np.where(has_hour, clock // HOUR % 24, np.nan),
            "weekday": _weekdays(clock),
            "age": arrival - (clock - offset),
        }
        return {part: described[part] for part in self.parts}


NO_TIME = (np.nan, np.nan, "iso")


def _names_times(name: str) -> bool:
    words = [word.lower() for word in WORD.findall(name)]
    return not OF_TIMES.isdisjoint(words) or words[-1:] == ["at"]


def _weekdays(clock: Floats) -> list[str | None]:
    days = np.nan_to_num((clock // DAY + 3) % 7, nan=7).astype(int)  # 1970 began on a Thursday
    return [(*WEEKDAYS, None)[day] for day in days.tolist()]


def _read(value: Any) -> Reading | None:
    if isinstance(value, str) and DATE.match(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return _reading(moment, "iso" if len(value) > len("2026-11-24") else "date")
    number = _number(value)
    if number is not None:
        unit = _unit_of(number)
        return (number / PER_SECOND[unit], 0.0, unit) if unit else None
    return _read_object(value)


def _read_object(value: Any) -> Reading | None:
    if _is_missing(value):
        return None
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, datetime):
        return _reading(value, "iso")
    if isinstance(value, date):
        return float(DAY * (value.toordinal() - EPOCH)), 0.0, "date"
    return None


def _reading(moment: datetime, unit: Unit) -> Reading:
    # Half the time of a difference from the epoch without zones.
    day, offset = moment.toordinal() - EPOCH, moment.utcoffset()
    second = moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond * 1e-6
    return DAY * day + second, offset.total_seconds() if offset else 0.0, unit


def _number(value: Any) -> float | None:
    """Take a number, or the digits of one, for a number; not a boolean."""
    if isinstance(value, str):
        return float(value) if DIGITS.fullmatch(value) else None
    if isinstance(value, np.number):
        value = value.item()
    return value if isinstance(value, NUMBER) and not isinstance(value, bool) else None


def _is_number(value: Any) -> bool:
    return _number(value) is not None


def _unit_of(number: float) -> Unit | None:
    for unit, per in PER_SECOND.items():
        if EARLIEST * per <= number <= LATEST * per:
            return unit
    return None


def _is_missing(value: Any) -> bool:
    is_none = isinstance(value, CAN_BE_MISSING) and value != value  # noqa: PLR0124 - NaN, NaT
    return value is None or bool(is_none)
