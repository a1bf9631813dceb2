"""From Arrow list columns to checked token ids, without a Python loop over rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.encoding.readers.base import FaultyRowsError, RowBatch


@dataclass(frozen=True)
class TokenRows:
    """Rows of different lengths, end to end.

    `values` (N,) int32 holds the ids; row r is `values[starts[r] : starts[r] + lengths[r]]`.
    """

    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class IdColumn:
    """A column of id lists: its name, and the bound that every id must be under.

    `bound_name` is what the bound is, for messages.
    """

    name: str
    bound: int
    bound_name: str


def is_id_list(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold ids: a list of any integers, or of nothing yet."""
    if pa.types.is_null(kind):
        return True
    lists = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    if not any(check(kind) for check in lists):
        return False
    value = kind.value_type
    return bool(pa.types.is_integer(value) or pa.types.is_null(value))


def read_ids(rows: RowBatch, column: IdColumn) -> TokenRows:
    """Return the lists of `column`, every id checked.

    Raises FaultyRowsError for the rows that are null, empty, or hold a null or an id outside
    [0, bound).
    """
    array = rows.batch.column(column.name)
    if pa.types.is_null(array.type):
        array = array.cast(pa.list_(pa.int32()))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    lengths = lengths.astype(np.int64)
    values = array.flatten()
    if pa.types.is_null(values.type):  # lists of nothing but nulls
        values = values.cast(pa.int32())
    ends = np.cumsum(lengths)
    faults: dict[int, str] = {}
    for row, message in _faults(array, ends, values, column):
        faults.setdefault(row, f"column {column.name}: {message}")
    if faults:
        raise FaultyRowsError(rows, faults)
    ids = values.cast(pa.int32()).to_numpy(zero_copy_only=False)
    return TokenRows(ids, ends - lengths, lengths)


def _faults(
    array: pa.Array, ends: np.ndarray, values: pa.Array, column: IdColumn
) -> Iterator[tuple[int, str]]:
    """Yield the rows that cannot be used, and why; a row may come twice."""
    null = array.is_null().to_numpy(zero_copy_only=False)
    yield from ((row, "the list is null") for row in np.flatnonzero(null).tolist())
    empty = (np.diff(ends, prepend=0) == 0) & ~null
    yield from ((row, "the list is empty") for row in np.flatnonzero(empty).tolist())
    present = values
    if values.null_count:
        at = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
        yield from ((row, "the list holds a null") for row in _rows_of(at, ends)[0].tolist())
        present = pc.fill_null(values, 0)
    numbers = present.to_numpy(zero_copy_only=False)
    # Signed and unsigned types of every width compare with a Python int without overflow.
    wrong = np.flatnonzero((numbers < 0) | (numbers >= column.bound))
    rows, first = _rows_of(wrong, ends)
    for row, number in zip(rows.tolist(), numbers[wrong[first]].tolist(), strict=True):
        yield (
            row,
            f"id {number} is not in 0..{column.bound - 1} ({column.bound_name} is {column.bound})",
        )


def _rows_of(indices: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that the values at `indices` are of, and where in it is the first of each."""
    return np.unique(np.searchsorted(ends, indices, side="right"), return_index=True)


def check_same_lengths(
    rows: RowBatch, tokens: TokenRows, segments: TokenRows, names: tuple[str, str]
) -> None:
    """Raise FaultyRowsError for the rows whose segments do not match their tokens."""
    differ = np.flatnonzero(tokens.lengths != segments.lengths).tolist()
    if differ:
        raise FaultyRowsError(
            rows,
            {
                row: f"{names[0]} has {tokens.lengths[row]} ids, "
                f"{names[1]} has {segments.lengths[row]}"
                for row in differ
            },
        )


def check_not_longer(rows: RowBatch, lengths: np.ndarray, limit: int, name: str) -> None:
    """Raise FaultyRowsError for the rows with more than `limit` tokens."""
    longer = np.flatnonzero(lengths > limit).tolist()
    if longer:
        raise FaultyRowsError(
            rows,
            {
                row: f"column {name}: {lengths[row]} tokens, over the sequence length of {limit}"
                for row in longer
            },
            hint="--truncate right cuts such rows",
        )
