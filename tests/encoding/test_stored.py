"""Inputs in stores: the files that URIs stand for and what is in them, as it is on a disk."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.object_store import ObjectStore
from text_files import read_all

from fnet_cli.config import Settings
from fnet_cli.encoding.readers.base import RowSource
from fnet_cli.encoding.readers.expanding import InputFiles, expand
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.errors import FnetError, InputDataError, NetworkError, UsageError
from fnet_cli.stores import Stores

ROWS = 400
NAMES = (
    "d/k=1/l=a/x.parquet", "d/k=1/l=a/y.parquet", "d/k=2/l=b/x.parquet", "d/k=2/l=b/.h.parquet",
    "d/_tmp/z.parquet", "d/k=2/README", "mixed/a.parquet", "mixed/b.jsonl", "p-1.jsonl",
    "p-10.jsonl", "p-2.jsonl", "odd/[1].jsonl", "odd/1.jsonl", "deep/k=1/j=2/a.txt",
    "deep/k=1/j=2/sub/b.txt", "out/o.parquet.fnet/data.parquet", "out/o.parquet", "none/README",
)  # fmt: skip
INPUTS = (
    "d", "d/", "d/k=*/l=?/x.parquet", "d/**", "d/**/x.parquet", "d/k=[1]*/**/*.parquet", "d/k=*",
    "mixed", "mixed/*.parquet", "p-*.jsonl", "odd/[1].jsonl", "odd/[0-9].jsonl", "odd/*", "deep",
    "deep/**/b.txt", "deep/*/j=2/*", "out", "none", "none/*", "nothing", "nothing/*", "nothing-*",
    "*/k=1/**", "p-1.jsonl",
)  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """A store, and how jobs get at it."""

    store: ObjectStore
    settings: Settings

    def expand(self, *names: str) -> InputFiles:
        root = f"s3://{self.store.bucket}"
        return expand([f"{root}/{name}" for name in names], None, None, Stores(self.settings))

    def open(self, name: str, *, tolerant: bool = False) -> RowSource:
        files = self.expand(name)
        (found,) = files.files
        return open_source(files.place(found), None, None, tolerant=tolerant)


@pytest.fixture(scope="module")
def reach() -> Iterator[Reach]:
    with ObjectStore("inputs") as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.credentials.items():
            patch.setenv(name, value)
        yield Reach(store, Settings(s3_endpoint=store.url, s3_region="us-east-1", retries=0))


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(5)
    columns = {f"c{n}": rng.integers(0, 1000, ROWS) for n in range(6)}
    ids = [rng.integers(0, 60, rng.integers(1, 20)).tolist() for _ in range(ROWS)]
    return pa.table({"id": np.arange(ROWS), "text": [f"row {n}" for n in range(ROWS)], **columns,
                     "token_ids": ids})  # fmt: skip


def content(table: pa.Table, name: str) -> bytes:
    """Return the table as a file of that name would hold it."""
    out, kind = io.BytesIO(), name.partition(".")[2]
    if kind == "parquet":
        pq.write_table(table, out, row_group_size=64, data_page_size=500)
        return out.getvalue()
    if kind.startswith("arrow"):
        opened = pa.ipc.new_stream if "stream" in name else pa.ipc.new_file
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with opened(out, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=64)
        return out.getvalue()
    rows = table.to_pylist()
    if kind.startswith("jsonl"):
        lines = [json.dumps(row) for row in rows]
    elif kind.startswith("txt"):
        lines = [row["text"] for row in rows]
    else:
        lines = ["id,text", *(f"{row['id']},{row['text']}" for row in rows)]
    data = ("\n".join(lines) + "\n").encode()
    if name.endswith(".gz"):
        return gzip.compress(data)
    return pa.compress(data, "zstd", asbytes=True) if name.endswith(".zst") else data


# --- Which files ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trees(reach: Reach, tmp_path_factory) -> Path:
    """Return a directory of which the store holds a copy."""
    root = tmp_path_factory.mktemp("tree")
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    reach.store.put_all(root, "tree")
    return root


def said(ask, root: str) -> object:
    """Return the files and keys that an input stands for, or its error, from `root` on."""
    try:
        found = ask()
    except FnetError as error:
        return type(error), str(error).replace(root, ""), error.hint.replace(root, "")
    return [name.removeprefix(root) for name in found.files], found.partitions


@pytest.mark.parametrize("name", INPUTS)
def test_a_uri_stands_for_the_files_that_the_path_stands_for(reach, trees, name):
    stored = said(lambda: reach.expand(f"tree/{name}"), "s3://inputs/tree/")
    assert stored == said(lambda: expand([f"{trees}/{name}"], None), f"{trees}/")


def test_inputs_of_both_kinds_keep_their_order(reach, trees):
    given = [f"{trees}/p-1.jsonl", "s3://inputs/tree/p-2.jsonl", f"file://{trees}/p-10.jsonl"]
    found = expand(given, None, None, Stores(reach.settings)).files
    assert found == (given[0], given[1], f"{trees}/p-10.jsonl")


def test_a_pattern_of_buckets_is_refused(reach):
    with pytest.raises(UsageError, match="several stores"):
        expand(["s3://in*/x.parquet"], None, None, Stores(reach.settings))


def test_a_pattern_lists_no_more_than_the_directories_on_its_way(reach, trees, monkeypatch):
    from pyarrow import fs

    listed, selector = [], fs.FileSelector

    def select(directory, **options):
        listed.append((directory, options["recursive"]))
        return selector(directory, **options)

    monkeypatch.setattr(fs, "FileSelector", select)
    reach.expand("tree/d/k=*/l=a/*.parquet")
    assert {directory for directory, _ in listed} == {
        f"inputs/tree/d{below}" for below in ("", "/k=1", "/k=2", "/k=1/l=a")
    }
    assert not any(recursive for _, recursive in listed)


# --- What is in them --------------------------------------------------------------------------


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize(
    "name",
    ["a.parquet", "a.arrow", "stream.arrow", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.txt",
     "a.txt.gz", "a.csv", "a.csv.zst"],
)  # fmt: skip
def test_a_stored_file_reads_as_the_local_one(reach, table, tmp_path, name, tolerant):
    (tmp_path / name).write_bytes(content(table, name))
    uri = reach.store.put(f"read/{name}", content(table, name))
    local = open_source(str(tmp_path / name), None, None)
    stored = reach.open(f"read/{name}", tolerant=tolerant)
    assert (stored.rows, stored.schema, stored.name) == (ROWS, local.schema, uri)
    assert stored.token_count("token_ids") == local.token_count("token_ids")
    columns = local.schema.names
    assert read_all(stored, columns) == read_all(local, columns)
    rest = [row for batch in stored.batches(columns, 50, 123) for row in batch.batch.to_pylist()]
    assert rest == read_all(local, columns)[123:]


def test_a_large_file_is_not_fetched_where_a_column_is_read(reach, table, monkeypatch):
    from fnet_cli.encoding.readers import places

    noise = [np.random.default_rng(row).bytes(20_000) for row in range(ROWS)]
    wide = table.append_column("noise", pa.array(noise))
    reach.store.put("read/wide.parquet", content(wide, "wide.parquet"))
    fetched, read = [], places._StoreReader.read

    def count(self, size=-1):
        data = read(self, size)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(places._StoreReader, "read", count)
    assert len(read_all(reach.open("read/wide.parquet"), ["token_ids"])) == ROWS
    assert sum(fetched) < 1_000_000


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl", "a.csv"])
@pytest.mark.parametrize("tolerant", [False, True])
def test_a_damaged_file_is_the_error_that_it_is_on_a_disk(reach, table, tmp_path, name, tolerant):
    data = content(table, name)
    data = data[: len(data) // 2] + b"\xff\xfe" + data[len(data) // 2 + 40 : -3]
    (tmp_path / name).write_bytes(data)
    reach.store.put(f"bad/{name}", data)

    def outcome(source_of, root: str) -> str:
        try:
            source = source_of()
            read_all(source, source.schema.names)
        except InputDataError as error:
            return str(error).replace(root, "")
        return f"{source.rows} {source.damage}".replace(root, "")

    local = outcome(
        lambda: open_source(str(tmp_path / name), None, None, tolerant=tolerant), f"{tmp_path}/"
    )
    assert (
        outcome(lambda: reach.open(f"bad/{name}", tolerant=tolerant), "s3://inputs/bad/") == local
    )


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl.gz", "a.txt"])
def test_an_object_that_changes_after_its_opening_is_refused(reach, table, name):
    uri = reach.store.put(f"changing/{name}", content(table, name))
    source = reach.open(f"changing/{name}")
    reach.store.put(f"changing/{name}", content(table.slice(1), name))
    with pytest.raises(InputDataError, match="it changed while it was read") as caught:
        read_all(source, source.schema.names)
    assert str(caught.value).startswith(f"{uri}: ")


def test_an_object_that_changes_after_its_listing_is_refused(reach, table):
    reach.store.put("listed/a.parquet", content(table, "a.parquet"))
    files = reach.expand("listed")
    reach.store.put("listed/a.parquet", content(table.slice(1), "a.parquet"))
    with pytest.raises(InputDataError, match="it changed while it was read"):
        open_source(files.place(files.files[0]), None, None)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl.gz", "a.txt"])
def test_a_read_that_fails_is_no_damage(reach, table, name, monkeypatch):
    from fnet_cli.encoding.readers import places

    reach.store.put(f"failing/{name}", content(table, name))
    source = reach.open(f"failing/{name}", tolerant=True)

    def fail(*_: object) -> object:
        raise OSError("the connection was reset")

    monkeypatch.setattr(
        places, "interruptible", lambda call: fail() if "fetch" in str(call) else call()
    )
    with pytest.raises(NetworkError, match="the connection was reset"):
        read_all(source, source.schema.names)


# --- Through fsspec ---------------------------------------------------------------------------


@pytest.fixture
def memory():
    made = fsspec.filesystem("memory")
    yield made
    made.rm("/", recursive=True)


def in_memory(*names: str) -> InputFiles:
    return expand([f"memory://{name}" for name in names], None, None, Stores(Settings()))


def test_a_store_that_fsspec_knows_is_read_as_others(memory, table):
    for key in ("k=1", "k=2"):
        memory.pipe(f"/d/{key}/a.parquet", content(table, "a.parquet"))
    memory.pipe("/d/_SUCCESS", b"")
    files = in_memory("d")
    assert files.files == ("memory://d/k=1/a.parquet", "memory://d/k=2/a.parquet")
    assert [values["k"].as_py() for values in files.partitions] == [1, 2]
    assert in_memory("d/k=*/*.parquet").files == files.files
    source = open_source(files.place(files.files[1]), None, None)
    assert read_all(source, ["id"]) == table.select(["id"]).to_pylist()


def test_a_file_whose_store_states_no_time_is_noticed_when_it_changes(memory):
    memory.pipe("/a.jsonl", b'{"a": 1}\n')
    files = in_memory("a.jsonl")
    source = open_source(files.place("memory://a.jsonl"), None, None)
    assert read_all(source, ["a"]) == [{"a": 1}]
    memory.pipe("/a.jsonl", b'{"a": 2}\n')
    with pytest.raises(InputDataError, match="changed"):
        read_all(source, ["a"])


def test_a_missing_file_of_such_a_store_is_missing(memory):
    files = in_memory("none.jsonl")
    with pytest.raises(InputDataError, match="memory://none.jsonl: no such file"):
        open_source(files.place("memory://none.jsonl"), None, None)
