"""Parquet files laid end to end that are one Parquet file, without a byte of data rewritten.

pyarrow cannot go on with a file that it has not begun, so each part is a Parquet file of its own,
appended as it is. A reader starts from the last footer, which names the parts' row groups at the
places where they now are; the parts' own footers stay in between, read by none. So a job that died
goes on behind the last whole part, and what every part holds can be told from the file itself.
Source: github.com/apache/parquet-format, README.md and parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from fnet_cli.encoding.output.thrift_compact import (
    Struct,
    ThriftError,
    read_struct,
    write_struct,
)

MAGIC = b"PAR1"
_TAIL_BYTES = 8  # the footer's length, and the magic number
# FileMetaData, RowGroup, ColumnChunk and ColumnMetaData, by their field numbers.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
_CHUNK_OFFSETS = (2, 4, 6)  # file_offset, offset_index_offset, column_index_offset
_CHUNK_METADATA = 3
_PATH, _NUM_VALUES = 3, 5
_PAGE_OFFSETS = (9, 10, 11, 14)  # data, index and dictionary page, bloom filter
_MOST_ORDINAL = 2**15 - 1  # it is 16 bits wide, and optional


class JoinedFooter:
    """The footer of all parts together, while they come."""

    def __init__(self) -> None:
        self._whole: Struct | None = None
        self._groups: list[bytes] = []  # hundreds of bytes each, where a struct takes kilobytes
        self.rows = 0

    def add(self, part_footer: bytes | memoryview, start: int) -> None:
        """Take in a part whose bytes stand at `start`; raises ThriftError where it is no footer."""
        part = read_struct(part_footer)
        if not {_NUM_ROWS, _ROW_GROUPS} <= set(part):
            raise ThriftError("the footer lacks its row groups")
        if self._whole is None:
            self._whole = part
        for group in part[_ROW_GROUPS].value.items:
            _move(group, start, len(self._groups))
            self._groups.append(write_struct(group))
        self.rows += part[_NUM_ROWS].value

    def dump(self) -> bytes:
        """Return what ends the file: the footer, its length and the magic number."""
        if self._whole is None:
            raise ValueError("a Parquet file needs a part, be it without rows")
        self._whole[_NUM_ROWS].value = self.rows
        self._whole[_ROW_GROUPS].value.items = self._groups
        data = write_struct(self._whole)
        return data + len(data).to_bytes(4, "little") + MAGIC


def _move(group: Struct, start: int, ordinal: int) -> None:
    """Say of a row group that it stands `start` bytes later, as the `ordinal`-th of the file."""
    _shift(group, (_GROUP_OFFSET,), start)
    if ordinal > _MOST_ORDINAL:
        group.pop(_ORDINAL, None)
    elif _ORDINAL in group:
        group[_ORDINAL].value = ordinal
    for chunk in group[_COLUMNS].value.items:
        _shift(chunk, _CHUNK_OFFSETS, start)
        _shift(chunk[_CHUNK_METADATA].value, _PAGE_OFFSETS, start)


def _shift(struct: Struct, numbers: tuple[int, ...], by: int) -> None:
    for number in numbers:
        # pyarrow writes 0 for places that are not there.
        if number in struct and struct[number].value > 0:
            struct[number].value += by


def footers_in(file: BinaryIO, ends: list[int]) -> Iterator[bytes]:
    """Yield the footers of parts that end at `ends`; raises ThriftError where one does not."""
    for end in ends:
        file.seek(end - _TAIL_BYTES)
        tail = file.read(_TAIL_BYTES)
        size = int.from_bytes(tail[:4], "little")
        if tail[4:] != MAGIC or size > end - _TAIL_BYTES:
            raise ThriftError("not the end of a Parquet file")
        file.seek(end - _TAIL_BYTES - size)
        yield file.read(size)


def values_in(footer: bytes, column: str) -> int:
    """Return how many values a footer states for a top-level column, in all its row groups.

    pyarrow says it too, but ends the process over some damaged footers. Raises ThriftError for a
    footer that is none.
    """
    total = 0
    try:
        for group in read_struct(footer)[_ROW_GROUPS].value.items:
            for chunk in group[_COLUMNS].value.items:
                metadata = chunk[_CHUNK_METADATA].value
                if metadata[_PATH].value.items[0] == column.encode():
                    total += int(metadata[_NUM_VALUES].value)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise ThriftError("the footer lacks a column's metadata") from error
    return total
