import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import Reason, SkipError


def npy(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def refusal(body, headers=()):
    with pytest.raises(SkipError) as caught:
        decode(body, headers)
    return caught.value.reason


def as_rows(array):
    return (array.reshape(1) if array.ndim == 0 else array).tolist()


dtypes = (
    npst.boolean_dtypes()
    | npst.integer_dtypes(endianness="?")
    | npst.unsigned_integer_dtypes(endianness="?")
    | npst.floating_dtypes(endianness="?", sizes=(16, 32, 64))
)


@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
@given(
    npst.arrays(dtypes, npst.array_shapes(min_dims=0, max_dims=4)),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
    st.booleans(),
)
def test_numbers_come_back(array, version, by_column):
    body = npy(np.asfortranarray(array) if by_column else array, version)
    found = decode(body, [])
    assert found.names is None
    assert repr(found.rows) == repr(as_rows(array))


@given(
    st.sampled_from(["<U5", ">U5"]).flatmap(
        lambda dtype: npst.arrays(
            dtype,
            npst.array_shapes(max_dims=2),
            elements=st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=5),
        )
    )
)
def test_texts_come_back(array):
    assert decode(npy(array), []) == Grid(None, array.tolist())


def test_bytes_are_texts_and_times_are_as_in_json():
    assert decode(npy(np.array([b"a", "é".encode()])), []) == Grid(None, ["a", "é"])
    assert decode(npy(np.array(["2026-01-02T03:04"], "M8[m]")), []) == Grid(
        None, ["2026-01-02T03:04"]
    )


@pytest.mark.parametrize("shape", [(2,), (1,)])
def test_fields_name_the_columns(shape):
    array = np.zeros(shape, [("age", "<i4"), ("city", "<U5")])
    array[0] = (31, "Paris")
    found = decode(npy(array), [])
    assert found.names == ["age", "city"]
    assert found.rows[0] == [31, "Paris"]


def header(text):
    head = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


@pytest.mark.parametrize(
    "body",
    [
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"\x80\x04N.",
        header("{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}") + b"\0" * 16,
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}") + b"\0" * 8,
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 0)}"),
        header("{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000,)}"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}") + b"\0" * 8,
        header("{'descr': '<f8', 'fortran_order': False, 'shape': 'ab'}"),
        header("{'descr': ('<f8', (9, 9)), 'fortran_order': False, 'shape': (1,)}") + b"\0" * 648,
        header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}") + b"\0\xd8\0\0",
        header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}") + b"\xff" * 4,
        header("__import__('os').getcwd()"),
        header("[" * 100),
        header("[]"),
        b"\x93NUMPY\x01\x00\xff\xff",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x09\x00v\x00",
        b"\x93NUMPY",
    ],
)
def test_what_no_plain_array_says_is_refused(body):
    assert refusal(body, [(b"content-type", b"application/x-npy")]) == Reason.UNREADABLE


def test_a_million_short_texts_are_refused():
    assert refusal(npy(np.zeros(100_000, "S1")), [(b"content-type", b"application/x-npy")]) == (
        Reason.TRUNCATED
    )


def packed(datatype, values):
    """Pack as tritonclient does."""
    if datatype == "BYTES":
        texts = [value.encode() if type(value) is str else value for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if datatype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return np.array(values, TYPES[datatype][0]).tobytes()


TYPES = {
    "BOOL": ("?", st.booleans()),
    "UINT8": ("u1", st.integers(0, 2**8 - 1)),
    "UINT16": ("<u2", st.integers(0, 2**16 - 1)),
    "UINT32": ("<u4", st.integers(0, 2**32 - 1)),
    "UINT64": ("<u8", st.integers(0, 2**64 - 1)),
    "INT8": ("i1", st.integers(-(2**7), 2**7 - 1)),
    "INT16": ("<i2", st.integers(-(2**15), 2**15 - 1)),
    "INT32": ("<i4", st.integers(-(2**31), 2**31 - 1)),
    "INT64": ("<i8", st.integers(-(2**63), 2**63 - 1)),
    "FP16": ("<f2", st.floats(allow_nan=False, width=16)),
    "BF16": ("", st.integers(-256, 256).map(float)),
    "FP32": ("<f4", st.floats(allow_nan=False, width=32)),
    "FP64": ("<f8", st.floats(allow_nan=False)),
    "BYTES": ("", st.text() | st.just(b"\xff\xfe")),
}


@st.composite
def tensors(draw):
    datatype = draw(st.sampled_from(sorted(TYPES)))
    values = draw(st.lists(TYPES[datatype][1], max_size=5))
    return datatype, values


def request(found, side="inputs"):
    """Build head and binary tensors; one tensor stays JSON."""
    bodies = [packed(datatype, values) for datatype, values in found]
    described = [
        {
            "name": f"t{i}",
            "shape": [len(values)],
            "datatype": datatype,
            "parameters": {"binary_data_size": len(data)},
        }
        for i, ((datatype, values), data) in enumerate(zip(found, bodies, strict=True))
    ]
    described.insert(1, {"name": "json", "shape": [1], "datatype": "FP32", "data": [0.5]})
    head = json.dumps({"id": "1", side: described, "parameters": {}}).encode()
    return head + b"".join(bodies), len(head)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize("content_type", [None, b"application/octet-stream", b"application/json"])
@given(found=st.lists(tensors(), min_size=1, max_size=4))
def test_binary_tensors_come_back_as_json(content_type, side, found):
    body, size = request(found, side)
    headers = [(b"Inference-Header-Content-Length", str(size).encode())]
    if content_type is not None:
        headers.append((b"content-type", content_type))
    held = decode(body, headers)[side]
    assert held.pop(1)["data"] == [0.5]
    # Where all are empty the body is plain JSON.
    assert [tensor.get("data", []) for tensor in held] == [values for _, values in found]


def test_brain_floats_are_the_upper_half_of_a_float():
    body, size = request([("BF16", [1.1])])
    headers = [(b"inference-header-content-length", str(size).encode())]
    assert decode(body, headers)["inputs"][0]["data"] == [struct.unpack("<f", b"\0\0\x8c?")[0]]


def test_bytes_that_are_blanks_of_json_are_values():
    body, size = request([("UINT8", [32, 10])])
    headers = [(b"inference-header-content-length", str(size).encode())]
    assert decode(body, headers)["inputs"][0]["data"] == [32, 10]


@pytest.mark.parametrize("datatype", ["INT32", "STRING", "BYTES", None, []])
def test_a_tensor_that_cannot_be_read_has_no_data_and_the_others_have_theirs(datatype):
    head = {
        "inputs": [
            {"datatype": datatype, "parameters": {"binary_data_size": 5}},
            {"datatype": "UINT8", "parameters": {"binary_data_size": 1}},
        ]
    }
    text = json.dumps(head).encode()
    headers = [(b"inference-header-content-length", str(len(text)).encode())]
    first, second = decode(text + b"\xff\xff\xff\xff\xff\x07", headers)["inputs"]
    assert "data" not in first
    assert second["data"] == [7]


@pytest.mark.parametrize("size", [b"0", b"-1", b"x", b"99999", b"2", b"\xff"])
def test_a_head_of_the_wrong_size_is_refused(size):
    body, _ = request([("FP32", [1.0])])
    assert refusal(body, [(b"inference-header-content-length", size)]) == Reason.UNREADABLE


@pytest.mark.parametrize("length", [8, -1, "4", 2**70, True])
def test_tensors_longer_than_the_body_are_refused(length):
    head = {"inputs": [{"datatype": "FP32", "parameters": {"binary_data_size": length}}]}
    text = json.dumps(head).encode()
    headers = [(b"inference-header-content-length", str(len(text)).encode())]
    assert refusal(text + b"\0" * 4, headers) == Reason.UNREADABLE
