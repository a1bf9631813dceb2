"""The plainest of tar files: regular files only, one header of 512 bytes before each.

Headers are read one by one, and what would make a reader allocate, follow or overwrite is refused
by its type before anything else of it is used: links, devices, sparse files, and the extended
headers whose length a file chooses. Format: ustar, POSIX.1-1988.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fnet_cli.errors import IntegrityError, PresetError, UnsafePresetError
from fnet_cli.presets.store.manifest import check_name

BLOCK_BYTES = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK_BYTES)
_COPY_BYTES = 1024 * 1024
_MAGIC = slice(257, 262)
# What eleven octal digits can state.
_USTAR_BYTES = 8**11
# Zeros that fill the last record of any tar program's.
_MAX_PADDING = 1024 * 1024
_KINDS = {
    tarfile.LNKTYPE: "a hard link", tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device", tarfile.DIRTYPE: "a directory",
    tarfile.FIFOTYPE: "a FIFO", tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.XHDTYPE: "an extended header", tarfile.XGLTYPE: "an extended header",
    tarfile.SOLARIS_XHDTYPE: "an extended header", tarfile.GNUTYPE_LONGNAME: "a long name",
    tarfile.GNUTYPE_LONGLINK: "a long name",
}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


def header_of(name: str, size: int) -> bytes:
    """Return the header of a file, the same for every user and at every time.

    Raises PresetError for a name that has no room in one.
    """
    info = tarfile.TarInfo(name)
    info.size = size
    try:
        header = info.tobuf(tarfile.USTAR_FORMAT if size < _USTAR_BYTES else tarfile.GNU_FORMAT)
    except ValueError as error:
        raise PresetError(f"{name:.120}: {error}, for an archive") from error
    if len(header) != BLOCK_BYTES:
        raise PresetError(f"{name:.120}: name is too long, for an archive")
    return header


def padding_of(size: int) -> int:
    """Return how many zeros follow a file of `size` bytes."""
    return -size % BLOCK_BYTES


def copy(source: BinaryIO, sink: BinaryIO, size: int) -> tuple[str, int]:
    """Copy up to `size` bytes; return the sha256 of what was copied, and its size. OSError."""
    digest = hashlib.sha256()
    copied = 0
    while copied < size and (data := source.read(min(_COPY_BYTES, size - copied))):
        digest.update(data)
        sink.write(data)
        copied += len(data)
    return digest.hexdigest(), copied


def read_members(stream: BinaryIO, where: str) -> Iterator[Member]:
    """Yield the files of an archive in their order, none of their bytes read.

    The stream may be moved in between. Memory does not depend on the archive. Raises PresetError
    for what is no archive or is cut short, IntegrityError for a damaged header, and
    UnsafePresetError for a member that is no plain file or whose name leads elsewhere.
    """
    total = stream.seek(0, os.SEEK_END)
    position = 0
    while True:
        stream.seek(position)
        block = stream.read(BLOCK_BYTES)
        if position == 0 and block[_MAGIC] != b"ustar":
            raise not_an_archive(where)
        if len(block) < BLOCK_BYTES:
            raise _cut_short(where)
        if not any(block):
            break
        member = _member(block, position, where)
        position = member.offset + member.size + padding_of(member.size)
        if position > total:
            raise _cut_short(where)
        yield member
    _check_end(stream, total - position, where)


def not_an_archive(where: str) -> PresetError:
    """Return the error for a file of another kind."""
    return PresetError(
        f"{where}: not an archive of a preset",
        hint="fnet presets export NAME -o FILE writes one; it is not compressed",
    )


def _member(block: bytes, position: int, where: str) -> Member:
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "surrogateescape")
    except tarfile.HeaderError as error:
        raise IntegrityError(f"{where}: the header at byte {position:,} is damaged") from error
    if block[_MAGIC] != b"ustar":
        raise IntegrityError(f"{where}: the header at byte {position:,} is of another format")
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = _KINDS.get(info.type, f"of kind {info.type!r}")
        raise UnsafePresetError(f"{where}: {info.name!r:.120} is {kind}, not a plain file")
    if info.size < 0:
        raise UnsafePresetError(f"{where}: {info.name!r:.120} has a negative size")
    return Member(check_name(info.name, where), position + BLOCK_BYTES, info.size)


def _check_end(stream: BinaryIO, left: int, where: str) -> None:
    """Require the second block of zeros, and nothing but more of them after it."""
    if left < 2 * BLOCK_BYTES:
        raise _cut_short(where)
    if left > _MAX_PADDING or any(stream.read(left)):
        raise IntegrityError(f"{where}: more bytes follow after its end")


def _cut_short(where: str) -> PresetError:
    return PresetError(f"{where}: cut short", hint="copy it again")
