"""Lines of a text file or stream, in blocks: decompression, line numbers, UTF-8, read errors."""

from __future__ import annotations

import codecs
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from fnet_cli.constants import LINE_BLOCK_BYTES, MAX_LINE_BYTES
from fnet_cli.encoding.readers.places import InputFile
from fnet_cli.encoding.readers.suffixes import CODECS
from fnet_cli.errors import InputDataError

STDIN_NAME = "<stdin>"
NOT_UTF8 = "not valid UTF-8"
UTF8_HINT = "write the text as UTF-8; iconv converts other encodings"


@dataclass(frozen=True)
class LineBlock:
    """Whole lines of one source, end to end, each but the very last with its line feed.

    `first` is the number of the first line, from 1, and `count` how many there are. Any bytes
    may be in them: only `text` says whether they are UTF-8. `offset` is the first one's place among
    the bytes of the source, decompressed.
    """

    name: str
    first: int
    count: int
    data: bytes
    offset: int = 0

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.count - 1

    def text(self, *, tolerant: bool = False) -> str:
        """Return the lines decoded; InputDataError naming the first byte that is not UTF-8.

        Where that is tolerated, such a byte becomes a lone surrogate, which no text holds.
        """
        try:
            return self.data.decode(errors="surrogateescape" if tolerant else "strict")
        except UnicodeDecodeError as error:
            line = self.first + self.data.count(b"\n", 0, error.start)
            byte = error.start - self.data.rfind(b"\n", 0, error.start)
            raise InputDataError(
                f"{self.name}: line {line}: {not_utf8(byte, self.data[error.start])}",
                hint=UTF8_HINT,
            ) from None


def not_utf8(byte: int, value: int) -> str:
    """Return what is said of a line with such a `value` at `byte`, counted from 1."""
    return f"{NOT_UTF8}: byte {byte} of the line is 0x{value:02x}"


def fault_of(text: str) -> str | None:
    """Return why a text that was decoded with tolerance is none, or None."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = len(text[: error.start].encode()) + 1
        return not_utf8(byte, ord(text[error.start]) & 0xFF)
    return None


def printable(text: str) -> str:
    """Return a text that was decoded with tolerance so that it can be written."""
    return text.encode(errors="replace").decode()


@dataclass(frozen=True)
class Mark:
    """A place between lines: the rows before it, the number of the line behind it, its byte."""

    row: int = 0
    line: int = 1
    offset: int = 0


_START = Mark()


class MarkedLines:
    """The lines of a file, of which a later reading may begin near any row.

    A compressed file has no such places but its start.
    """

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._marks = [_START]
        self._is_plain = Path(file.name).suffix.lower() not in CODECS

    def blocks(self, rows: Callable[[], int]) -> Iterator[LineBlock]:
        """Yield all lines; `rows` says how many rows there are in the blocks before."""
        del self._marks[1:]
        for block in file_blocks(self._file):
            if self._is_plain and block.first > 1:
                self._marks.append(Mark(rows(), block.first, block.offset))
            yield block

    def from_row(self, start: int) -> tuple[Iterator[LineBlock], int]:
        """Return the lines from a mark before the `start`-th row on, and the rows in between."""
        mark = self._marks[bisect_right(self._marks, start, key=lambda mark: mark.row) - 1]
        return file_blocks(self._file, mark), start - mark.row


def file_blocks(file: InputFile, mark: Mark = _START) -> Iterator[LineBlock]:
    """Yield the lines of a file, decompressed as its suffix says, from a mark on.

    Raises InputDataError where it cannot be read to its end, or a line is over MAX_LINE_BYTES.
    """
    codec = CODECS.get(Path(file.name).suffix.lower())
    with _read_errors(file.name), file.streamed(mark.offset) as raw:
        if codec and not file.stamp().size:
            raise InputDataError(f"{file.name}: no byte in it; an empty {codec} file has some")
        read = pa.CompressedInputStream(raw, codec).read if codec else raw.read
        yield from _blocks(read, file.name, mark)


def stream_blocks(stream: BinaryIO, name: str) -> Iterator[LineBlock]:
    """Yield the lines of a stream as they arrive; raises as `file_blocks` does."""
    with suppress(AttributeError, OSError, ValueError):  # a stream in memory has no descriptor
        # Without a wait, read1 says of a pipe with nothing in it yet what it says of one at its
        # end, and the rows to come would be lost.
        os.set_blocking(stream.fileno(), True)
    with _read_errors(name):
        # read1 returns what is there, so that the first rows do not wait for a full block.
        yield from _blocks(getattr(stream, "read1", stream.read), name)


@contextmanager
def _read_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputDataError(f"{name}: no such file") from error
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputDataError(f"{name}: cannot be read: {reason}") from error


def _blocks(read: Callable[[int], bytes], name: str, mark: Mark = _START) -> Iterator[LineBlock]:
    line, offset = mark.line, mark.offset
    pending = bytearray()
    while data := read(LINE_BLOCK_BYTES):
        end = data.rfind(b"\n") + 1
        if len(pending) + (data.find(b"\n") if end else len(data)) > MAX_LINE_BYTES:
            raise InputDataError(f"{name}: line {line} is longer than {MAX_LINE_BYTES:,} bytes")
        if not end:
            pending += data
            continue
        lines = b"".join((pending, memoryview(data)[:end]))
        block = _block(name, line, lines, offset)
        pending = bytearray(data[end:])
        yield block
        line, offset = line + block.count, offset + len(lines)
    last = _block(name, line, bytes(pending), offset)
    if last.count:
        yield last


def _block(name: str, first: int, data: bytes, offset: int) -> LineBlock:
    if first == 1:
        data = data.removeprefix(codecs.BOM_UTF8)
    unended = bool(data) and not data.endswith(b"\n")
    return LineBlock(name, first, data.count(b"\n") + unended, data, offset)
