"""Keys of paths as columns: against other readers of such directories, whatever the names are."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import quote

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnet_cli.encoding.readers.expanding import expand
from fnet_cli.encoding.readers.ipc import ArrowSource
from fnet_cli.encoding.readers.parquet import ParquetSource
from fnet_cli.encoding.readers.partitions import PartitionedSource
from fnet_cli.errors import InputDataError

TABLE = pa.table({"id": list(range(50)), "token_ids": [[row] for row in range(50)]})
NULL = "__HIVE_DEFAULT_PARTITION__"
# One name of a directory, percent-encoded as writers do, has at most 255 bytes.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
INTEGER = st.integers(-(2**63), 2**63 - 1)


def rows_of(directory: str) -> pa.Table:
    found = expand([directory], None)
    batches = []
    for name, values in zip(found.files, found.partitions, strict=True):
        source = PartitionedSource(ParquetSource(name), values)
        batches += [rows.batch for rows in source.batches(source.schema.names, 7)]
    return pa.Table.from_batches(batches)


@given(
    values=st.lists(st.none() | INTEGER, min_size=1, max_size=4, unique=True)
    | st.lists(st.none() | TEXT, min_size=1, max_size=4, unique=True)
)
@settings(max_examples=60, deadline=None)
def test_values_come_back_as_they_were_written(values):
    with tempfile.TemporaryDirectory() as directory:
        for number, value in enumerate(values):
            text = NULL if value is None else quote(str(value), safe="")
            path = Path(directory, f"k={text}")
            path.mkdir()
            pq.write_table(pa.table({"id": [number]}), path / "a.parquet")
        read = rows_of(directory)
    found = dict(zip(read["id"].to_pylist(), read["k"].to_pylist(), strict=True))
    kind = int if read.schema.field("k").type == pa.int64() else str
    assert found == {
        number: None if value is None else kind(value) for number, value in enumerate(values)
    }


@given(name=st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & {0, 47}))
@settings(max_examples=150, deadline=None)
def test_every_name_is_read_or_refused(name):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "k=" + os.fsdecode(name))
        path.mkdir()
        (path / "a.parquet").touch()
        try:
            found = expand([directory], None)
        except InputDataError as error:
            str(error).encode()
            return
        assert found.files == (str(path / "a.parquet"),) or path.name.endswith(".fnet")
        assert list(found.partitions[0]) == ["k"]


def test_a_dataset_that_pyarrow_wrote_reads_as_pyarrow_and_duckdb_do(tmp_path):
    table = TABLE.append_column("lang", pa.array(["de", "e n", "a/b=c%", None, "é"] * 10))
    table = table.append_column("year", pa.array([2024, -3] * 25))
    parts = ds.partitioning(pa.schema([("lang", pa.string()), ("year", pa.int64())]), flavor="hive")
    ds.write_dataset(table, tmp_path / "d", format="parquet", partitioning=parts)
    read = rows_of(str(tmp_path / "d"))
    assert read.schema.names == ["id", "token_ids", "lang", "year"]
    assert read.schema.field("year").type == pa.int64()
    by_id = sorted(read.to_pylist(), key=lambda row: row["id"])
    other = ds.dataset(tmp_path / "d", partitioning="hive").to_table()
    assert by_id == sorted(other.to_pylist(), key=lambda row: row["id"])
    query = (
        f"SELECT id, lang, year FROM read_parquet('{tmp_path}/d/**/*.parquet', "
        "hive_partitioning = true, hive_types_autocast = true) ORDER BY id"
    )
    assert duckdb.sql(query).fetchall() == [(row["id"], row["lang"], row["year"]) for row in by_id]


# --- The wrapper ------------------------------------------------------------------------------


def source_in(directory: Path, suffix: str) -> PartitionedSource:
    path = directory / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(TABLE, path, row_group_size=20)
        inner = ParquetSource(str(path))
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, TABLE.schema) as writer:
            writer.write_table(TABLE, max_chunksize=20)
        inner = ArrowSource(str(path))
    values = {"k": pa.scalar(5, pa.int64()), "n": pa.scalar(None, pa.string())}
    return PartitionedSource(inner, values)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("columns", [["k"], ["n", "k"], ["k", "id", "n"], ["id"]])
@pytest.mark.parametrize("start", [0, 19, 20, 49, 50])
def test_rows_are_known_whichever_columns_are_asked_for(tmp_path, suffix, columns, start):
    source = source_in(tmp_path, suffix)
    read = list(source.batches(columns, 8, start))
    assert all(rows.batch.num_rows == len(rows.numbers) <= 8 for rows in read)
    assert [number for rows in read for number in rows.numbers] == list(range(start, 50))
    rows = [row for batch in read for row in batch.batch.to_pylist()]
    wanted = [{"id": row, "k": 5, "n": None} for row in range(start, 50)]
    assert rows == [{name: row[name] for name in columns} for row in wanted]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("change", ["longer", "touched"])
def test_a_file_that_changed_since_it_was_opened_is_refused(tmp_path, suffix, change):
    source = source_in(tmp_path, suffix)
    path = Path(source.name)
    if change == "longer":
        with path.open("ab") as file:
            file.write(b"\0")
    about = path.stat()
    modified = about.st_mtime_ns + (change == "touched") * 10**9
    os.utime(path, ns=(about.st_atime_ns, modified))
    with pytest.raises(InputDataError, match="it changed while it was read"):
        next(source.batches(["id"], 8))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_no_file_is_open_between_opening_and_reading(tmp_path, suffix):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it lists itself
    sources = [source_in(tmp_path, suffix) for _ in range(20)]
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - it lists itself
    assert np.sum([source.rows for source in sources]) == 1000
