"""Vectors counted and measured while they come, batch by batch, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# How far from 1 the length of a normalised vector may be, for rounding to its number type. JSON
# lines are read as float64, and do not say what they were written from.
_ROUNDING = {"float16": 5e-3, "float32": 1e-4, "float64": 5e-3}
_NUMBER_TYPES = {"halffloat": "float16", "float": "float32", "double": "float64"}
# Lengths are computed in float64, of this many numbers at a time.
_NUMBERS_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class VectorType:
    """What a column of vectors is; `dimension` is None where its type does not say."""

    number_type: str
    by_token: bool
    dimension: int | None


def vector_type(kind: pa.DataType) -> VectorType | None:
    """Return what vectors a column of this type has, or None where it has none.

    They are lists of floating-point numbers, or, with a vector a token, lists of those.
    """
    if not _is_list(kind):
        return None
    by_token = _is_list(kind.value_type)
    vector = kind.value_type if by_token else kind
    number_type = _NUMBER_TYPES.get(str(vector.value_type))
    dimension = vector.list_size if pa.types.is_fixed_size_list(vector) else None
    if number_type is None or dimension == 0:
        return None
    return VectorType(number_type, by_token, dimension)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    )


@dataclass
class Tally:
    """How many there are, and the number of the row of the first."""

    count: int = 0
    first: int | None = None

    def add(self, numbers: np.ndarray) -> None:
        """Count further ones, by the numbers of their rows."""
        if len(numbers):
            self.count += len(numbers)
            first = int(numbers.min())
            self.first = first if self.first is None else min(first, self.first)


class VectorMeasures:
    """What the vectors of a column are, as far as they have come.

    `vectors` counts those that are there, whatever they hold. `null` has those that are not, or
    have a null in them; `other_length` those whose length is neither 1 nor 0, rounding aside.
    """

    def __init__(self, kind: VectorType) -> None:
        self.kind = kind
        self.dimension = kind.dimension
        self.vectors = 0
        self.null, self.other_dimension, self.non_finite = Tally(), Tally(), Tally()
        self.zero, self.other_length = Tally(), Tally()
        self._measured, self._mean = 0, 0.0
        self._smallest, self._largest = math.inf, -math.inf

    def add(self, array: pa.Array, numbers: np.ndarray, without: Sequence[int] = ()) -> None:
        """Take in rows, (B,), with their numbers, all but those at the indices `without`."""
        if without:
            kept = np.ones(len(array), bool)
            kept[list(without)] = False
            array, numbers = array.filter(pa.array(kept)), numbers[kept]
        array, numbers = self._present(array, numbers)
        if self.kind.by_token:
            numbers = np.repeat(numbers, pc.list_value_length(array).to_numpy())
            array, numbers = self._present(array.flatten(), numbers)
        self.vectors += len(array)
        array, numbers = self._of_one_dimension(array, numbers)
        step = max(1, _NUMBERS_AT_A_TIME // (self.dimension or 1))
        for start in range(0, len(array), step):
            self._measure(array.slice(start, step), numbers[start : start + step])

    def lengths(self) -> tuple[float, float, float] | tuple[None, None, None]:
        """Return the least, the mean and the most, or None for each where there was none."""
        if not self._measured:
            return None, None, None
        return self._smallest, self._mean, self._largest

    def _present(self, array: pa.Array, numbers: np.ndarray) -> tuple[pa.Array, np.ndarray]:
        if not array.null_count:
            return array, numbers
        null = array.is_null().to_numpy(zero_copy_only=False)
        self.null.add(numbers[null])
        return array.drop_null(), numbers[~null]

    def _of_one_dimension(
        self, array: pa.Array, numbers: np.ndarray
    ) -> tuple[pa.Array, np.ndarray]:
        """Return the vectors that are of the dimension of the first one with numbers."""
        if self.kind.dimension is not None or not len(array):
            return array, numbers
        sizes = pc.list_value_length(array).to_numpy()
        if self.dimension is None and sizes.any():
            self.dimension = int(sizes[sizes > 0][0])
        fits = sizes == (self.dimension or -1)
        if fits.all():
            return array, numbers
        self.other_dimension.add(numbers[~fits])
        return array.filter(pa.array(fits)), numbers[fits]

    def _measure(self, array: pa.Array, numbers: np.ndarray) -> None:
        flat = array.flatten()
        vectors = flat.to_numpy(zero_copy_only=False).reshape(len(array), -1)  # (N, H)
        if flat.null_count:
            gaps = flat.is_null().to_numpy(zero_copy_only=False).reshape(vectors.shape).any(axis=1)
            self.null.add(numbers[gaps])
            vectors, numbers = vectors[~gaps], numbers[~gaps]
        finite = np.isfinite(vectors).all(axis=1)
        self.non_finite.add(numbers[~finite])
        vectors, numbers = vectors[finite], numbers[finite]
        zero = ~vectors.any(axis=1)
        self.zero.add(numbers[zero])
        lengths = lengths_of(vectors)
        away = np.abs(lengths - 1) > _ROUNDING[self.kind.number_type]
        self.other_length.add(numbers[away & ~zero])
        self._sum_up(lengths)

    def _sum_up(self, lengths: np.ndarray) -> None:
        if not len(lengths):
            return
        self._measured += len(lengths)
        # A sum of lengths could pass the largest number; a mean cannot.
        mean = float((lengths / len(lengths)).sum())
        self._mean += (mean - self._mean) * (len(lengths) / self._measured)
        self._smallest = min(self._smallest, float(lengths.min()))
        self._largest = max(self._largest, float(lengths.max()))


def lengths_of(vectors: np.ndarray) -> np.ndarray:
    """Return the length of each finite vector, (N,) float64, at most the largest number."""
    wide = vectors.astype(np.float64)
    scale = np.ones(len(wide))
    if vectors.dtype == np.float64:  # squares of narrower numbers always fit
        scale = np.abs(wide).max(axis=1, initial=0)
        scale[scale == 0] = 1
        wide /= scale[:, None]
    with np.errstate(over="ignore"):
        lengths = scale * np.sqrt(np.einsum("nh,nh->n", wide, wide))
    limited: np.ndarray = np.minimum(lengths, np.finfo(np.float64).max)
    return limited
