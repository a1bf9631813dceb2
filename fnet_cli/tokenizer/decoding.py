"""Ids back to text."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from fnet_cli.errors import InputDataError
from fnet_cli.tokenizer.special import SpecialIds


def decode(
    processor: Any, special: SpecialIds, inputs: Any, *, skip_special: bool
) -> str | list[str]:
    """Return the text of `inputs`, a row of ids or several, without or with special pieces.

    `processor` is sentencepiece's. Raises InputDataError for an id that the vocabulary does not
    have, and TypeError for what is no whole number.
    """
    many = _has_rows(inputs)
    if isinstance(inputs, pa.Array | pa.ChunkedArray):
        inputs = inputs.to_pylist()
    rows = [_checked(row, special, at) for at, row in enumerate(inputs if many else [inputs])]
    if skip_special:
        kept = [[id for id in row if id not in special.never_text] for row in rows]
        texts: list[str] = processor.decode(kept, num_threads=1) if kept else []
    else:
        texts = [_with_special(processor, special, row) for row in rows]
    return texts if many else texts[0]


def _has_rows(inputs: Any) -> bool:
    """Tell rows of ids from a row of them; a plain empty list is a row."""
    if isinstance(inputs, pa.Array | pa.ChunkedArray):
        return bool(pa.types.is_nested(inputs.type))
    if isinstance(inputs, np.ndarray):
        return inputs.ndim > 1
    return len(inputs) > 0 and np.ndim(inputs[0]) > 0


def _checked(row: Any, special: SpecialIds, at: int) -> list[int]:
    ids = np.asarray(row)
    if not ids.size:
        return []
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise TypeError(f"row {at} is no list of whole numbers")
    bad = np.flatnonzero((ids < 0) | (ids >= special.vocabulary_size))
    if bad.size:
        raise InputDataError(
            f"row {at}: id {ids[bad[0]]} at index {bad[0]} is not in "
            f"[0, {special.vocabulary_size - 1}], the ids of the vocabulary"
        )
    checked: list[int] = ids.tolist()
    return checked


def _with_special(processor: Any, special: SpecialIds, row: list[int]) -> str:
    words: list[str] = []
    for is_special, run in groupby(row, special.never_text.__contains__):
        ids = list(run)
        words += map(processor.id_to_piece, ids) if is_special else [processor.decode(ids)]
    return " ".join(words)
