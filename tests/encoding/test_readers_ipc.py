"""Arrow IPC: files and streams, compressed or not, checked before they are used."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest
from text_files import read_all

from fnet_cli.encoding.options import InputFormat
from fnet_cli.encoding.readers.ipc import ArrowSource
from fnet_cli.encoding.readers.opening import format_of, open_source
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
