"""What a detector knows between two checks, and how it is written down."""

from __future__ import annotations

from typing import Any, NamedTuple, Self, TypeVar, get_args

import numpy as np
from msgspec import MsgspecError, Struct, msgpack
from msgspec.structs import asdict, astuple, replace
from numpy.typing import NDArray

from drift_middleware.drift.dependence import Dependence
from drift_middleware.drift.evidence import Bets

Record = TypeVar("Record", bound=Struct)


class Move(NamedTuple):
    """Places in one state, and where they are in another."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]


class State(
    Struct, frozen=True, eq=False, array_like=True, forbid_unknown_fields=True, weakref=True
):
    """About 2 KB for an ordered signal.

    All rows in it are effective rows: discounted for serial dependence.
    """

    check: int
    "checks so far"
    urn: NDArray[np.float64]
    "(cells,) baseline, and all traffic accepted as unchanged"
    bets: Bets
    dependence: Dependence
    previous: NDArray[np.float64]
    "(cells,) the last full block of recent rows"
    current: NDArray[np.float64]
    "(cells,) the block being filled"
    changed: NDArray[np.bool_]
    "(channels,) the alarm line was crossed, and the drift has not ended"
    since: NDArray[np.int64]
    "(channels,) the check in which the last change began"
    level: NDArray[np.int64]
    "(channels,) 0 none, 1 low, 2 medium, 3 high"
    calm: NDArray[np.float64]
    "(channels,) nats in favour of the baseline while changed"

    def to_bytes(self) -> bytes:
        """Encode as MessagePack; `from_bytes` gives the same state back, to the last bit."""
        return msgpack.encode(self, enc_hook=_pack)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode what `to_bytes` wrote.  Raises ValueError if it is anything else."""
        try:
            return msgpack.decode(data, type=cls, dec_hook=_unpack)
        except MsgspecError as error:
            msg = f"These {len(data)} bytes are not the state of a detector: {error}."
            raise ValueError(msg) from error

    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all arrays, in order."""
        return [array.shape for array in _arrays(self)]

    def take_over(self, old: Self, cells: Move, channels: Move) -> Self:
        """Go on where `old` was, for the cells and channels that moved here; keep the rest."""
        moves = {len(self.urn): cells, len(self.level): channels}
        return replace(_take_over(self, old, moves), check=old.check)


def _take_over(fresh: Record, old: Record, moves: dict[int, Move]) -> Record:
    fields = {}
    for name, value in asdict(fresh).items():
        was = getattr(old, name)
        if isinstance(value, Struct):
            fields[name] = _take_over(value, was, moves)
        elif isinstance(value, np.ndarray):
            # The last axis is cells or channels, and there are always more cells than channels.
            source, target = moves[value.shape[-1]]
            fields[name] = value.copy()
            fields[name][..., target] = was[..., source]
    return replace(fresh, **fields)


def _arrays(record: Struct) -> list[NDArray[Any]]:
    arrays: list[NDArray[Any]] = []
    for value in astuple(record):
        if isinstance(value, Struct):
            arrays += _arrays(value)
        elif isinstance(value, np.ndarray):
            arrays.append(value)
    return arrays


def _pack(array: NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
    return array.shape, array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _unpack(kind: type, packed: tuple[list[int], bytes]) -> NDArray[Any]:
    # The element type is the field's, NDArray[...]: it is never read from the bytes.
    (element,) = get_args(get_args(kind)[1])
    shape, data = packed
    return np.frombuffer(data, np.dtype(element).newbyteorder("<")).reshape(shape)
