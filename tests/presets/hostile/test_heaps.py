"""No heap of an HDF5 file is overlooked, and no weight is taken for one."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
from builders import TINY, random_tensors, write_preset

from fnet_cli.constants import WEIGHTS_FILE
from fnet_cli.errors import UnsafePresetError
from fnet_cli.presets.layouts.hdf5_heaps import check_heaps

WINDOW = 256 * 1024
START = b"\x89HDF\r\n\x1a\n" + bytes(5) + b"\x08\x08" + bytes(100)


def heap(block: int, address: int) -> bytes:
    """Return a heap of 64 bytes, right behind its head, whose free block leads to itself."""
    free = struct.pack("<2Q", block, 16).rjust(block + 16, b"\0").ljust(64, b"\0")
    return b"HEAP" + bytes(4) + struct.pack("<3Q", 64, block, address + 32) + free


@pytest.mark.parametrize(
    "address", [115, 116, 5001, *range(WINDOW - 20, WINDOW + 4), 2 * WINDOW - 12, 3 * WINDOW + 1]
)
def test_a_circle_is_found_at_every_address(tmp_path, address):
    path = tmp_path / WEIGHTS_FILE
    path.write_bytes(START.ljust(address, b"\0") + heap(24, address) + bytes(100_000))
    with pytest.raises(UnsafePresetError, match=f"at byte {address:,}, run in a circle"):
        check_heaps(path)


def test_weights_that_look_like_a_heap_are_weights(tmp_path):
    tensors = random_tensors(TINY)
    table = tensors["token_embedding/embeddings"]
    table[:] = np.frombuffer((b"HEAP" + bytes(4) + b"\x3f" * 120) * len(table), "f4").reshape(
        table.shape
    )
    write_preset(tmp_path, TINY, tensors)
    check_heaps(tmp_path / WEIGHTS_FILE)


def test_a_file_with_many_groups_is_sound(tmp_path):
    with h5py.File(tmp_path / WEIGHTS_FILE, "w") as file:
        for index in range(600):
            file.create_group(f"layers/{'long' * 20}{index}/vars")
    check_heaps(tmp_path / WEIGHTS_FILE)


def test_more_heaps_than_any_model_has_are_refused(tmp_path):
    path = tmp_path / WEIGHTS_FILE
    sound = b"HEAP" + bytes(4) + struct.pack("<3Q", 64, 1, 200)
    path.write_bytes(START + sound * 60_000)
    with pytest.raises(UnsafePresetError, match="more groups than any model"):
        check_heaps(path)
