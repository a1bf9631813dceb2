"""Arrow list columns become checked ids, whatever list and integer type holds them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnet_cli.encoding.readers.base import FaultyRowsError, RowBatch
from fnet_cli.encoding.rows import (
    IdColumn,
    check_not_longer,
    check_same_lengths,
    is_id_list,
    read_ids,
)
from fnet_cli.errors import InputDataError

COLUMN = IdColumn("token_ids", 100, "the vocabulary")

INTEGER_TYPES = [
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()
]  # fmt: skip
LIST_TYPES = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]


def row_batch(array: pa.Array) -> RowBatch:
    batch = pa.RecordBatch.from_arrays([array], names=["token_ids"])
    return RowBatch(batch, "data.parquet", "row", np.arange(10, 10 + len(array)))


def as_lists(rows: RowBatch) -> list[list[int]]:
    ids = read_ids(rows, COLUMN)
    return [
        ids.values[start : start + length].tolist()
        for start, length in zip(ids.starts, ids.lengths, strict=True)
    ]


@pytest.mark.parametrize("integer", INTEGER_TYPES, ids=str)
@pytest.mark.parametrize("make", LIST_TYPES, ids=lambda make: make.__name__)
def test_every_list_of_every_integer_type_is_read(make, integer):
    rows = [[1, 2, 3], [99], [0, 5]]
    assert as_lists(row_batch(pa.array(rows, make(integer)))) == rows


@pytest.mark.parametrize("integer", INTEGER_TYPES, ids=str)
def test_fixed_size_lists_are_read(integer):
    rows = [[1, 2], [3, 4], [5, 6]]
    assert as_lists(row_batch(pa.array(rows, pa.list_(integer, 2)))) == rows


@given(
    st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), min_size=1, max_size=20),
    st.data(),
)
def test_slices_are_read_from_where_they_start(rows, data):
    start = data.draw(st.integers(0, len(rows) - 1))
    array = pa.array(rows, pa.list_(pa.int32())).slice(start)
    assert as_lists(row_batch(array)) == rows[start:]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1], None, []], "row 11: column token_ids: the list is null"),
        ([[1], [], None], "row 11: column token_ids: the list is empty"),
        ([[1], [2, None], [-1]], "row 11: column token_ids: the list holds a null"),
        ([[1], [2], [-5, 3]], "row 12: column token_ids: id -5 is not in 0..99"),
        ([[1], [2, 100], [3]], "row 11: column token_ids: id 100 is not in 0..99"),
        ([[1], None, [100]], "row 11: column token_ids: the list is null"),
        ([[100], None, [1]], "row 10: column token_ids: id 100 is not"),
    ],
)
def test_the_first_bad_row_is_named_with_what_is_wrong(rows, message):
    with pytest.raises(InputDataError, match=r"data\.parquet: ") as caught:
        read_ids(row_batch(pa.array(rows, pa.list_(pa.int32()))), COLUMN)
    assert message in str(caught.value)


def test_a_null_before_a_bad_id_does_not_shift_its_row_number():
    array = pa.array([[1, 2], [3, 4], [5, 500]], pa.list_(pa.int32(), 2))
    with pytest.raises(InputDataError, match="row 12: .* id 500"):
        read_ids(row_batch(array), COLUMN)


def test_ids_beyond_64_bits_signed_are_named_with_their_value():
    array = pa.array([[2**63 + 5]], pa.list_(pa.uint64()))
    with pytest.raises(InputDataError, match=f"id {2**63 + 5} is not in"):
        read_ids(row_batch(array), COLUMN)


def test_a_column_of_nothing_but_nulls_is_null_lists():
    with pytest.raises(InputDataError, match="row 10: .* the list is null"):
        read_ids(row_batch(pa.nulls(3)), COLUMN)


def test_lists_of_nothing_but_nulls_hold_nulls():
    array = pa.array([[None], [None, None]])
    assert pa.types.is_null(array.type.value_type)
    with pytest.raises(InputDataError, match="row 10: column token_ids: the list holds a null"):
        read_ids(row_batch(array), COLUMN)


def test_all_faulty_rows_of_a_batch_are_named():
    rows = [[1], None, [], [5, None, 100, -1], [2], [100]]
    with pytest.raises(FaultyRowsError) as caught:
        read_ids(row_batch(pa.array(rows, pa.list_(pa.int32()))), COLUMN)
    assert caught.value.faults == {
        1: "column token_ids: the list is null",
        2: "column token_ids: the list is empty",
        3: "column token_ids: the list holds a null",
        5: "column token_ids: id 100 is not in 0..99 (the vocabulary is 100)",
    }


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.int32(), pa.list_(pa.float32()), pa.list_(pa.bool_()), pa.list_(pa.string())],
    ids=str,
)
def test_other_types_are_no_id_lists(kind):
    assert not is_id_list(kind)


def test_segments_of_another_length_than_the_tokens_are_named():
    rows = row_batch(pa.array([[1], [2, 3]], pa.list_(pa.int32())))
    tokens = read_ids(rows, COLUMN)
    segments = read_ids(row_batch(pa.array([[0], [0]], pa.list_(pa.int32()))), COLUMN)
    with pytest.raises(InputDataError, match="row 11: token_ids has 2 ids, segment_ids has 1"):
        check_same_lengths(rows, tokens, segments, ("token_ids", "segment_ids"))


def test_rows_over_the_sequence_length_are_named_where_truncation_is_off():
    rows = row_batch(pa.array([[1], [2, 3, 4]], pa.list_(pa.int32())))
    with pytest.raises(InputDataError, match="row 11: .* 3 tokens, over the sequence length of 2"):
        check_not_longer(rows, read_ids(rows, COLUMN).lengths, 2, "token_ids")
