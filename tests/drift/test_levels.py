import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.drift.levels import level


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (True, "true"),
        (np.False_, "false"),
        (5, "5"),
        (5.0, "5"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (1e300, "1e+300"),
        (10**20, "1e+20"),
        (1e20, "1e+20"),
        (10**400, "inf"),
        (-(10**400), "-inf"),
        (float("inf"), "inf"),
        ("EWR", "EWR"),
        ("", ""),
        ("x" * 300, "x" * 200),
        (float("nan"), None),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
        (b"bytes", None),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_value_is_spelled(value, spelled):
    assert level(value) == spelled


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_spelled_alike_as_int_and_as_float(number):
    assert level(number) == level(float(number))


@given(st.floats(allow_nan=False))
def test_a_number_can_be_read_back_from_its_spelling(number):
    assert float(level(number)) == number
