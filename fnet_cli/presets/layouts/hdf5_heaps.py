"""A look at the names of an HDF5 file's groups, before HDF5 itself takes it.

Old groups keep their names in a local heap, whose free blocks form a list. HDF5 1.14 follows
that list without end where it leads back to itself, and takes memory at every step until there is
none: a file of a few kilobytes stops a machine. Since nothing but the heaps' signature is known
of where they are, all of a file is looked through for it, at some 4 GB/s.

Source: HDF5 File Format Specification 3.0, sections II.A and III.D.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fnet_cli.errors import PresetError, UnsafePresetError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Where each version of the superblock states the width of addresses and of lengths.
_WIDTHS = {0: 13, 1: 13, 2: 9, 3: 9}
_WIDTH = 8
_HEAP = b"HEAP\0"
# Its first two letters, at an even address or an odd one.
_EVEN, _ODD = np.frombuffer(b"HEEA", "<u2")
# Fits a cache of the processor, which is twice as fast as more would be.
_WINDOW_BYTES = 256 * 1024
_OVERLAP_BYTES = 8
# Far more than the groups of the largest model have.
_MAX_HEAPS = 50_000
_MAX_HEAP_BYTES = 1024 * 1024
_LAST_BLOCK = 1
_MAX_STEPS = 1_000_000


def check_heaps(path: Path) -> None:
    """Raise UnsafePresetError for a file in which HDF5 would lose its way, PresetError for none.

    OSError where the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        at = _WIDTHS.get(head[8]) if len(head) == 64 and head.startswith(_SIGNATURE) else None
        # HDF5 looks for a signature further on, too. Keras writes it at the start.
        if at is None:
            raise PresetError(f"{path}: not a readable HDF5 file: it has another beginning")
        if (head[at], head[at + 1]) != (_WIDTH, _WIDTH):
            raise UnsafePresetError(f"{path}: not a readable HDF5 file: addresses of other widths")
        steps = 0
        for count, place in enumerate(_places(file, size)):
            steps += _free_blocks(file, place, size, path)
            if count > _MAX_HEAPS or steps > _MAX_STEPS:
                raise UnsafePresetError(f"{path}: has more groups than any model")


def _places(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield every address that a heap may have; the file may be moved in between."""
    for start in range(0, size, _WINDOW_BYTES - _OVERLAP_BYTES):
        file.seek(start)
        window = file.read(_WINDOW_BYTES)
        words = np.frombuffer(window, "<u2", len(window) // 2)
        found = np.flatnonzero((words == _EVEN) | (words == _ODD))
        for place in (2 * found - (words[found] == _ODD)).tolist():
            if place >= 0 and window.startswith(_HEAP, place):
                yield start + place


def _free_blocks(file: BinaryIO, place: int, size: int, path: Path) -> int:
    """Follow a heap's list of free blocks and return how many there are."""

    def numbers(address: int, count: int) -> list[int]:
        file.seek(address)
        data = file.read(count * _WIDTH).ljust(count * _WIDTH, b"\0")
        return list(struct.unpack(f"<{count}Q", data))

    length, block, data = numbers(place + 8, 3)
    if data + length > size:
        return 0  # by chance, bytes of a weight; of a group, HDF5 refuses it
    if length > _MAX_HEAP_BYTES:
        raise UnsafePresetError(f"{path}: the names of a group take {length:,} bytes")
    # A block has at least the place of the next one and its own size.
    for step in range(length // (2 * _WIDTH) + 1):
        if block == _LAST_BLOCK or block >= length:
            return step
        block = numbers(data + block, 1)[0]
    raise UnsafePresetError(f"{path}: the names of a group, at byte {place:,}, run in a circle")
