"""How counts are written into the history: as small as they are, and quick to add up again.

A check of 25 signals takes 0.75 KB for its sums and 1.5 KB for its slices.  The sums could be had
from the slices, but a window adds up thousands of checks, and to unpack slices takes ten times as
long.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import DecodeError, msgpack
from numpy.typing import NDArray

from drift_middleware.schemas import Role

Counts = NDArray[np.integer[Any]]
Parts = tuple[int, bytes, dict[str, Role]]
SIZES = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
# Of all levels the quickest; the others save less than a tenth.
QUICK = 1


def pack(counts: Counts) -> bytes:
    """Write counts (n,), none negative, as integers of the fewest bytes that hold the largest."""
    kind = np.min_scalar_type(int(counts.max(initial=0)))
    return bytes([kind.itemsize]) + counts.astype(kind.newbyteorder("<")).tobytes()


def unpack(data: bytes) -> Counts:
    """Read what `pack` wrote.  Raises DecodeError if it is anything else."""
    try:
        counts: Counts = np.frombuffer(data, SIZES[data[0]], offset=1)
    except (LookupError, ValueError) as error:
        raise DecodeError("the counts of a check are damaged") from error
    return counts


def pack_slices(slices: Counts, captured: Mapping[str, Role]) -> bytes:
    """Write the counts (slices, n) of a check, and the columns that were captured by then."""
    # A place's slices side by side: they are alike, and compress better.
    parts = (len(slices), pack(slices.T.ravel()), captured)
    return zlib.compress(msgpack.encode(parts), QUICK)


def unpack_slices(data: bytes) -> tuple[Counts, dict[str, Role]]:
    """Read what `pack_slices` wrote.  Raises DecodeError if it is anything else."""
    try:
        slices, counts, captured = msgpack.decode(zlib.decompress(data), type=Parts)
        return unpack(counts).reshape(-1, slices).T, captured
    except (zlib.error, ValueError) as error:  # of msgspec, too
        raise DecodeError("the slices of a check are damaged") from error
