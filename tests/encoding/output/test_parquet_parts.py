"""Parquet files end to end are one Parquet file, for every reader."""

from __future__ import annotations

import io

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnet_cli.encoding.output.parquet_parts import (
    JoinedFooter,
    footers_in,
    values_in,
)
from fnet_cli.encoding.output.thrift_compact import ThriftError

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("kind", pa.dictionary(pa.int32(), pa.string())),
        pa.field("names", pa.list_(pa.string())),
        pa.field("vector", pa.list_(pa.float32(), 4), nullable=False),
    ],
    metadata={"made": "by hand"},
)


def rows_from(start: int, count: int) -> pa.Table:
    numbers = np.arange(start, start + count)
    vectors = pa.array(np.repeat(numbers, 4).astype(np.float32))
    return pa.table(
        [
            pa.array([None if number % 7 == 0 else int(number) for number in numbers], pa.int64()),
            pa.array([f"kind {number % 3}" for number in numbers], SCHEMA.field("kind").type),
            pa.array([["n"] * (number % 3) for number in numbers], SCHEMA.field("names").type),
            pa.FixedSizeListArray.from_arrays(vectors, type=SCHEMA.field("vector").type),
        ],
        schema=SCHEMA,
    )


def part_of(table: pa.Table, **options) -> bytes:
    stream = pa.BufferOutputStream()
    options = {"write_page_checksum": True, **options}
    pq.write_table(table, stream, row_group_size=max(1, table.num_rows), **options)
    return stream.getvalue().to_pybytes()


def footer_of(part: bytes) -> bytes:
    (footer,) = footers_in(io.BytesIO(part), [len(part)])
    return footer


def joined(parts: list[bytes]) -> bytes:
    footer, data = JoinedFooter(), bytearray()
    for part in parts:
        footer.add(footer_of(part), len(data))
        data += part
    return bytes(data) + footer.dump()


def in_parts(sizes: list[int]) -> list[pa.Table]:
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [rows_from(start, size) for start, size in zip(starts, sizes, strict=True)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.booleans())
def test_the_rows_are_those_of_all_parts_in_order(sizes, with_index):
    parts = in_parts(sizes)
    data = joined([part_of(part, write_page_index=with_index) for part in parts])
    read = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    assert read.equals(pa.concat_tables(parts))
    assert read.schema.metadata == SCHEMA.metadata
    assert pq.read_metadata(io.BytesIO(data)).num_rows == sum(sizes)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "lz4", "brotli", "zstd"])
def test_every_codec_is_read_by_duckdb(tmp_path, codec):
    path = tmp_path / "joined.parquet"
    path.write_bytes(joined([part_of(part, compression=codec) for part in in_parts([30, 1, 12])]))
    sums = "sum(id), sum(vector[4]), count(distinct kind), sum(len(names))"
    (rows,) = duckdb.sql(f"SELECT {sums}, count(*) FROM '{path}'").fetchall()
    numbers = np.arange(43)
    ids = int(numbers[numbers % 7 != 0].sum())
    assert rows == (ids, float(numbers.sum()), 3, int((numbers % 3).sum()), 43)


def test_a_reader_finds_a_row_group_by_its_statistics(tmp_path):
    path = tmp_path / "joined.parquet"
    path.write_bytes(joined([part_of(part) for part in in_parts([20, 20, 20])]))
    file = pq.ParquetFile(path)
    limits = [file.metadata.row_group(index).column(0).statistics for index in range(3)]
    assert [(group.min, group.max) for group in limits] == [(1, 19), (20, 39), (40, 59)]
    assert file.read_row_group(2).equals(rows_from(40, 20))
    assert pq.read_table(path, filters=[("id", "==", 45)])["id"].to_pylist() == [45]


def test_what_parts_hold_can_be_told_from_the_file():
    parts = [part_of(part) for part in in_parts([3, 0, 5])]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    found = footers_in(io.BytesIO(b"".join(parts)), ends)
    assert list(found) == [footer_of(part) for part in parts]


@pytest.mark.parametrize("cut", [1, 4, 8, 30])
def test_a_part_that_is_cut_off_is_told(cut):
    part = part_of(rows_from(0, 5))
    with pytest.raises(ThriftError):
        footer_of(part[:-cut])


def test_what_is_no_footer_of_a_file_is_refused():
    with pytest.raises(ThriftError, match="lacks its row groups"):
        JoinedFooter().add(b"\0", 0)


def test_a_file_without_parts_cannot_be():
    with pytest.raises(ValueError, match="needs a part"):
        JoinedFooter().dump()


def test_more_row_groups_than_their_ordinals_can_count():
    part = part_of(rows_from(0, 1), write_statistics=False)
    data = joined([part] * 32_800)
    assert pq.read_metadata(io.BytesIO(data)).num_row_groups == 32_800
    last = pq.ParquetFile(io.BytesIO(data)).read_row_group(32_799)
    assert last.equals(rows_from(0, 1))


def test_the_values_of_a_column_are_those_that_pyarrow_states():
    data = joined([part_of(part) for part in in_parts([20, 0, 33])])
    metadata = pq.read_metadata(io.BytesIO(data))
    for index, name in enumerate(SCHEMA.names):
        groups = range(metadata.num_row_groups)
        wanted = sum(metadata.row_group(group).column(index).num_values for group in groups)
        assert values_in(footer_of(data), name) == wanted
    assert values_in(footer_of(data), "other") == 0


@pytest.mark.parametrize("footer", [b"", b"\0", b"\xff" * 9, b"\x49\x15\x02\0", b"\x45\x02\0"])
def test_values_of_what_is_no_footer_are_refused(footer):
    with pytest.raises(ThriftError):
        values_in(footer, "id")
