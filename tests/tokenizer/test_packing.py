"""Ids become rows with [CLS] and [SEP], cut to a length, without a loop over rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnet_cli.errors import UsageError
from fnet_cli.tokenizer.packing import Packed, PairTruncate, pack
from fnet_cli.tokenizer.special import SpecialIds

SPECIAL = SpecialIds(pad=3, unk=0, cls=4, sep=5, mask=6, vocabulary_size=100)
CLS, SEP = 4, 5
IDS = pa.list_(pa.int32())

tokens = st.lists(st.integers(10, 99), max_size=12)
truncates = st.sampled_from(PairTruncate)


def ids(*rows: list[int]) -> pa.ListArray:
    return pa.array(rows, IDS)


def rows_of(packed: Packed) -> list[tuple[list[int], list[int], int]]:
    columns = packed.token_ids.to_pylist(), packed.segment_ids.to_pylist(), packed.tokens_cut
    return list(zip(*columns, strict=True))


def packed_one_by_one(
    first: list[int], second: list[int] | None, length: int | None, truncate: PairTruncate
) -> tuple[list[int], list[int], int]:
    """The rules as they are told, a token at a time."""
    queues = [list(first), list(second)] if second is not None else [list(first)]
    kept: list[list[int]] = [[] for _ in queues]
    budget = sum(map(len, queues)) if length is None else length - 1 - len(queues)
    turn = 0
    while budget and any(queues):
        if queues[turn]:
            kept[turn].append(queues[turn].pop(0))
            budget -= 1
        if truncate is PairTruncate.ROUND_ROBIN or not queues[turn]:
            turn = (turn + 1) % len(queues)
    row, segments = [CLS], [0]
    for number, text in enumerate(kept):
        row += [*text, SEP]
        segments += [number] * (len(text) + 1)
    return row, segments, sum(map(len, queues))


def test_one_text_stands_between_cls_and_sep():
    packed = pack(SPECIAL, ids([10, 11], []))
    assert rows_of(packed) == [([CLS, 10, 11, SEP], [0, 0, 0, 0], 0), ([CLS, SEP], [0, 0], 0)]


def test_the_second_text_and_its_sep_are_segment_one():
    packed = pack(SPECIAL, ids([10, 11]), ids([20]))
    assert rows_of(packed) == [([CLS, 10, 11, SEP, 20, SEP], [0, 0, 0, 0, 1, 1], 0)]


def test_a_long_text_is_cut_at_its_end_and_what_was_cut_is_counted():
    packed = pack(SPECIAL, ids([10, 11, 12, 13], [10]), sequence_length=4)
    assert rows_of(packed) == [([CLS, 10, 11, SEP], [0] * 4, 2), ([CLS, 10, SEP], [0] * 3, 0)]


def test_round_robin_gives_the_odd_token_to_the_first_text():
    packed = pack(SPECIAL, ids([10, 11, 12]), ids([20, 21, 22]), 6, PairTruncate.ROUND_ROBIN)
    assert packed.token_ids.to_pylist() == [[CLS, 10, 11, SEP, 20, SEP]]
    assert packed.tokens_cut.tolist() == [3]


def test_round_robin_leaves_to_a_long_text_what_a_short_one_does_not_need():
    packed = pack(SPECIAL, ids([10]), ids([20, 21, 22, 23]), 7, PairTruncate.ROUND_ROBIN)
    assert packed.token_ids.to_pylist() == [[CLS, 10, SEP, 20, 21, 22, SEP]]


def test_waterfall_fills_the_first_text_first():
    packed = pack(SPECIAL, ids([10, 11, 12]), ids([20, 21, 22]), 6, PairTruncate.WATERFALL)
    assert packed.token_ids.to_pylist() == [[CLS, 10, 11, 12, SEP, SEP]]


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(tokens, max_size=6), length=st.none() | st.integers(2, 16))
def test_single_texts_are_packed_as_one_by_one(texts, length):
    wanted = [packed_one_by_one(text, None, length, PairTruncate.WATERFALL) for text in texts]
    assert rows_of(pack(SPECIAL, ids(*texts), None, length)) == wanted


@settings(max_examples=300, deadline=None)
@given(
    pairs=st.lists(st.tuples(tokens, tokens), max_size=6),
    length=st.none() | st.integers(3, 24),
    truncate=truncates,
)
def test_pairs_are_packed_as_one_by_one(pairs, length, truncate):
    wanted = [packed_one_by_one(*pair, length, truncate) for pair in pairs]
    firsts, seconds = (ids(*[pair[side] for pair in pairs]) for side in (0, 1))
    assert rows_of(pack(SPECIAL, firsts, seconds, length, truncate)) == wanted


def test_results_are_lists_of_int32_and_counts_of_int64():
    packed = pack(SPECIAL, ids([10]), ids([20]))
    assert packed.token_ids.type == packed.segment_ids.type == IDS
    assert packed.tokens_cut.dtype == np.int64


def test_slices_are_packed_as_they_show():
    array = pa.array([[99], [10, 11], None, [12], [None]], IDS)
    packed = pack(SPECIAL, array[1:2], array[3:4])
    assert packed.token_ids.to_pylist() == [[CLS, 10, 11, SEP, 12, SEP]]


@pytest.mark.parametrize(
    ("second", "length", "needed"), [(None, 1, 2), (None, 0, 2), (None, -5, 2), (ids([20]), 2, 3)]
)
def test_a_length_without_room_for_the_special_tokens_is_refused(second, length, needed):
    with pytest.raises(UsageError, match=f"no room for the {needed} special tokens") as caught:
        pack(SPECIAL, ids([10]), second, length)
    assert str(needed + 1) in caught.value.hint


def test_texts_without_partners_are_refused():
    with pytest.raises(ValueError, match="2 first texts, but 1 second ones"):
        pack(SPECIAL, ids([10], [11]), ids([20]))


@pytest.mark.parametrize("rows", [[None], [[10], [None]]])
def test_nulls_are_refused(rows):
    with pytest.raises(ValueError, match="must not be null"):
        pack(SPECIAL, pa.array(rows, IDS))


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.int32()), pa.int32()])
def test_other_types_are_refused_with_their_name(kind):
    with pytest.raises(ValueError, match=r"list<int32>, not "):
        pack(SPECIAL, pa.array([], kind))
