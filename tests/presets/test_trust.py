"""A preset is data: whatever its bytes are, nothing runs, and what is wrong is one line."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import TINY, random_tensors, write_config, write_preset

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.constants import WEIGHTS_FILE
from fnet_cli.errors import ExitCode, PresetError, UnsafePresetError
from fnet_cli.presets.fingerprint import weights_sha256
from fnet_cli.presets.layouts.keras_h5 import WeightReader
from fnet_cli.presets.resolving import resolve_preset

DAMAGED_COPIES = 150


def test_a_module_that_a_config_names_is_not_imported(tmp_path, monkeypatch):
    from fnet_cli import FNetBackbone

    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    write_preset(tmp_path / "preset")
    write_config(tmp_path / "preset", module="evil_module", class_name="Evil")
    assert isinstance(FNetBackbone.from_preset(tmp_path / "preset"), FNetBackbone)
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_weight_file_with_damaged_bytes_is_read_or_refused_in_one_line(tmp_path, seed):
    # Weights of zero, so that every other byte is HDF5's own.
    zeros = {name: np.zeros_like(tensor) for name, tensor in random_tensors(TINY).items()}
    write_preset(tmp_path, TINY, zeros)
    whole = np.fromfile(tmp_path / WEIGHTS_FILE, np.uint8)
    places = np.flatnonzero(whole)
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(DAMAGED_COPIES):
        damaged = whole.copy()
        damaged[rng.choice(places, 2)] = rng.choice([0, 1, 2, 127, 255], 2)
        (tmp_path / WEIGHTS_FILE).write_bytes(damaged.tobytes())
        try:
            with WeightReader(tmp_path, TINY) as reader:
                assert len(dict(reader.tensors())) == len(zeros)
        except PresetError as error:
            refused += 1
            assert "\n" not in str(error)
            assert str(tmp_path) in str(error)
    assert refused > DAMAGED_COPIES / 4


def share_one_chunk(path: Path, rows: int, chunks: int) -> None:
    """Let every chunk of the token table lie where the first does, and cut off the others."""
    with h5py.File(path, "r+") as file:
        name = "layers/reversible_embedding/vars/0"
        del file[name]
        table = file.create_dataset(name, (rows, 32), "f4", chunks=(rows // chunks, 32))
        table[...] = 1
        infos = [table.id.get_chunk_info(i) for i in range(table.id.get_num_chunks())]
    starts = sorted(info.byte_offset for info in infos)
    data = path.read_bytes()
    whole = len(data)
    for start in starts[1:]:
        data = data.replace(struct.pack("<Q", start), struct.pack("<Q", starts[0]))
    data = data[: starts[0] + infos[0].size]
    # The superblock states the length of the file.
    path.write_bytes(data.replace(struct.pack("<Q", whole), struct.pack("<Q", len(data)), 1))


def test_chunks_that_share_their_bytes_are_no_weights(tmp_path):
    rows = 6000
    config = BackboneConfig(rows, 2, 32, 64, max_sequence_length=40)
    write_preset(tmp_path, TINY)
    share_one_chunk(tmp_path / WEIGHTS_FILE, rows, chunks=60)
    # The file is sound to HDF5, which gives more bytes than it has.
    with h5py.File(tmp_path / WEIGHTS_FILE) as file:
        table = file["layers/reversible_embedding/vars/0"]
        assert table.id.get_storage_size() == table[()].nbytes == rows * 32 * 4
        assert table.nbytes > (tmp_path / WEIGHTS_FILE).stat().st_size
    with pytest.raises(UnsafePresetError, match="the weights claim 8.*bytes, the files") as caught:
        WeightReader(tmp_path, config)
    assert caught.value.exit_code == ExitCode.PRESET
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "model.weights.json"])
def test_a_fifo_is_refused_and_not_waited_for(tmp_path, name):
    write_preset(tmp_path, TINY)
    if name == "model.weights.json":
        (tmp_path / "model.weights.h5").unlink()
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(PresetError, match="not a regular file|has no (config|model)"):
        weights_sha256(resolve_preset(str(tmp_path), Settings()))
