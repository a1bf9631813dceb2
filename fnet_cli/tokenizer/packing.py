"""Token ids of one or two texts as the rows that FNet reads, without their padding.

`[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`; segment id 0 up to the first [SEP], 1 behind it.
Source: KerasHub's MultiSegmentPacker, which gives the same rows and pads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from fnet_cli.errors import UsageError
from fnet_cli.tokenizer.arrays import Lists, list_array, lists_of, ranges
from fnet_cli.tokenizer.special import SpecialIds
from fnet_cli.tokenizer.truncation import PairTruncate

__all__ = ["Packed", "PairTruncate", "pack", "special_tokens"]


@dataclass(frozen=True)
class Packed:
    """Rows ready to be padded: `token_ids` and `segment_ids` are list<int32> of equal lengths.

    `tokens_cut` (B,) int64 counts the tokens of each row's texts that did not fit.
    """

    token_ids: pa.ListArray
    segment_ids: pa.ListArray
    tokens_cut: np.ndarray[Any, Any]


def special_tokens(*, pair: bool) -> int:
    """Return how many special tokens a row has: what a length leaves to text is the rest."""
    return 3 if pair else 2


def pack(
    special: SpecialIds,
    first: pa.ListArray,
    second: pa.ListArray | None = None,
    sequence_length: int | None = None,
    truncate: PairTruncate = PairTruncate.ROUND_ROBIN,
) -> Packed:
    """Put [CLS] and [SEP] around each row of `first`, or of `first` and `second`.

    Texts are cut so that no row is longer than `sequence_length`, special tokens included; None
    cuts nothing. Both arrays are list<int32> (B) without nulls.

    Raises UsageError for a length that does not even hold the special tokens, and ValueError
    for arrays of other types, with nulls, or of different lengths.
    """
    extra = special_tokens(pair=second is not None)
    if sequence_length is not None and sequence_length < extra:
        raise UsageError(
            f"a sequence length of {sequence_length} has no room for the {extra} special tokens",
            hint=f"use {extra + 1} or more",
        )
    budget = None if sequence_length is None else sequence_length - extra
    segments = [lists_of(first)]
    if second is not None:
        if len(first) != len(second):
            raise ValueError(f"{len(first):,} first texts, but {len(second):,} second ones")
        segments.append(lists_of(second))
    lengths = [segment.lengths for segment in segments]
    kept = lengths if budget is None else _kept(lengths, budget, truncate)
    row_lengths = np.sum(kept, axis=0) + extra
    return Packed(
        list_array(_token_ids(special, segments, kept), row_lengths),
        list_array(_segment_ids(kept), row_lengths),
        np.sum(lengths, axis=0) + extra - row_lengths,
    )


def _kept(
    lengths: list[np.ndarray[Any, Any]], budget: int, truncate: PairTruncate
) -> list[np.ndarray[Any, Any]]:
    """Return how many tokens of each segment stay: together at most `budget` a row."""
    if len(lengths) == 1:
        return [np.minimum(lengths[0], budget)]
    first, second = lengths
    match truncate:
        case PairTruncate.ROUND_ROBIN:
            # Half each, the odd token to the first, or more where the other leaves some over.
            kept = np.minimum(first, np.maximum(budget - budget // 2, budget - second))
        case PairTruncate.WATERFALL:
            kept = np.minimum(first, budget)
    return [kept, np.minimum(second, budget - kept)]


def _token_ids(
    special: SpecialIds, segments: list[Lists], kept: list[np.ndarray[Any, Any]]
) -> np.ndarray[Any, Any]:
    lengths = np.sum(kept, axis=0) + len(kept) + 1
    ends = np.cumsum(lengths)
    # What neither [CLS] nor text takes is a [SEP].
    row = np.full(int(ends[-1]) if len(ends) else 0, special.sep, np.int32)
    place = ends - lengths
    row[place] = special.cls
    place = place + 1
    for segment, count in zip(segments, kept, strict=True):
        row[ranges(place, count)] = segment.values[ranges(segment.starts, count)]
        place = place + count + 1
    return row


def _segment_ids(kept: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    if len(kept) == 1:
        return np.zeros(int(kept[0].sum()) + 2 * len(kept[0]), np.int32)
    # [CLS] and [SEP] belong to the first text, one [SEP] to the second.
    lengths = np.stack([kept[0] + 2, kept[1] + 1], axis=1).ravel()
    return np.repeat(np.tile(np.array([0, 1], np.int32), len(kept[0])), lengths)
