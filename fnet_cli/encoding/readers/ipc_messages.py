"""What the record batches of an Arrow IPC file say of themselves, without reading them.

pyarrow tells how many rows there are only by reading them, and makes room for whatever size a
compressed buffer states. Both stand in the messages' metadata, which is FlatBuffers: tables whose
fields are found through a vtable. Source: arrow.apache.org/docs/format/Columnar.html, and
format/{File,Message}.fbs in apache/arrow.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

FILE_MAGIC = b"ARROW1"
_CONTINUATION = 0xFFFFFFFF  # before a message's length, since 0.15
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
# How pyarrow 0.17 said of a batch that it is compressed.
_OLD_COMPRESSION = b"ARROW:experimental_compression"
_MOST_METADATA_BYTES = 1 << 28


class IpcError(ValueError):
    """The bytes are no message, or are cut off."""


@dataclass(frozen=True)
class Stated:
    """What a message says of a batch: its rows, its bytes in the file, and when decompressed."""

    is_dictionary: bool
    rows: int
    stored: int
    decompressed: int


def stated_batches(file: BinaryIO) -> Iterator[Stated]:
    """Yield what the batches of an open file or stream state, in order; raises IpcError."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        if file.read(len(FILE_MAGIC)) != FILE_MAGIC:
            yield from _of_stream(file, end)
            return
        for at in _blocks(file, end):
            message = _message(file, at, end)
            if message is None:
                raise IpcError("there is no message where the footer states one")
            yield from _of_message(file, *message)
    except (struct.error, IndexError) as error:
        raise IpcError("its metadata is cut off") from error


def _of_stream(file: BinaryIO, end: int) -> Iterator[Stated]:
    at = 0
    while at < end:
        message = _message(file, at, end)
        if message is None:
            return
        yield from _of_message(file, *message)
        at = message[1] + _Table.root(message[0]).integer(3, "<q")


def _message(file: BinaryIO, at: int, end: int) -> tuple[bytes, int] | None:
    """Return a message's metadata and where its body begins, or None at the end of a stream."""
    file.seek(at)
    (size,) = struct.unpack("<I", file.read(4))
    begin = at + 4
    if size == _CONTINUATION:
        (size,) = struct.unpack("<I", file.read(4))
        begin += 4
    if size == 0:
        return None
    if size > min(end - begin, _MOST_METADATA_BYTES):
        raise IpcError(f"a message states {size} bytes of metadata")
    return file.read(size), begin + size


def _blocks(file: BinaryIO, end: int) -> Iterator[int]:
    """Yield where the footer of a file says that its dictionaries and record batches are."""
    tail = len(FILE_MAGIC) + 4
    file.seek(max(0, end - tail))
    (size,) = struct.unpack("<i", file.read(4))
    if not 0 < size <= min(end - tail, _MOST_METADATA_BYTES):
        raise IpcError(f"it states {size} bytes of footer")
    file.seek(end - tail - size)
    footer = _Table.root(file.read(size))
    for slot in (2, 3):
        for at in footer.structs(slot, 24):
            (offset,) = struct.unpack_from("<q", footer.data, at)
            if not 0 <= offset < end:
                raise IpcError(f"a message is stated to be at {offset}")
            yield offset


def _of_message(file: BinaryIO, metadata: bytes, body: int) -> Iterator[Stated]:
    end = file.seek(0, os.SEEK_END)
    message = _Table.root(metadata)
    kind, size = message.integer(1, "<B"), message.integer(3, "<q")
    if not 0 <= size <= end - body:
        raise IpcError(f"a message states {size} bytes where there are {end - body}")
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return
    batch = message.table(2)
    if batch is not None and kind == _DICTIONARY_BATCH:
        batch = batch.table(1)
    if batch is None:
        raise IpcError("a message lacks its batch")
    decompressed = size
    if batch.table(3) is not None or _OLD_COMPRESSION in metadata:
        buffers = [struct.unpack_from("<qq", metadata, at) for at in batch.structs(2, 16)]
        decompressed = sum(_decompressed(file, body + at, length) for at, length in buffers)
    yield Stated(kind == _DICTIONARY_BATCH, batch.integer(0, "<q"), size, decompressed)


def _decompressed(file: BinaryIO, at: int, length: int) -> int:
    """Return what a compressed buffer states in front; -1 there says that it is not compressed."""
    if length < 8:
        return max(0, length)
    if at < 0:
        raise IpcError("a buffer is before its batch")
    file.seek(at)
    (size,) = struct.unpack("<q", file.read(8))
    return length if size < 0 else int(size)


@dataclass(frozen=True)
class _Table:
    """A table of FlatBuffers: where it is in `data`; fields are known by their slot."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """Return the table that `data` is of."""
        return cls(data, struct.unpack_from("<I", data)[0])

    def _field(self, slot: int) -> int | None:
        """Return where a field is, or None where it is left out."""
        vtable = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        if vtable < 0:
            raise IpcError("a table has no vtable")
        (size,) = struct.unpack_from("<H", self.data, vtable)
        if 4 + 2 * slot + 2 > size:
            return None
        (offset,) = struct.unpack_from("<H", self.data, vtable + 4 + 2 * slot)
        return self.at + offset if offset else None

    def integer(self, slot: int, form: str) -> int:
        """Return a number, 0 where it is left out."""
        at = self._field(slot)
        return 0 if at is None else int(struct.unpack_from(form, self.data, at)[0])

    def table(self, slot: int) -> _Table | None:
        """Return a table in this one."""
        at = self._field(slot)
        if at is None:
            return None
        return _Table(self.data, at + struct.unpack_from("<I", self.data, at)[0])

    def structs(self, slot: int, size: int) -> range:
        """Return where the structs of a vector begin, each of `size` bytes."""
        at = self._field(slot)
        if at is None:
            return range(0)
        at += struct.unpack_from("<I", self.data, at)[0]
        (count,) = struct.unpack_from("<I", self.data, at)
        if at + 4 + count * size > len(self.data):
            raise IpcError("a list is longer than its message")
        return range(at + 4, at + 4 + count * size, size)
