from datetime import UTC, date, datetime, timedelta, timezone

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.drift.descriptors.times import WEEKDAYS, Time, read_times

NAN = float("nan")
# A Tuesday, 10:20:30 UTC.
MOMENT = datetime(2026, 11, 24, 10, 20, 30, tzinfo=UTC)
SECONDS = MOMENT.timestamp()
FORMS = [
    "2026-11-24T10:20:30Z",
    "2026-11-24T10:20:30+00:00",
    "2026-11-24 10:20:30",
    "2026-11-24T10:20:30.000",
    "2026-11-24T10:20:30.000000000Z",
    MOMENT,
    MOMENT.replace(tzinfo=None),
    pd.Timestamp(MOMENT),
    np.datetime64("2026-11-24T10:20:30"),
    np.datetime64("2026-11-24T10:20:30", "ns"),
    SECONDS,
    int(SECONDS),
    int(SECONDS) * 1000,
    SECONDS * 1e6,
    int(SECONDS) * 10**9,
    np.int64(SECONDS),
    str(int(SECONDS)),
    f"{SECONDS:.1f}",
]
NO_TIMES = [None, NAN, True, 0, -1, 5e9, 1e400, 10**400, "", "soon", "2026", "10:20", "2026-02-30"]
NO_TIMES += ["2026-11-24T25:00", "20261124", "1999", b"2026-11-24", [], {}, pd.NaT]
NO_TIMES += [np.datetime64("NaT", "s"), np.float64("nan"), np.array([1.7e9]), "\ud800", object()]


def describe(*values, at=None, unit="iso"):
    return Time(unit=unit, has_age=at is not None).describe(values, at)


def plain(described):
    return {part: list(np.asarray(values, object)) for part, values in described.items()}


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_every_form_of_a_time_is_the_same_time(form):
    found = plain(describe(form, at=[SECONDS + 60]))
    assert found == {"hour": [10], "weekday": ["Tuesday"], "age": [60]}
    assert read_times([form], by_name="sent_at") == pytest.approx(SECONDS)


@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_what_is_no_time_is_missing(value):
    found = describe(value, MOMENT, at=[SECONDS, SECONDS])
    assert np.isnan(found["hour"]).tolist() == [True, False]
    assert found["weekday"] == [None, "Tuesday"]
    assert np.isnan(found["age"]).tolist() == [True, False]


@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_a_column_of_it_is_no_column_of_times(value):
    assert read_times([value] * 3, by_name="created_at") is None


def test_no_rows_have_no_parts_and_are_no_times():
    found = describe(at=[])
    assert [len(values) for values in found.values()] == [0, 0, 0]
    assert read_times([], by_name="time") is None


def test_the_hour_and_the_weekday_are_those_of_the_zone_that_a_time_is_written_in():
    east = "2026-11-25T01:30:00+05:30"
    found = plain(describe(east, "2026-11-24T20:00:00Z", at=[SECONDS] * 2))
    assert found["hour"] == [1, 20]
    assert found["weekday"] == ["Wednesday", "Tuesday"]
    assert found["age"][0] == found["age"][1]


def test_a_time_to_come_has_a_negative_age():
    assert describe(SECONDS + 5, at=[SECONDS])["age"].tolist() == [-5]


def test_nobody_knows_the_age_of_what_arrives_nobody_knows_when():
    time = Time(unit="iso", has_age=True)
    assert np.isnan(time.describe([MOMENT], None)["age"]).all()
    assert "age" not in Time(unit="iso", has_age=False).describe([MOMENT], [SECONDS])


@given(st.datetimes(timezones=st.just(UTC)))
def test_hour_weekday_and_age_are_those_of_the_calendar(moment):
    found = describe(moment.isoformat(), at=[0.0])
    assert found["hour"].tolist() == [moment.hour]
    assert found["weekday"] == [WEEKDAYS[moment.weekday()]]
    assert -found["age"][0] == pytest.approx(moment.timestamp(), abs=1e-3)


@given(st.integers(min_value=315_532_800, max_value=4_102_444_800))
def test_a_number_says_the_same_as_the_text_in_any_unit(seconds):
    moment = datetime.fromtimestamp(seconds, UTC)
    values = [moment.isoformat(), *(seconds * 1000**power for power in range(4))]
    assert {tuple(part) for part in zip(*plain(describe(*values)).values(), strict=True)} == {
        (moment.hour, WEEKDAYS[moment.weekday()])
    }


def test_a_date_has_no_hour():
    found = plain(describe("2026-11-24", date(2026, 11, 24), MOMENT, at=[SECONDS] * 3))
    assert np.isnan(found["hour"][:2]).all()
    assert found["weekday"] == ["Tuesday"] * 3
    assert found["age"] == [10 * 3600 + 20 * 60 + 30] * 2 + [0]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["2026-11-24"] * 3 + [MOMENT.isoformat()], "date"),
        ([MOMENT.isoformat()] * 3 + ["2026-11-24", None, "x", "y", "z", 1, 2], "iso"),
        ([SECONDS] * 2, "seconds"),
        ([SECONDS * 1e3] * 2, "milliseconds"),
        ([SECONDS * 1e6] * 2, "microseconds"),
        ([SECONDS * 1e9] * 2, "nanoseconds"),
        ([None, "x"], "iso"),
    ],
)
def test_it_learns_how_most_times_are_written(values, unit):
    assert Time.learn(values, has_age=True) == Time(unit=unit, has_age=True)


def test_its_parts_are_what_it_describes():
    for unit in ("iso", "date", "seconds"):
        for has_age in (True, False):
            time = Time(unit=unit, has_age=has_age)
            assert tuple(time.describe([MOMENT], [SECONDS])) == time.parts
            assert ("hour" in time.parts) == (unit != "date")
            assert ("age" in time.parts) == has_age
            assert time.learned <= set(time.parts)


def test_it_survives_being_saved():
    time = Time(unit="milliseconds", has_age=True)
    assert msgspec.json.decode(msgspec.json.encode(time), type=Time) == time
    with pytest.raises(msgspec.ValidationError, match="zone"):
        msgspec.json.decode(
            b'{"type": "time", "unit": "iso", "has_age": true, "zone": 1}', type=Time
        )


@pytest.mark.parametrize(
    "name",
    ["time", "created_at", "createdAt", "Date", "eventTimestamp", "timestamp_ms", "ts", "EPOCH"],
)
def test_numbers_are_times_where_their_name_says_so(name):
    assert read_times([SECONDS, None, SECONDS], by_name=name) is not None
    assert read_times([str(int(SECONDS))], by_name=name) is not None


@pytest.mark.parametrize(
    "name", ["", "amount", "income", "at_home", "rate", "update", "category", "lat", "sometimes"]
)
def test_numbers_are_numbers_elsewhere(name):
    assert read_times([SECONDS, SECONDS], by_name=name) is None
    assert read_times([str(int(SECONDS))] * 2, by_name=name) is None
    assert read_times([MOMENT.isoformat(), SECONDS], by_name=name) is None


def test_numbers_are_times_only_if_all_of_them_are_of_one_unit():
    many = [SECONDS] * 1000
    assert read_times([*many, 12.0], by_name="time") is None
    assert read_times([*many, SECONDS * 1e3], by_name="time") is None
    assert read_times([*many, NAN, None, "soon"], by_name="time") is not None


def test_one_value_in_twenty_may_be_something_else():
    texts = [MOMENT.isoformat()] * 19
    found = read_times([*texts, "unknown"])
    assert np.isnan(found[-1])
    assert (found[:-1] == SECONDS).all()
    assert read_times([*texts[1:], "unknown", "unknown"]) is None
    assert read_times([*texts[:1], *[None] * 20]) is not None


def test_what_has_a_zone_is_read_in_it():
    zone = timezone(timedelta(hours=-3, minutes=-30))
    texts = ["2026-11-24T06:50:30-03:30", MOMENT.astimezone(zone)]
    assert read_times(texts).tolist() == [SECONDS] * 2


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            st.lists,
            max_leaves=3,
        )
    )
)
def test_whatever_comes_is_described(values):
    found = describe(*values, at=[0.0] * len(values))
    assert {len(part) for part in found.values()} == {len(values)}
    read_times(values, by_name="time")
