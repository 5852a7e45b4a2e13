"""Arrays as bytes: npy, and the binary tensors of the Open Inference Protocol."""

from __future__ import annotations

import ast
import math
import struct
from contextlib import suppress
from typing import Any

import numpy as np

from drift_middleware.capture.bodies import Grid
from drift_middleware.capture.codecs.declared import Declared
from drift_middleware.capture.codecs.documents import fast_json
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import bounded

MOST_HEAD = 10_000
MOST_TEXTS = 50_000
NPY = b"\x93NUMPY"
# Kinds of dtype: no objects, which only pickle could read, no complex numbers, no time spans.
KINDS = frozenset("biufSUM")

# https://github.com/kserve/open-inference-protocol: little endian, rows first.
DATATYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "BF16": "<u2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def read_npy(body: bytes, _said: Declared) -> Grid:
    """Decode an array; its first dimension is the rows."""
    if not body.startswith(NPY):
        raise SkipError(Reason.UNREADABLE)
    size = struct.Struct("<H" if body[6] == 1 else "<I")
    start = 8 + size.size
    (length,) = size.unpack_from(body, 8)
    if body[6] not in {1, 2, 3} or length > MOST_HEAD:
        raise SkipError(Reason.UNREADABLE)
    encoding = "utf-8" if body[6] == 3 else "latin-1"
    head = ast.literal_eval(body[start : start + length].decode(encoding).strip())
    array = _array(body, start + length, head)
    if array.dtype.names is None:
        return Grid(None, _values(array))
    columns = [_values(array[name]) for name in array.dtype.names]
    return Grid(list(array.dtype.names), [list(row) for row in zip(*columns, strict=True)])


def _array(body: bytes, start: int, head: dict[str, Any]) -> np.ndarray[Any, Any]:
    dtype = np.lib.format.descr_to_dtype(head["descr"])
    shape = head["shape"] or (1,)
    count = math.prod(shape)
    # An empty array may still have a billion rows, and values of no bytes.
    if not all(map(_is_plain, _parts(dtype))) or min(shape) < 1:
        raise SkipError(Reason.UNREADABLE)
    if dtype.names is not None and len(shape) != 1:
        raise SkipError(Reason.UNREADABLE)
    bounded(math.prod(shape[:-1]))
    array: np.ndarray[Any, Any] = np.frombuffer(body, dtype, count, start)
    return array.reshape(shape, order="F" if head["fortran_order"] else "C")


def _parts(dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    return [dtype] if dtype.fields is None else [dtype[name] for name in dtype.names or ()]


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in KINDS and dtype.itemsize > 0 and dtype.subdtype is None


def _values(array: np.ndarray[Any, Any]) -> list[Any]:
    kind = array.dtype.kind
    if kind in "SM" and array.size > MOST_TEXTS:
        raise SkipError(Reason.TRUNCATED)
    if kind == "M":
        array = np.datetime_as_string(array)
    elif kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    elif kind == "U":
        native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
        points = native.view(np.uint32)
        # Halves of surrogate pairs are no text, and no database takes them.
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise SkipError(Reason.UNREADABLE)
    elif kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    values: list[Any] = array.tolist()
    return values


def read_open_inference(body: bytes, said: Declared) -> dict[str, Any]:
    """Decode the JSON head, and put each tensor's values where JSON has them."""
    size = int(said.head)
    if not 0 < size <= len(body):
        raise SkipError(Reason.UNREADABLE)
    head: dict[str, Any] = fast_json(body[:size])
    for tensor in [*head.get("inputs", ()), *head.get("outputs", ())]:
        length = (tensor.get("parameters") or {}).get("binary_data_size")
        if length is None:
            continue
        if type(length) is not int or not 0 <= length <= len(body) - size:
            raise SkipError(Reason.UNREADABLE)
        with suppress(ValueError):  # the other tensors are well
            tensor["data"] = _tensor(tensor.get("datatype"), body[size : size + length])
        size += length
    return head


def _tensor(datatype: Any, data: bytes) -> list[Any]:
    if datatype == "BYTES":
        return _texts(data)
    if type(datatype) is not str or datatype not in DATATYPES:
        raise ValueError(datatype)
    if not data:
        return []
    array = np.frombuffer(data, DATATYPES[datatype])
    if datatype == "BF16":
        # The upper half of a float32.
        array = (array.astype(np.uint32) << 16).view(np.float32)
    values: list[Any] = array.tolist()
    return values


def _texts(data: bytes) -> list[str | bytes]:
    found: list[str | bytes] = []
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        if end > len(data) or len(found) == MOST_TEXTS:
            raise ValueError(end)
        text = data[start + 4 : end]
        try:
            found.append(text.decode())
        except ValueError:
            found.append(text)
        start = end
    return found
