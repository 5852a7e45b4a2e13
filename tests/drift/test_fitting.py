import numpy as np
import pytest

from drift_middleware.drift.fitting import FitOptions, fit

LARGEST = 1.7e308
OPTIONS = FitOptions("auto", (), {}, None, None, ordered=False, seed=0)


def why_left_out(values):
    columns = {"x": np.array(values, float)}
    return fit(columns, "test", OPTIONS).left_out.get("x")


@pytest.mark.parametrize("first", [-7, 0, 1, 2**40])
def test_a_column_that_numbers_the_rows_is_left_out(first):
    assert why_left_out(first + np.arange(60.0)) == "its values number the rows"


@pytest.mark.parametrize(
    "values",
    [
        np.arange(40.0),
        np.arange(60.0) + 0.5,
        np.arange(0.0, 120.0, 2),
        np.arange(60.0)[::-1],
        [LARGEST, -LARGEST] * 30,
        [float("inf"), -float("inf")] * 30,
        [float("nan"), *np.arange(59.0)],
    ],
    ids=["few", "halves", "even", "falling", "huge", "infinite", "a gap"],
)
def test_other_columns_are_watched_without_a_warning(values):
    assert why_left_out(values) is None
