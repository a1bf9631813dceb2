"""What a program hands over to be embedded: texts, pairs, ids or a table, as one table of rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.constants import SEGMENT_COLUMN, TEXT_COLUMN, TOKEN_COLUMN
from fnet_cli.encoding.rows import is_id_list
from fnet_cli.encoding.texts import is_text
from fnet_cli.errors import InputDataError
from fnet_cli.tokenizer.texts import text_array

PAIR_COLUMN = "pair"
# What rows are called in messages.
_TEXTS, _IDS = "texts", "token_ids"


@dataclass(frozen=True)
class Values:
    """Rows under a name for messages. With `columns` of text, one or two, they are no ids."""

    name: str
    table: pa.Table
    columns: tuple[str, ...] = ()


def as_values(inputs: Any, segment_ids: Any = None) -> Values:
    """Return texts, pairs of texts or lists of ids as a table of the columns that are usual.

    `inputs` is a list, a NumPy or Arrow array, or a pandas Series; ids may be an array (N, S).
    Raises TypeError for anything else, and InputDataError for values that Arrow cannot hold.
    """
    if isinstance(inputs, (pa.Array, pa.ChunkedArray)):
        array = inputs
    elif isinstance(inputs, np.ndarray) and inputs.ndim == 2:
        array = _id_lists(inputs)
    elif is_of_pandas(inputs, "Series"):
        array = pa.array(inputs, from_pandas=True)
    elif isinstance(inputs, Sequence | np.ndarray) and not isinstance(inputs, bytes):
        return _of_sequence(list(inputs), segment_ids)
    else:
        raise TypeError(f"texts, token ids or a table are needed, not {type(inputs).__name__}")
    if is_text(array.type):
        _refuse_segments(segment_ids)
        return Values(_TEXTS, pa.table({TEXT_COLUMN: array}), (TEXT_COLUMN,))
    if not is_id_list(array.type):
        raise TypeError(f"texts or lists of integers are needed, not {array.type}")
    return _ids(array, segment_ids)


def is_of_pandas(value: object, kind: str) -> bool:
    """Whether `value` is a DataFrame, or a Series, of pandas, which need not be installed."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))


def _of_sequence(rows: list[Any], segment_ids: Any) -> Values:
    known = next((row for row in rows if row is not None), "")
    if isinstance(known, str):
        _refuse_segments(segment_ids)
        return Values(_TEXTS, pa.table({TEXT_COLUMN: _text_column(rows)}), (TEXT_COLUMN,))
    if _is_pair(known):
        _refuse_segments(segment_ids)
        other = next((at for at, row in enumerate(rows) if not _is_pair(row)), None)
        if other is not None:
            raise TypeError(f"row {other} is no pair of texts, as row 0 is")
        columns = {
            name: _text_column([row[side] for row in rows])
            for side, name in enumerate((TEXT_COLUMN, PAIR_COLUMN))
        }
        return Values(_TEXTS, pa.table(columns), (TEXT_COLUMN, PAIR_COLUMN))
    return _ids(_id_lists(rows), segment_ids)


def _is_pair(row: object) -> bool:
    return isinstance(row, tuple | list) and len(row) == 2 and all(isinstance(t, str) for t in row)


def _text_column(texts: list[str | None]) -> pa.Array | pa.ChunkedArray:
    null = [text is None for text in texts]
    strings = text_array([text if text is not None else "" for text in texts])
    return pc.if_else(pa.array(null), None, strings) if any(null) else strings


def _ids(array: pa.Array | pa.ChunkedArray, segment_ids: Any) -> Values:
    columns = {TOKEN_COLUMN: array}
    if segment_ids is not None:
        is_arrow = isinstance(segment_ids, (pa.Array, pa.ChunkedArray))
        columns[SEGMENT_COLUMN] = segment_ids if is_arrow else _id_lists(segment_ids)
        if len(columns[SEGMENT_COLUMN]) != len(array):
            raise InputDataError(
                f"there are {len(array):,} rows of token ids, and "
                f"{len(columns[SEGMENT_COLUMN]):,} of segment ids"
            )
    return Values(_IDS, pa.table(columns))


def _id_lists(rows: Any) -> pa.Array:
    """Return rows of integers, a list of such or an array (N, S), as lists of Arrow."""
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        if not np.issubdtype(rows.dtype, np.integer):
            raise TypeError(f"token ids are integers, not {rows.dtype}")
        ends = np.arange(rows.shape[0] + 1) * rows.shape[1]
        return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), pa.array(rows.ravel()))
    for at, row in enumerate(rows):
        is_row = row is None or (isinstance(row, Sequence | np.ndarray) and not _is_str(row))
        if not is_row:
            raise TypeError(f"row {at} is no list of token ids but {type(row).__name__}")
    try:
        return pa.array(rows, pa.list_(pa.int64()))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise InputDataError(f"token ids are lists of integers: {error}") from error


def _is_str(row: object) -> bool:
    return isinstance(row, str | bytes)


def _refuse_segments(segment_ids: Any) -> None:
    if segment_ids is not None:
        raise TypeError("segment_ids are of token ids: those of texts are made with them")
