"""Readers give every row of a file, in order, with the place a user would look for it."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_files import read_all, small_blocks, write_lines

from fnet_cli.encoding.options import InputFormat
from fnet_cli.encoding.readers.jsonl import JsonlFile, JsonlStream
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.encoding.readers.parquet import ParquetSource
from fnet_cli.encoding.readers.suffixes import format_of
from fnet_cli.errors import FnetError, InputDataError, OutputError, UsageError

ROWS = [{"token_ids": [1, 2, 3], "name": "a"}, {"token_ids": [4], "name": None}]


def as_jsonl(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["d.jsonl", "d.ndjson", "d.jsonl.gz", "d.ndjson.zst"])
def test_json_lines_are_read_plain_and_compressed(tmp_path, name):
    path = write_lines(tmp_path / name, as_jsonl(ROWS))
    source = open_source(path, None, io.BytesIO())
    assert source.rows == 2
    assert read_all(source) == ROWS


def test_gzip_files_of_several_members_are_read_to_the_end(tmp_path):
    path = tmp_path / "d.jsonl.gz"
    path.write_bytes(b"".join(gzip.compress(as_jsonl([row]).encode()) for row in ROWS))
    assert read_all(JsonlFile(str(path))) == ROWS


def test_blank_lines_are_no_rows_and_keep_the_line_numbers_right(tmp_path):
    path = write_lines(tmp_path / "d.jsonl", '\n{"token_ids": [1]}\n  \n{"token_ids": [2]}')
    places = [rows.where(0) for rows in JsonlFile(path).batches(["token_ids"], 1)]
    assert places == [f"{path}: line 2", f"{path}: line 4"]


def test_a_null_inside_a_list_stays_a_null(tmp_path):
    path = write_lines(tmp_path / "d.jsonl", '{"token_ids": [null, 1]}\n')
    assert read_all(JsonlFile(path), ["token_ids"]) == [{"token_ids": [None, 1]}]


def test_text_that_looks_like_a_date_stays_text(tmp_path):
    path = write_lines(tmp_path / "d.jsonl", '{"when": "2024-01-01T00:00:00"}\n')
    assert JsonlFile(path).schema.field("when").type == pa.string()


def test_columns_that_appear_late_are_found_and_null_before(tmp_path):
    path = write_lines(tmp_path / "d.jsonl", '{"a": 1}\n{"a": 2, "b": "x"}\n')
    assert read_all(JsonlFile(path), ["a", "b"]) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_integers_widen_to_floats_where_a_later_row_needs_it(tmp_path):
    path = write_lines(tmp_path / "d.jsonl", '{"a": 1}\n{"a": 2.5}\n')
    assert read_all(JsonlFile(path), ["a"]) == [{"a": 1.0}, {"a": 2.5}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": }\n', "line 2: not valid JSON"),
        ('{"a": 1}\n[1]\n', "line 2: not a JSON object"),
        ('{"a": 1}\n{"a": 2', "line 2: not valid JSON"),
        ('{"a": 1} {"a": 2}\n', "line 1: not valid JSON"),
        ('{"a": NaN}\n', "line 1: not valid JSON"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2: not valid UTF-8: byte 8 of the line is 0xff"),
        (b'{"a": 1}\n{"a\xc3": 2}\n', "line 2: not valid UTF-8: byte 4 of the line is 0xc3"),
        (b'{"a": 1}\n\xff\xfe\n', "line 2: not valid UTF-8: byte 1 of the line is 0xff"),
        (b'{"a": "\xed\xa0\x80"}\n', "line 1: not valid UTF-8: byte 8 of the line is 0xed"),
        (b'{"a": "\xc0\xaf"}\n', "line 1: not valid UTF-8: byte 8 of the line is 0xc0"),
        (r'{"a": "\ud800"}' + "\n", "line 1: not valid JSON"),
        ('{"a": 1}\n{"a": "x"}\n', "line 2: column a: 'x' does not fit the rows before"),
        ('{"a": 1}\n{"a": true}\n', "line 2: column a: True does not fit"),
        ('{"a": 1}\n{"a": 9223372036854775809}\n', "line 2: column a: .* does not fit 64 bits"),
    ],
)
def test_a_bad_line_is_named_when_the_file_is_opened(tmp_path, text, message):
    path = write_lines(tmp_path / "d.jsonl", text)
    with pytest.raises(InputDataError, match=message) as caught:
        JsonlFile(path)
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_that_is_cut_short_is_refused(tmp_path, suffix):
    path = tmp_path / f"d.jsonl{suffix}"
    write_lines(path, as_jsonl(ROWS * 100))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputDataError, match="cannot be read: Truncated"):
        JsonlFile(str(path))


def test_a_stream_is_read_once_and_states_no_count():
    source = JsonlStream(io.BytesIO(as_jsonl(ROWS).encode()))
    assert source.rows is None
    assert read_all(source) == ROWS


def test_an_empty_stream_has_no_rows():
    source = JsonlStream(io.BytesIO(b""))
    assert source.rows == 0
    assert read_all(source, []) == []


def test_a_stream_whose_later_rows_bring_a_new_column_is_refused(monkeypatch):
    small_blocks(monkeypatch, 10)
    source = JsonlStream(io.BytesIO(b'{"a": 1}\n{"a": 2}\n{"b": 3}\n'))
    with pytest.raises(InputDataError, match="line 3: column b is not in the first rows"):
        read_all(source, ["a"])


def test_blocks_and_windows_smaller_than_the_file_lose_nothing(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 64)
    rows = [{"token_ids": [i], "name": f"row {i}"} for i in range(200)]
    path = write_lines(tmp_path / "d.jsonl", as_jsonl(rows))
    assert read_all(JsonlFile(path), max_rows=3) == rows


def test_a_line_over_the_limit_is_refused(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 16, longest_line=100)
    path = write_lines(tmp_path / "d.jsonl", '{}\n{}\n{"a": "' + "x" * 500 + '"}\n')
    with pytest.raises(InputDataError, match="line 3 is longer than 100 bytes"):
        JsonlFile(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_one_clear_error(tmp_path, data):
    path = write_lines(tmp_path / "d.jsonl", data)
    try:
        source = JsonlFile(path)
    except FnetError as error:
        assert path in str(error)
    else:
        assert len(read_all(source, source.schema.names)) in (source.rows, 0)


def parquet_file(path: Path, table: pa.Table, **options) -> str:
    pq.write_table(table, path, **options)
    return str(path)


def test_parquet_is_read_in_order_over_row_groups_with_row_numbers_from_0(tmp_path):
    table = pa.table({"token_ids": [[i] for i in range(25)], "name": [str(i) for i in range(25)]})
    path = parquet_file(tmp_path / "d.parquet", table, row_group_size=4)
    source = ParquetSource(path)
    parts = list(source.batches(["name", "token_ids"], 7))
    assert [name for rows in parts for name in rows.batch.column("name").to_pylist()] == [
        str(i) for i in range(25)
    ]
    assert parts[-1].where(len(parts[-1].numbers) - 1) == f"{path}: row 24"


def test_large_rows_are_read_fewer_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.readers.parquet.MAX_READ_BYTES", 50_000)
    noise = np.random.default_rng(0).bytes(200_000)
    blobs = [noise[i : i + 10_000] for i in range(0, 200_000, 10_000)]
    path = parquet_file(tmp_path / "d.parquet", pa.table({"token_ids": [[1]] * 20, "blob": blobs}))
    parts = list(ParquetSource(path).batches(["token_ids", "blob"], 1000))
    assert max(len(rows.numbers) for rows in parts) == 4
    assert [blob for rows in parts for blob in rows.batch.column("blob").to_pylist()] == blobs


def test_parquet_footers_tell_rows_and_tokens_without_reading(tmp_path):
    table = pa.table({"token_ids": [[1, 2, 3], [4]], "token_ids_2": [[1], [2]]})
    source = ParquetSource(parquet_file(tmp_path / "d.parquet", table))
    assert (source.rows, source.token_count("token_ids")) == (2, 4)


def test_a_parquet_file_cut_at_any_place_is_refused(tmp_path):
    table = pa.table({"token_ids": [[i, i + 1] for i in range(300)]})
    whole = Path(parquet_file(tmp_path / "d.parquet", table)).read_bytes()
    for end in range(0, len(whole), len(whole) // 20):
        (tmp_path / "cut.parquet").write_bytes(whole[:end])
        with pytest.raises(InputDataError, match="cut.parquet: not a complete Parquet file"):
            ParquetSource(str(tmp_path / "cut.parquet"))


def test_a_damaged_page_is_an_error_and_not_fewer_rows(tmp_path):
    ids = np.random.default_rng(0).integers(0, 2**31, (3000, 2))
    path = tmp_path / "d.parquet"
    table = pa.table({"token_ids": list(ids)})
    # Uncompressed, so that nothing but the page's checksum can tell.
    parquet_file(path, table, compression="none", use_dictionary=False, write_page_checksum=True)
    whole = bytearray(path.read_bytes())
    whole[9000:9400] = bytes(400)
    path.write_bytes(whole)
    with pytest.raises(InputDataError, match="d.parquet: not a complete Parquet file"):
        read_all(ParquetSource(str(path)), ["token_ids"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.parquet", InputFormat.PARQUET), ("a.PQ", InputFormat.PARQUET),
     ("a.jsonl", InputFormat.JSONL), ("a.ndjson.gz", InputFormat.JSONL),
     ("a.jsonl.zst", InputFormat.JSONL), ("a.txt", InputFormat.TEXT),
     ("a.txt.gz", InputFormat.TEXT), ("A.TXT.ZST", InputFormat.TEXT), ("a.csv", InputFormat.CSV),
     ("a.csv.gz", InputFormat.CSV), ("a.tsv", InputFormat.TSV), ("a.tsv.zst", InputFormat.TSV),
     ("a.parquet.gz", None), ("a.xml", None), ("a.gz", None), ("a.txt.bz2", None), ("a", None)],
)  # fmt: skip
def test_the_suffix_tells_the_format(name, expected):
    assert format_of(name) is expected


def test_an_unknown_suffix_is_a_usage_error_that_names_the_option(tmp_path):
    (tmp_path / "a.xml").write_text("x")
    with pytest.raises(UsageError) as caught:
        open_source(str(tmp_path / "a.xml"), None, io.BytesIO())
    assert "--input-format" in caught.value.hint


@pytest.mark.parametrize("name", ["m.parquet", "m.jsonl", "m.txt", "m.txt.gz", "m.csv", "m.tsv"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputDataError, match=f"{name}: no such file"):
        open_source(str(tmp_path / name), None, io.BytesIO())


@pytest.mark.parametrize("name", ["d.parquet", "d.jsonl", "d.txt", "d.csv"])
def test_a_directory_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputDataError, match=f"{name}: is a directory"):
        open_source(str(tmp_path / name), None, io.BytesIO())


@pytest.mark.parametrize("name", ["d.jsonl", "d.txt", "d.csv"])
def test_a_pipe_by_name_is_refused_since_files_are_read_twice(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputDataError, match=f"{name}: is not a regular file"):
        open_source(str(tmp_path / name), None, io.BytesIO())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = Path(write_lines(tmp_path / "d.txt", "x\n"))
    path.chmod(0)
    with pytest.raises(InputDataError, match="d.txt: cannot be read: Permission denied"):
        open_source(str(path), None, io.BytesIO())


@pytest.mark.parametrize("name", ["d.jsonl.gz", "d.txt.zst"])
def test_a_compressed_file_without_a_byte_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InputDataError, match=f"{name}: no byte in it"):
        open_source(str(tmp_path / name), None, io.BytesIO())


def test_a_byte_order_mark_is_dropped(tmp_path):
    path = write_lines(tmp_path / "d.jsonl", b'\xef\xbb\xbf{"a": 1}\n')
    assert read_all(JsonlFile(path), ["a"]) == [{"a": 1}]


@pytest.mark.parametrize(
    ("forced", "data", "column", "value"),
    [
        (None, b'{"a": "x"}\n', "a", "x"),
        (InputFormat.JSONL, b'{"a": "x"}\n', "a", "x"),
        (InputFormat.TEXT, b"a\tb\n", "text", "a\tb"),
        (InputFormat.CSV, b"a,b\nx,y\n", "a", "x"),
        (InputFormat.TSV, b"a\tb\nx\ty\n", "b", "y"),
    ],
)
def test_standard_input_is_json_lines_unless_said_otherwise(forced, data, column, value):
    source = open_source("-", forced, io.BytesIO(data))
    assert source.name == "<stdin>"
    assert read_all(source, [column]) == [{column: value}]


def test_parquet_on_standard_input_is_read_like_a_file(tmp_path):
    table = pa.table({"id": list(range(50)), "token_ids": [[row, 1] for row in range(50)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20)
    source = open_source(
        "-", InputFormat.PARQUET, io.BytesIO((tmp_path / "a.parquet").read_bytes())
    )
    assert (source.name, source.rows, source.token_count("token_ids")) == ("<stdin>", 50, 100)
    for start in (0, 19, 45):
        rows = [row for batch in source.batches(["id"], 7, start) for row in batch.numbers]
        assert rows == list(range(start, 50))
    assert read_all(source, ["id", "token_ids"]) == table.to_pylist()


def test_parquet_on_standard_input_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": [1]}), stream)
    source = open_source("-", InputFormat.PARQUET, io.BytesIO(stream.getvalue()))
    assert list(tmp_path.iterdir()) == []
    assert read_all(source, ["id"]) == [{"id": 1}]


def test_where_standard_input_has_no_room_it_says_where(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match="Parquet on standard input is copied there") as caught:
        open_source("-", InputFormat.PARQUET, io.BytesIO(b"PAR1"))
    assert "TMPDIR" in caught.value.hint


def test_standard_input_that_is_closed_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputDataError, match="there is no standard input"):
        open_source("-", None, None)


def test_a_directory_as_standard_input_is_an_error(tmp_path):
    class Directory(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise IsADirectoryError(21, "Is a directory")

    with pytest.raises(InputDataError, match="<stdin>: cannot be read: Is a directory"):
        open_source("-", None, Directory())


def test_a_pipe_that_does_not_wait_is_made_to_wait():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as other:
        thread = threading.Timer(0.2, lambda: (other.write(b"late\n"), other.close()))
        thread.start()
        assert read_all(open_source("-", InputFormat.TEXT, stream), ["text"]) == [{"text": "late"}]
        thread.join()
