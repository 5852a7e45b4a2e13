import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.errors import ConfigError
from drift_middleware.period import Period, period

NOON = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("window", "since"),
    [
        ("90m", "2023-11-14T20:43:20.000Z"),
        ("24h", "2023-11-13T22:13:20.000Z"),
        ("7d", "2023-11-07T22:13:20.000Z"),
        ("2w", "2023-10-31T22:13:20.000Z"),
        ("3650d", "2013-11-16T22:13:20.000Z"),
    ],
)
def test_a_window_reaches_back_from_now(window, since):
    assert period(NOON, window=window) == Period(since, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00.000Z"),
        ("2026-11-01", "2026-11-01T00:00:00.000Z"),
        ("2026-11-01T02:00:00+02:00", "2026-11-01T00:00:00.000Z"),
        ("2026-11-01 00:00:00.0009", "2026-11-01T00:00:00.000Z"),
        ("1970-01-01", "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_read_as_iso_and_as_utc_if_it_does_not_say(text, expected):
    assert period(NOON, since=text) == Period(expected, None)
    assert period(NOON, since="1969-12-31T23:59:59-01:00", until="9999-12-31").until


def test_a_window_may_end_earlier_than_now():
    assert period(NOON, window="1d", until="2023-11-01") == Period(
        "2023-10-31T00:00:00.000Z", "2023-11-01T00:00:00.000Z"
    )


IMPOSSIBLE = [
    *("24", "h", "24x", "1.5h", "-1h", "0h", "024h", "24H", " 24h", "24h ", "٣h", "1h30m", "24 h"),
    *("3651d", "9999999w", "9" * 400 + "d", "yesterday"),
]


@pytest.mark.parametrize("window", IMPOSSIBLE)
def test_an_impossible_window_is_refused_with_what_is_allowed(window):
    with pytest.raises(ConfigError) as caught:
        period(NOON, window=window)
    assert str(caught.value) == (
        f"window={window[:50]!r} is impossible: "
        "give a number and m, h, d or w, such as 90m, 24h, 7d or 2w, up to ten years."
    )


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "2026-13-01", "2026-11-01T25:00", "12", "1969-12-31", "0001-01-01"),
        *("9999-12-31T23:59:59-01:00", "2026-11-01T00:00:00 02:00", "2" * 400, "\0"),
    ],
)
def test_an_impossible_time_is_refused_with_its_name_and_what_is_allowed(name, text):
    asked = {"since": "2023-01-01"} | {name: text}
    with pytest.raises(ConfigError, match=f"^{name}=.* is impossible: give a time since 1970") as e:
        period(NOON, **asked)
    assert len(str(e.value)) < 300


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"window": "1h", "since": "2026-11-01"}, "window and since both say where"),
        ({"until": "2026-11-01"}, "until says where a period ends: give window or since"),
        ({"since": "2026-11-01", "until": "2026-11-01"}, "'2026-11-01' is not before until"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "'2026-11-02' is not before until"),
    ],
)
def test_what_does_not_go_together_is_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        period(NOON, **asked)


@given(st.text())
def test_whatever_is_asked_is_a_period_or_one_error(text):
    for asked in ({"window": text}, {"since": text}, {"window": "1w", "until": text}):
        if all(asked.values()):
            try:
                found = period(NOON, **asked)
            except ConfigError:
                continue
            assert found.since < (found.until or "~")
