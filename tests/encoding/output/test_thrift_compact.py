"""Thrift's compact protocol: what is read is written the same, and nonsense is one error."""

from __future__ import annotations

import contextlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnet_cli.encoding.output.parquet_parts import footers_in
from fnet_cli.encoding.output.thrift_compact import (
    Field,
    ListOf,
    ThriftError,
    read_struct,
    write_struct,
)

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)
SCALARS = {
    BYTE: st.integers(0, 255),
    I16: st.integers(-(2**15), 2**15 - 1),
    I32: st.integers(-(2**31), 2**31 - 1),
    I64: st.integers(-(2**63), 2**63 - 1),
    DOUBLE: st.binary(min_size=8, max_size=8),
    BINARY: st.binary(max_size=300),
}


def lists(kind: int, values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(values, max_size=20).map(lambda items: ListOf(kind, items))


def structs(children: st.SearchStrategy) -> st.SearchStrategy:
    values = [st.sampled_from([Field(TRUE, None), Field(FALSE, None)])]
    for kind, scalars in SCALARS.items():
        values.append(st.builds(Field, st.just(kind), scalars))
        values.append(st.builds(Field, st.sampled_from([LIST, SET]), lists(kind, scalars)))
    values.append(st.builds(Field, st.just(STRUCT), children))
    values.append(st.builds(Field, st.just(LIST), lists(STRUCT, children)))
    numbers = st.integers(-(2**15), 2**15 - 1)
    return st.dictionaries(numbers, st.one_of(values), max_size=6)


STRUCTS = st.recursive(st.just({}), structs, max_leaves=8)


@given(STRUCTS)
def test_what_is_written_is_read_the_same(struct):
    assert read_struct(write_struct(struct)) == struct


@given(STRUCTS, st.data())
def test_a_struct_that_is_cut_off_is_one_error(struct, data):
    whole = write_struct(struct)
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ThriftError):
        read_struct(whole[:size])


@given(st.binary(max_size=200))
def test_nonsense_is_a_struct_or_one_error(nonsense):
    with contextlib.suppress(ThriftError):
        read_struct(nonsense)


def test_structs_without_end_are_one_error():
    with pytest.raises(ThriftError):
        read_struct(bytes([0x1C]) * 100_000)


def test_a_map_which_no_footer_has_is_one_error():
    with pytest.raises(ThriftError, match="wire type 11"):
        read_struct(bytes([0x1B, 0]))


def test_a_struct_inside_may_be_bytes_already():
    inner = {1: Field(I32, 7), 20: Field(TRUE, None)}
    outer = {3: Field(LIST, ListOf(STRUCT, [inner, {}]))}
    ready = {3: Field(LIST, ListOf(STRUCT, [write_struct(inner), write_struct({})]))}
    assert write_struct(ready) == write_struct(outer)


def test_a_footer_of_a_parquet_file_keeps_its_bytes():
    stream = pa.BufferOutputStream()
    table = pa.table({"a": [1, None, 3], "b": [["x"], [], ["y", "z"]], "c": [0.5, -1.0, 2.0]})
    pq.write_table(table, stream, row_group_size=2, write_page_index=True)
    data = stream.getvalue().to_pybytes()
    (footer,) = footers_in(io.BytesIO(data), [len(data)])
    assert write_struct(read_struct(footer)) == footer
