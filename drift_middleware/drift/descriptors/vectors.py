"""Vectors: embeddings, probabilities of classes, images as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self, overload

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from drift_middleware.drift.descriptors import Part

Vectors = NDArray[np.float32]
Known = NDArray[np.bool_]

# What numpy and msgspec raise for a list that is no vector, or is nested too deep to be one.
NO_VECTOR = (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError)
MOST_CENTERS = 8
# Half a baseline's rows for each centre, or it would stand for an outlier.
ROWS_PER_CENTER = 20
# Rows that are learned from, and numbers in all centres together: an image has many.
MOST_ROWS, MOST_NUMBERS = 5_000, 2**19
# Sums of rounded or float32 probabilities.
TOLERANCE = 1e-3
# What is said of vectors is rounded: the norm of normalised ones is 1 and noise, which differs
# between servers.  Bits of a norm's mantissa, and decimals.
NORM_BITS, DECIMALS = 11, 4


class Vector(Struct, frozen=True, forbid_unknown_fields=True, dict=True, tag="vector"):
    """Where a vector lies among the baseline's; or how a model's probabilities are spread.

    An embedding has a norm, the cosine of its angle to the baseline's mean, and the nearest of up
    to eight centres (named by size, "1" is that of most rows).  Vectors that all were shares of a
    whole have the index of the largest, its share, and the entropy in bits.
    """

    width: int
    "numbers in a vector, nested ones one after the other"
    centroid: bytes = b""
    "(width,) float32, little-endian, mean of the baseline's; none for probabilities"
    centers: bytes = b""
    "(centers, width) float32, little-endian, less the centroid"

    is_nested = True

    @classmethod
    def learn(cls, values: Sequence[Any], rng: np.random.Generator) -> Self:
        """Learn from one half of the baseline; what is `learned` is to be cut on the other.

        Centres are of the numbers as they are (k-means++, Arthur and Vassilvitskii 2007): those of
        an embedding are of one scale, and scaled ones would give noise its weight.
        """
        if len(values) > MOST_ROWS:
            values = [values[i] for i in rng.choice(len(values), MOST_ROWS, replace=False)]
        x = read_vectors(values)
        x = np.empty((0, 2), np.float32) if x is None else x[np.isfinite(_norms(x))]
        if _are_probabilities(x):
            return cls(x.shape[1])
        centroid = x.mean(axis=0, dtype=float) if len(x) else np.zeros(x.shape[1])
        return cls(x.shape[1], _pack(centroid), _pack(_centers(x - centroid, rng)))

    @property
    def of_probabilities(self) -> bool:
        """Whether all of the baseline's vectors were shares of a whole."""
        return not self.centroid

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `describe` gives, in order."""
        if self.of_probabilities:
            return ("top", "confidence", "entropy")
        return ("norm", "cosine", "cluster")

    @property
    def learned(self) -> frozenset[str]:
        """Parts that depend on values of the baseline."""
        return frozenset({"cosine", "cluster"}.intersection(self.parts))

    def describe(self, values: Sequence[Any], at: Sequence[float] | None) -> dict[str, Part]:  # noqa: ARG002  # as every descriptor
        """Describe vectors; one of another width or with a missing number has no parts."""
        x = read_vectors(values, self.width)
        with np.errstate(all="ignore"):  # of what is not finite: it comes out as NaN
            return _spread(x) if self.of_probabilities else self._place(x)

    def _place(self, x: Vectors) -> dict[str, Part]:
        norm = _norms(x).astype(float)
        directions, half_squares = self._directions
        # Not `@`: BLAS shares so large a product among threads, which wait for each other on a busy
        # server (28 us a row became 94); this costs 1 us, and is the same in every batch.
        products = np.einsum("rw,dw->rd", x, directions)
        cosine = np.round(products[:, 0] / norm, DECIMALS)
        # The nearest centre, without the square of x, which is the same for all.
        nearest = np.argmax(products[:, 1:] - half_squares, axis=1)
        return {
            "norm": _round_to_bits(norm),
            "cosine": cosine,
            "cluster": _names(nearest + 1, np.isfinite(norm)),
        }

    @cached_property
    def _directions(self) -> tuple[Vectors, Vectors]:
        """Give (1 + centers, width), of unit length the first, and (centers,) what to subtract."""
        centroid = _unpack(self.centroid, 1, self.width)
        centers = _unpack(self.centers, -1, self.width)
        unit = centroid / np.float32(np.linalg.norm(centroid) or 1)
        half_squares = (centers * (centers / 2 + centroid)).sum(axis=1)
        return np.concatenate([unit, centers]), half_squares


def _spread(x: Vectors) -> dict[str, Part]:
    """Tell the largest of each vector's probabilities, and how even they are."""
    confidence = x.max(axis=1)
    p = np.maximum(x, 0)
    entropy = -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=1, dtype=float)
    return {
        "top": _names(np.argmax(x, axis=1), ~np.isnan(confidence)),
        "confidence": np.round(confidence.astype(float), 2 * DECIMALS - 2),
        "entropy": np.round(entropy, DECIMALS) + 0.0,
    }


@overload
def read_vectors(values: Sequence[Any], width: int) -> Vectors: ...
@overload
def read_vectors(values: Sequence[Any], width: None = None) -> Vectors | None: ...
def read_vectors(values: Sequence[Any], width: int | None = None) -> Vectors | None:
    """Read a column of vectors; never raises, whatever its values are.

    Parameters
    ----------
    values : (rows,)
        Lists or arrays of numbers, nested or not, or lists that were written as JSON.
    width
        Numbers in a vector; None to learn it.

    Returns
    -------
    (rows, width) float32, or None
        A row of NaN where a value is no such vector.  None, if no width is given, where most of
        the values that are not missing are no vectors of one width, of 2 at least.
    """
    whole = _read_at_once(values)
    if whole is not None and width in (None, whole.shape[1]):
        return whole if whole.shape[1] > 1 else None
    each = [] if whole is not None else [_read(value) for value in values]
    if width is None:
        present = sum(value is not None for value in values)
        width = _usual_width(each, present)
        if width is None:
            return None
    x = np.full((len(values), width), np.nan, np.float32)
    for i, vector in enumerate(each):
        if vector is not None and len(vector) == width:
            x[i] = vector
    return x


def _read_at_once(values: Sequence[Any]) -> Vectors | None:
    """Read vectors of one width; None if anything else is among them."""
    try:
        with np.errstate(over="ignore"):
            x = np.array(values, np.float32)
    except NO_VECTOR:
        return None
    return x.reshape(len(x), -1) if x.ndim > 1 and x.size else None


def _read(value: Any) -> Vectors | None:
    """Read one vector, flat; None if it is none."""
    try:
        if isinstance(value, str) and value.lstrip().startswith("["):
            value = msgspec.json.decode(value)
        if not isinstance(value, list | tuple | np.ndarray):
            return None
        with np.errstate(over="ignore"):
            return np.array(_as_lists(value), np.float32).ravel()
    except NO_VECTOR:
        return None


def _as_lists(value: Any) -> Any:
    """Unwrap arrays of arrays, which is how Parquet nests."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return [_as_lists(inner) for inner in value]
    return value


def _usual_width(each: list[Vectors | None], present: int) -> int | None:
    widths = Counter(len(vector) for vector in each if vector is not None)
    for width, rows in widths.most_common(1):
        if width > 1 and 2 * rows > present:
            return width
    return None


def _are_probabilities(x: Vectors) -> bool:
    sums = np.abs(x.sum(axis=1, dtype=float) - 1)
    return len(x) > 0 and bool((x >= 0).all() and (sums <= TOLERANCE).all())


def _centers(x: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """Find centres (centers, width) of vectors (rows, width) whose mean is 0, the largest first."""
    from scipy.cluster.vq import ClusterError, kmeans2

    rows, width = x.shape
    most = min(MOST_CENTERS, rows // ROWS_PER_CENTER, MOST_NUMBERS // width)
    if most > 1:
        most = min(most, len(np.unique(x, axis=0)))
    for number in range(most, 1, -1):
        try:
            centers, labels = kmeans2(x, number, minit="++", seed=rng, missing="raise")
        except ClusterError:  # a centre without rows: there are fewer
            continue
        found: NDArray[np.floating[Any]] = centers
        return found[np.argsort(-np.bincount(labels, minlength=number), kind="stable")]
    return np.zeros((1, width))


def _norms(x: Vectors) -> Vectors:
    with np.errstate(over="ignore", invalid="ignore"):
        norms: Vectors = np.sqrt(np.einsum("ij,ij->i", x, x))
    return norms


def _round_to_bits(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the same relative precision everywhere."""
    mantissa, exponent = np.frexp(x)
    rounded: NDArray[np.float64] = np.ldexp(np.round(mantissa * 2**NORM_BITS), exponent - NORM_BITS)
    return rounded


def _names(numbers: NDArray[np.intp], known: Known) -> list[str | None]:
    pairs = zip(numbers.tolist(), known.tolist(), strict=True)
    return [str(number) if is_known else None for number, is_known in pairs]


def _pack(array: NDArray[np.floating[Any]]) -> bytes:
    return array.astype("<f4").tobytes()


def _unpack(data: bytes, *shape: int) -> Vectors:
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)
