"""Batches hold every row once, padded to a length that depends on the row alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnet_cli.encoding.batching import (
    Batch,
    BatchShape,
    BatchSize,
    batches,
    check_padding,
    padded_lengths,
)
from fnet_cli.encoding.options import Padding
from fnet_cli.encoding.rows import TokenRows
from fnet_cli.errors import UsageError

PAD = 77
FOUR = BatchSize(tokens=0, rows=4)

ragged_rows = st.lists(
    st.lists(st.integers(0, 50), min_size=1, max_size=70), min_size=1, max_size=40
)


def token_rows(rows: list[list[int]]) -> TokenRows:
    lengths = np.array([len(row) for row in rows], np.int64)
    values = np.array([value for row in rows for value in row], np.int32)
    return TokenRows(values, np.cumsum(lengths) - lengths, lengths)


def shape(padding: Padding, length: int = 64, pad_id: int | None = PAD):
    return BatchShape(padding, length, pad_id)


def unbatched(made: list[Batch], count: int) -> list[list[int]]:
    """Return each row's real ids, in input order."""
    rows: list[list[int]] = [[]] * count
    for batch in made:
        for place, row in enumerate(batch.rows):
            rows[row] = batch.token_ids[place, : batch.lengths[place]].tolist()
    return rows


@given(ragged_rows, st.sampled_from(Padding), st.integers(1, 64), st.integers(1, 9))
def test_every_row_comes_back_once_cut_to_the_sequence_length(rows, padding, length, size):
    made = list(batches(token_rows(rows), None, shape(padding, length), BatchSize(0, size)))
    assert sorted(np.concatenate([batch.rows for batch in made])) == list(range(len(rows)))
    assert unbatched(made, len(rows)) == [row[:length] for row in rows]
    assert all(len(batch.rows) <= size for batch in made)


@given(ragged_rows, st.sampled_from(Padding))
def test_what_follows_the_real_ids_is_padding(rows, padding):
    for batch in batches(token_rows(rows), token_rows(rows), shape(padding), FOUR):
        after = np.arange(batch.token_ids.shape[1]) >= batch.lengths[:, None]
        assert (batch.token_ids[after] == PAD).all()
        assert (batch.segment_ids[after] == 0).all()
        assert (batch.segment_ids[~after] == batch.token_ids[~after]).all()


@given(ragged_rows, st.sampled_from(Padding), st.integers(1, 64))
def test_a_rows_padded_length_is_the_same_alone_and_among_others(rows, padding, length):
    lengths = np.array([len(row) for row in rows])
    together = padded_lengths(lengths, shape(padding, length))
    alone = [
        padded_lengths(lengths[i : i + 1], shape(padding, length))[0] for i in range(len(rows))
    ]
    assert together.tolist() == alone


@pytest.mark.parametrize(
    ("length", "limit", "expected"),
    [(1, 512, 8), (8, 512, 8), (9, 512, 16), (17, 512, 24), (64, 512, 64), (65, 512, 80),
     (128, 512, 128), (129, 512, 160), (300, 512, 320), (500, 512, 512), (45, 46, 46),
     (97, 100, 100), (999, 100, 100), (3, 4, 4), (1, 1, 1)],
)  # fmt: skip
def test_buckets_are_multiples_of_8_then_of_a_quarter_of_a_power_of_two(length, limit, expected):
    assert padded_lengths(np.array([length]), shape(Padding.BUCKET, limit)).tolist() == [expected]


def test_without_segments_they_are_zeros():
    (batch,) = batches(token_rows([[1, 2]]), None, shape(Padding.MAX, 4), FOUR)
    assert batch.segment_ids.tolist() == [[0, 0, 0, 0]]


def test_padding_without_a_pad_id_is_refused_and_says_how_to_go_on():
    with pytest.raises(UsageError, match="must be padded") as caught:
        check_padding(token_rows([[1, 2]]), shape(Padding.MAX, 4, pad_id=None))
    assert "--pad-id" in caught.value.hint


@pytest.mark.parametrize(
    ("padding", "rows"),
    [(Padding.NONE, [[1], [2, 3]]), (Padding.MAX, [[1, 2, 3, 4], [5, 6, 7, 8, 9]])],
)
def test_no_pad_id_is_needed_where_nothing_is_padded(padding, rows):
    check_padding(token_rows(rows), shape(padding, 4, pad_id=None))
    made = list(batches(token_rows(rows), None, shape(padding, 4, pad_id=None), FOUR))
    assert unbatched(made, 2) == [row[:4] for row in rows]


@given(ragged_rows, st.integers(1, 300))
def test_a_batch_of_so_many_tokens_holds_what_fits_and_at_least_one_row(rows, tokens):
    size = BatchSize(tokens)
    for batch in batches(token_rows(rows), None, shape(Padding.BUCKET), size):
        width = batch.token_ids.shape[1]
        assert batch.capacity == max(1, tokens // width) == size.rows_of(width)
        assert len(batch.rows) <= batch.capacity


@given(ragged_rows)
def test_the_halves_of_a_batch_are_its_rows_in_order(rows):
    for batch in batches(token_rows(rows), None, shape(Padding.MAX), FOUR):
        halves = batch.halves()
        assert [half.capacity for half in halves] == [2] * len(halves)
        for name in ("rows", "token_ids", "segment_ids", "lengths"):
            joined = np.concatenate([getattr(half, name) for half in halves])
            assert np.array_equal(joined, getattr(batch, name))
