"""From Arrow list columns to checked token ids, without a Python loop over rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.encoding.readers.base import RowBatch
from fnet_cli.errors import InputDataError


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

    Raises InputDataError naming the first row that is null, empty, or holds a null or an id
    outside [0, bound).
    """
    array = rows.batch.column(column.name)
    if pa.types.is_null(array.type):
        array = array.cast(pa.list_(pa.int32()))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    lengths = lengths.astype(np.int64)
    values = array.flatten()
    ends = np.cumsum(lengths)
    faults = [fault for fault in _faults(array, lengths, values, column) if fault is not None]
    if faults:
        row, message = min(_by_row(faults, ends))
        raise InputDataError(f"{rows.where(row)}: column {column.name}: {message}")
    ids = values.cast(pa.int32()).to_numpy(zero_copy_only=False)
    return TokenRows(ids, ends - lengths, lengths)


@dataclass(frozen=True)
class _Fault:
    """Something wrong at `index`, which counts rows, or values where `in_values`."""

    index: int
    message: str
    in_values: bool = False


def _faults(
    array: pa.Array, lengths: np.ndarray, values: pa.Array, column: IdColumn
) -> Iterator[_Fault | None]:
    """Yield the first fault of each kind."""
    null = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if null is not None:
        yield _first(null, "the list is null")
    empty = lengths == 0
    yield _first(empty if null is None else empty & ~null, "the list is empty")
    present = values
    if values.null_count:
        yield _first(
            values.is_null().to_numpy(zero_copy_only=False), "the list holds a null", in_values=True
        )
        present = pc.fill_null(values, 0)
    numbers = present.to_numpy(zero_copy_only=False)
    if not len(numbers):
        return
    # Signed and unsigned types of every width compare with a Python int without overflow.
    wrong = (numbers < 0) | (numbers >= column.bound)
    if wrong.any():
        index = int(wrong.argmax())
        yield _Fault(
            index,
            f"id {numbers[index]} is not in 0..{column.bound - 1} ({column.bound_name} is "
            f"{column.bound})",
            in_values=True,
        )


def _first(mask: np.ndarray, message: str, *, in_values: bool = False) -> _Fault | None:
    return _Fault(int(mask.argmax()), message, in_values) if mask.any() else None


def _by_row(faults: list[_Fault], ends: np.ndarray) -> list[tuple[int, str]]:
    return [
        (
            int(np.searchsorted(ends, fault.index, side="right"))
            if fault.in_values
            else fault.index,
            fault.message,
        )
        for fault in faults
    ]


def check_same_lengths(
    rows: RowBatch, tokens: TokenRows, segments: TokenRows, names: tuple[str, str]
) -> None:
    """Raise InputDataError naming the first row whose segments do not match its tokens."""
    differ = tokens.lengths != segments.lengths
    if differ.any():
        row = int(differ.argmax())
        raise InputDataError(
            f"{rows.where(row)}: {names[0]} has {tokens.lengths[row]} ids, "
            f"{names[1]} has {segments.lengths[row]}"
        )


def check_not_longer(rows: RowBatch, lengths: np.ndarray, limit: int, name: str) -> None:
    """Raise InputDataError naming the first row with more than `limit` tokens."""
    longer = lengths > limit
    if longer.any():
        row = int(longer.argmax())
        raise InputDataError(
            f"{rows.where(row)}: column {name}: {lengths[row]} tokens, over the sequence "
            f"length of {limit}",
            hint="--truncate right cuts such rows",
        )
