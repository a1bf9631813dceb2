"""Plain text: every line is a row, whatever is in it, and a bad byte is found before the work."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_files import numbers, read_all, small_blocks, write_lines

from fnet_cli.encoding.readers import lines
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.encoding.readers.places import LocalFile
from fnet_cli.encoding.readers.text import TextFile, TextStream
from fnet_cli.errors import InputDataError

PROPERTY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Bytes that mean something to a line splitter, among others.
PIECES = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"a", b"", b"\xc3\xa9", b"\xe2\x80\xa8", b"\x85", b"\xff", b"\xc3",
     b"\x00", b"\x0b", b"\x0c", b"\x1c", b"\xef\xbb\xbf", b" ", b'"', b"\xf0\x9f\x98\x80"]
)  # fmt: skip
CONTENT = st.lists(PIECES, max_size=40).map(b"".join)


def texts(source, max_rows=1000) -> list[str]:
    return [row["text"] for row in read_all(source, ["text"], max_rows)]


def split(data: bytes) -> list[bytes]:
    """Return the lines of `data` by a regular expression: what the reader must come to."""
    found = re.split(rb"\r?\n", data.removeprefix(b"\xef\xbb\xbf"))
    return found if found[-1] else found[:-1]


@pytest.mark.parametrize("name", ["d.txt", "d.txt.gz", "d.TXT.zst"])
def test_a_line_is_a_row_plain_and_compressed(tmp_path, name):
    source = open_source(write_lines(tmp_path / name, "one\ntwo 😀\n"), None, None)
    assert (source.rows, source.token_count("text")) == (2, None)
    assert source.schema == pa.schema([("text", pa.string())])
    assert texts(source) == ["one", "two 😀"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"\n\na", ["", "", "a"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\r\nb\r", ["a\r", "b\r"]),
        (b"a\rb\n", ["a\rb"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbf\n", [""]),
        (b"a\x00b\n\x00\n", ["a\x00b", "\x00"]),
        (b"  a \t\n \n", ["  a \t", " "]),
        ("a\u2028b\x0bc\x85d\x1ce\n".encode(), ["a\u2028b\x0bc\x85d\x1ce"]),
    ],
)
def test_only_line_feeds_end_lines_and_every_line_is_a_row(tmp_path, data, expected):
    path = write_lines(tmp_path / "d.txt", data)
    assert TextFile(path).rows == len(expected)
    assert texts(TextFile(path)) == expected
    assert texts(TextStream(io.BytesIO(data))) == expected


def test_rows_are_numbered_as_lines_from_1(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 7)
    path = write_lines(tmp_path / "d.txt", "".join(f"line {i}\n" for i in range(1, 31)))
    assert numbers(TextFile(path), ["text"], max_rows=2) == list(range(1, 31))
    places = [rows.where(0) for rows in TextFile(path).batches(["text"], 1)]
    assert places[8] == f"{path}: line 9"


def test_no_batch_is_larger_than_asked(tmp_path):
    source = TextFile(write_lines(tmp_path / "d.txt", "x\n" * 10))
    assert [len(rows.numbers) for rows in source.batches(["text"], 4)] == [4, 4, 2]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_byte_that_is_not_utf8_is_named_when_the_file_is_opened(tmp_path, suffix):
    path = write_lines(tmp_path / f"d.txt{suffix}", "één\r\n\nzwei ".encode() + b"\xff!\nvier\n")
    with pytest.raises(InputDataError) as caught:
        TextFile(path)
    assert str(caught.value) == f"{path}: line 3: not valid UTF-8: byte 6 of the line is 0xff"
    assert "iconv" in caught.value.hint


def test_a_byte_that_is_not_utf8_is_named_on_a_stream_after_the_good_lines(monkeypatch):
    small_blocks(monkeypatch, 4)
    rows = TextStream(io.BytesIO(b"one\ntwo\nth\xe9\nfour\n")).batches(["text"], 10)
    assert [next(rows).batch.to_pylist(), next(rows).batch.to_pylist()] == [
        [{"text": "one"}], [{"text": "two"}]
    ]  # fmt: skip
    with pytest.raises(InputDataError, match="<stdin>: line 3: not valid UTF-8: byte 3 of"):
        next(rows)


@PROPERTY
@given(CONTENT, st.integers(1, 20), st.integers(1, 5))
def test_any_bytes_are_the_lines_of_a_plain_split_or_name_the_first_bad_line(
    tmp_path, data, block, max_rows
):
    expected = split(data)
    bad = next((i for i, line in enumerate(expected) if not is_utf8(line)), None)
    path = write_lines(tmp_path / "d.txt", data)
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, block)
        for opened in (lambda: TextFile(path), lambda: TextStream(io.BytesIO(data))):
            try:
                found = texts(opened(), max_rows)
            except InputDataError as error:
                assert bad is not None
                assert f": line {bad + 1}: not valid UTF-8" in str(error)
            else:
                assert bad is None
                assert found == [line.decode() for line in expected]
                assert numbers(opened(), ["text"]) == list(range(1, len(expected) + 1))


def is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_line_over_the_limit_is_refused_wherever_blocks_end(tmp_path, monkeypatch):
    for block in (1, 7, 50):
        small_blocks(monkeypatch, block, longest_line=100)
        path = write_lines(tmp_path / "d.txt", "a\nb\n" + "x" * 100 + "\r\nc\n")
        with pytest.raises(InputDataError, match="line 3 is longer than 100 bytes"):
            TextFile(path)
        write_lines(Path(path), "a\nb\n" + "x" * 100 + "\nc\n" + "y" * 100)
        assert TextFile(path).rows == 5


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_cut_at_any_place_is_refused(tmp_path, suffix):
    whole = Path(write_lines(tmp_path / f"d.txt{suffix}", "some words\n" * 100)).read_bytes()
    path = tmp_path / f"cut.txt{suffix}"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(InputDataError, match=f"cut.txt{suffix}: "):
            TextFile(str(path))


def test_a_gzip_file_whose_checksum_is_off_is_refused(tmp_path):
    data = bytearray(gzip.compress(b"some words\n" * 100))
    data[-6] ^= 1
    (tmp_path / "d.txt.gz").write_bytes(data)
    with pytest.raises(InputDataError, match="d.txt.gz: cannot be read: zlib inflate failed"):
        TextFile(str(tmp_path / "d.txt.gz"))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_plain_file_under_the_name_of_a_compressed_one_is_refused(tmp_path, suffix):
    (tmp_path / f"d.txt{suffix}").write_text("some words\n")
    with pytest.raises(InputDataError, match="cannot be read"):
        TextFile(str(tmp_path / f"d.txt{suffix}"))


def test_files_of_several_members_are_read_to_the_end(tmp_path):
    parts = [b"one\n", b"", b"two\nth", b"ree"]
    (tmp_path / "d.txt.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    frames = [pa.compress(part, codec="zstd", asbytes=True) for part in parts]
    (tmp_path / "d.txt.zst").write_bytes(b"".join(frames))
    for name in ("d.txt.gz", "d.txt.zst"):
        assert texts(TextFile(str(tmp_path / name))) == ["one", "two", "three"]


def test_rows_of_a_stream_come_before_the_next_are_there():
    asked = 0

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            nonlocal asked
            asked += 1
            return [b"one\ntw", b"o\n", b""][asked - 1]

    rows = TextStream(Slow()).batches(["text"], 10)
    assert asked == 0
    assert next(rows).batch.to_pylist() == [{"text": "one"}]
    assert asked == 1
    assert next(rows).batch.to_pylist() == [{"text": "two"}]


def test_no_column_is_also_a_choice_and_keeps_the_count(tmp_path):
    source = TextFile(write_lines(tmp_path / "d.txt", "a\nb\n"))
    assert numbers(source, []) == [1, 2]


def test_blocks_hold_whole_lines_and_their_numbers():
    blocks = list(lines.stream_blocks(io.BytesIO(b"a\nb\nc"), "it"))
    assert [(block.first, block.count, block.last, block.data) for block in blocks] == [
        (1, 2, 2, b"a\nb\n"), (3, 1, 3, b"c")
    ]  # fmt: skip


# --- From the middle on -----------------------------------------------------------------------


def numbered(source, start: int = 0) -> list[tuple[int, str]]:
    """Return the rows from one on, each with its line."""
    return [
        (number, row["text"])
        for rows in source.batches(["text"], 9, start)
        for number, row in zip(rows.numbers.tolist(), rows.batch.to_pylist(), strict=True)
    ]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.txt", "rows.jsonl.gz", "rows.txt.zst"])
def test_reading_from_a_row_on_gives_what_reading_from_the_start_does(tmp_path, monkeypatch, name):
    small_blocks(monkeypatch, 100)
    content = [f'{{"text": "line {row}"}}' + " " * (row % 30) for row in range(80)]
    if "jsonl" in name:
        content.insert(11, "")  # a line, and no row
    source = open_source(write_lines(tmp_path / name, "\ufeff" + "\n".join(content)), None, None)
    everything = numbered(source)
    assert len(everything) == source.rows == 80
    for start in range(81):
        assert numbered(source, start) == everything[start:]


def test_of_lines_only_what_is_near_is_read_again(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 1000)
    path = tmp_path / "rows.txt"
    source = open_source(write_lines(path, "x" * 99 + "\n" + "z\n" * 4000), None, None)
    offsets, streamed = [], LocalFile.streamed
    monkeypatch.setattr(
        LocalFile, "streamed", lambda file, offset: offsets.append(offset) or streamed(file, offset)
    )
    assert numbered(source, 4000) == [(4001, "z")]
    assert 0 <= path.stat().st_size - offsets[0] <= 1000


def test_lines_that_have_changed_since_they_were_counted_are_refused(tmp_path):
    path = tmp_path / "rows.txt"
    source = open_source(write_lines(path, "one\ntwo\n"), None, None)
    write_lines(path, "one\ntwo\nthree\n")
    with pytest.raises(InputDataError, match="it changed while it was read"):
        texts(source)
