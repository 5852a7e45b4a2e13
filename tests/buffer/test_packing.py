import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from drift_middleware.buffer.packing import pack, pack_slices, unpack, unpack_slices

counts = st.sampled_from([255, 2**16 - 1, 2**32 - 1, 2**63 - 1]).flatmap(
    lambda most: arrays.arrays(
        np.int64, arrays.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, most)
    )
)


@given(counts, st.dictionaries(st.text(), st.sampled_from(["feature", "prediction"])))
def test_what_is_packed_is_what_is_unpacked(slices, captured):
    (again, names), sums = unpack_slices(pack_slices(slices, captured)), unpack(pack(slices[0]))
    np.testing.assert_array_equal(again, slices)
    np.testing.assert_array_equal(sums, slices[0])
    assert names == captured


@pytest.mark.parametrize(
    ("largest", "size"), [(0, 1), (255, 1), (256, 2), (65535, 2), (65536, 4), (2**32, 8)]
)
def test_a_count_takes_as_few_bytes_as_the_largest_needs(largest, size):
    assert len(pack(np.array([largest, 0, 0]))) == 1 + 3 * size


def test_a_check_of_25_signals_takes_two_kilobytes():
    rng = np.random.default_rng(0)
    shares = [0.01, *[0.09] * 11, 0, 0, 0]
    slices = rng.multinomial(50, shares, (10, 25)).reshape(10, -1)
    captured = {f"a name of a column {number}": "feature" for number in range(25)}
    assert len(pack(slices.sum(axis=0))) + len(pack_slices(slices, captured)) < 2400


@pytest.mark.parametrize(
    "data", [b"", b"\3abc", b"\2abc", b"x", pack_slices(np.array([[1]]), {})[:-1]]
)
def test_what_is_damaged_is_told(data):
    with pytest.raises(msgspec.DecodeError, match="are damaged"):
        unpack(data)
    with pytest.raises(msgspec.DecodeError, match="are damaged"):
        unpack_slices(data)
