"""Between Arrow's lists of int32 and NumPy, without a Python object for a row or a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

_MOST_VALUES = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Lists:
    """Lists as flat values and where each begins in them.

    `values` is (V,) int32; `starts` and `lengths` are (B,) int64.
    """

    values: np.ndarray[Any, Any]
    starts: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]


def lists_of(array: pa.ListArray) -> Lists:
    """Look at a list<int32> array, sliced or not, without copying its values.

    Raises ValueError for nulls, of rows or in them, and for other types.
    """
    if not pa.types.is_list(array.type) or array.type.value_type != pa.int32():
        raise ValueError(f"token ids must be list<int32>, not {array.type}")
    values = array.flatten()  # what a slice shows, from 0
    if array.null_count or values.null_count:
        raise ValueError("token ids must not be null")
    offsets = array.offsets.to_numpy().astype(np.int64)
    return Lists(values.to_numpy(), offsets[:-1] - offsets[0], np.diff(offsets))


def list_array(values: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> pa.ListArray:
    """Return consecutive lists of these lengths; ValueError where int32 offsets do not reach."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > _MOST_VALUES:
        raise ValueError(f"{offsets[-1]:,} tokens are more than an array takes; pass fewer rows")
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), pa.array(values.astype(np.int32, copy=False))
    )


def ranges(starts: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return `starts[i], starts[i] + 1, ...`, `lengths[i]` of them, one row after another."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    shift: np.ndarray[Any, Any] = np.repeat(starts - (ends - lengths), lengths)
    return shift + np.arange(total)
