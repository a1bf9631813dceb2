"""Arrow IPC: files and streams, compressed or not, checked before they are used."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_files import read_all

from fnet_cli.encoding.options import InputFormat
from fnet_cli.encoding.readers.ipc import ArrowSource
from fnet_cli.encoding.readers.ipc_messages import stated_batches
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.encoding.readers.suffixes import format_of
from fnet_cli.errors import InputDataError, UsageError

TABLE = pa.table(
    {
        "id": list(range(50)),
        "token_ids": pa.array([[row, 1] for row in range(50)], pa.list_(pa.uint16())),
        "kind": pa.array(["a", None] * 25).dictionary_encode(),
    },
    metadata={"made": "by hand"},
)


def write(path: Path, opened=pa.ipc.new_file, codec: str | None = None) -> str:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.OSFile(str(path), "wb") as file, opened(file, TABLE.schema, options=options) as writer:
        writer.write_table(TABLE, max_chunksize=20)
    return str(path)


@pytest.mark.parametrize("codec", [None, "zstd", "lz4"])
@pytest.mark.parametrize("opened", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("tolerant", [False, True])
def test_every_row_is_read_in_order(tmp_path, opened, codec, tolerant):
    source = ArrowSource(write(tmp_path / "x.arrow", opened, codec), tolerant=tolerant)
    assert (source.rows, source.schema, source.damage) == (50, TABLE.schema, None)
    assert source.schema.metadata == TABLE.schema.metadata
    assert read_all(source, ["kind", "id"]) == TABLE.select(["kind", "id"]).to_pylist()
    for start in (0, 19, 20, 50):
        found = [row for batch in source.batches(["id"], 7, start) for row in batch.numbers]
        assert found == list(range(start, 50))


def test_feather_is_read(tmp_path):
    feather.write_feather(TABLE, tmp_path / "x.feather")
    source = open_source(str(tmp_path / "x.feather"), None, None)
    assert read_all(source, ["id"]) == TABLE.select(["id"]).to_pylist()


@pytest.mark.parametrize(
    ("name", "known"), [("a.arrow", True), ("a.ipc", True), ("a.arrow.gz", False)]
)
def test_the_suffix_tells(name, known):
    assert (format_of(name) is InputFormat.ARROW) == known


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"ARROW1\0\0 and no more", b"nothing"])
def test_what_is_no_arrow_is_one_error(tmp_path, content):
    (tmp_path / "x.arrow").write_bytes(content)
    with pytest.raises(InputDataError, match=r"x\.arrow: not a complete Arrow IPC file: "):
        ArrowSource(str(tmp_path / "x.arrow"))


def test_offsets_that_lead_elsewhere_are_found(tmp_path):
    path = Path(write(tmp_path / "x.arrow"))
    data = bytearray(path.read_bytes())
    offsets = b"".join(number.to_bytes(4, "little") for number in (2, 4, 6, 8))
    data[data.index(offsets) : data.index(offsets) + 4] = (2**30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputDataError, match="not a complete Arrow IPC file"):
        read_all(ArrowSource(str(path)), ["token_ids"])
    tolerant = ArrowSource(str(path), tolerant=True)
    assert tolerant.damage is not None
    assert read_all(tolerant, ["id"]) == TABLE.select(["id"]).to_pylist()[: tolerant.rows]


def test_standard_input_is_not_read():
    with pytest.raises(UsageError, match="Arrow cannot be read from standard input"):
        open_source("-", InputFormat.ARROW, None)


# --- What a file states of itself -------------------------------------------------------------


def compressed_file(path: Path, opened, states: int) -> str:
    """Write a file of zeros, one buffer of which states another size than it has."""
    column = pa.table({"id": pa.array([0] * 20_000, pa.int64())})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as file, opened(file, column.schema, options=options) as writer:
        writer.write_table(column)
    data, stated = bytearray(path.read_bytes()), (160_000).to_bytes(8, "little")
    at = data.index(stated + b"\x28\xb5\x2f\xfd")  # a zstd frame
    data[at : at + 8] = states.to_bytes(8, "little")
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("opened", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("states", [2**31, 2**40, 2**62])
def test_memory_is_not_at_the_mercy_of_a_stated_size(tmp_path, opened, states):
    path = compressed_file(tmp_path / "x.arrow", opened, states)
    before = pa.total_allocated_bytes()
    with pytest.raises(InputDataError, match=f"stated to be {states}, compressed"):
        ArrowSource(path)
    tolerant = ArrowSource(path, tolerant=True)
    assert (tolerant.rows, "stated to be" in str(tolerant.damage)) == (0, True)
    assert pa.total_allocated_bytes() < before + 2**16  # others let go, and errors hold, a little


def test_rows_without_values_are_bounded(tmp_path):
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2**30], pa.int32()), pa.array([1]))
    batch = pa.record_batch({"x": runs})
    path = tmp_path / "x.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(InputDataError, match="it states 1073741824 rows in"):
        ArrowSource(str(path))


# pyarrow cannot read what it writes as V4 and compressed.
VERSIONS = [
    (pa.ipc.MetadataVersion.V4, None),
    (pa.ipc.MetadataVersion.V5, None),
    (pa.ipc.MetadataVersion.V5, "zstd"),
    (pa.ipc.MetadataVersion.V5, "lz4"),
]


@pytest.mark.parametrize(("version", "codec"), VERSIONS)
@pytest.mark.parametrize("opened", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("is_old", [False, True])
def test_rows_are_counted_in_every_framing(tmp_path, opened, codec, version, is_old):
    options = pa.ipc.IpcWriteOptions(
        compression=codec, metadata_version=version, use_legacy_format=is_old
    )
    path = tmp_path / "x.arrow"
    with pa.OSFile(str(path), "wb") as file, opened(file, TABLE.schema, options=options) as writer:
        writer.write_table(TABLE, max_chunksize=20)
    with path.open("rb") as file:
        found = [stated.rows for stated in stated_batches(file) if not stated.is_dictionary]
    assert found == [20, 20, 10]
    assert read_all(ArrowSource(str(path)), ["kind"]) == TABLE.select(["kind"]).to_pylist()


def test_opening_does_not_read_the_rows(tmp_path):
    path = Path(write(tmp_path / "x.arrow"))
    data = path.read_bytes()
    value = b"".join(number.to_bytes(8, "little") for number in range(20))
    path.write_bytes(data.replace(value, bytes(len(value))))
    assert ArrowSource(str(path)).rows == 50


def test_a_name_inside_a_struct_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "x.arrow"
    table = pa.table({"s": [{"inner": 1}]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes().replace(b"inner", b"\xff\xfenn\xff"))
    with pytest.raises(InputDataError, match="not a complete Arrow IPC file"):
        ArrowSource(str(path))


# --- Damage -----------------------------------------------------------------------------------


def in_memory(opened, codec: str | None) -> bytes:
    stream = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with opened(stream, TABLE.schema, options=options) as writer:
        writer.write_table(TABLE, max_chunksize=20)
    return stream.getvalue()


GOOD = [
    in_memory(opened, codec)
    for opened in (pa.ipc.new_file, pa.ipc.new_stream)
    for codec in (None, "zstd", "lz4")
]


@given(
    good=st.sampled_from(GOOD),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=4),
    cut=st.none() | st.floats(0, 1),
    tolerant=st.booleans(),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_one_error_or_as_many_rows_as_it_states(
    tmp_path, good, flips, cut, tolerant
):
    data = bytearray(good)
    for place, bits in flips:
        data[int(place * (len(data) - 1))] ^= bits
    path = tmp_path / "x.arrow"
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    try:
        source = ArrowSource(str(path), tolerant=tolerant)
        names = [name for name in source.schema.names if source.schema.names.count(name) == 1]
        rows = [row for batch in source.batches(names, 7) for row in batch.batch.to_pylist()]
    except InputDataError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return
    assert len(rows) == source.rows
    if not flips and cut is None:
        assert rows == TABLE.to_pylist()
