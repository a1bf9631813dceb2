"""What is encoded, and with what: synthetic presets, and files of seeded token rows.

python benchmarks/inputs.py DIRECTORY base     writes a preset of that size
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.presets.registry import BUILTIN_PRESETS
from fnet_cli.presets.resolving import LocalPreset, resolve_preset

# The seeded weights, transformers' names for them and the float64 model are the tests'.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

MODELS = {
    **{name: BUILTIN_PRESETS[f"f_net_{name}_en"].config for name in ("mini", "base", "large")},
    "tiny": BackboneConfig(1000, 2, 64, 128),  # to try a benchmark out
    "narrow": BackboneConfig(32000, 1, 256, 256),  # the vectors of a small model, for the stub
}
PAD_ID = 3
PRESET_HELP = f"a name, a directory, or one of {', '.join(MODELS)}: seeded weights of that size"
_CHUNK_ROWS = 10_000


def preset_of(text: str, scratch: Path) -> str:
    """Return a preset's name or directory as it is; for a key of `MODELS`, write one of that size.

    In a process of its own: a child's peak memory starts with what its parent has when it is
    started.
    """
    if text not in MODELS:
        return text
    directory = scratch / f"preset-{text}"
    if not directory.exists():
        subprocess.run([sys.executable, __file__, str(directory), text], check=True)
    return str(directory)


def preset_at(preset: str) -> LocalPreset:
    """Return a preset that is on this machine; PresetError where it is not."""
    return resolve_preset(preset, Settings())


def equal_lengths(rows: int, tokens: int) -> np.ndarray:
    """Return `rows` lengths of `tokens`."""
    return np.full(rows, tokens, np.int64)


def write_rows(path: Path, lengths: np.ndarray, vocabulary_size: int) -> None:
    """Write seeded token rows of these lengths, a row group for every chunk."""
    rng = np.random.default_rng(0)
    schema = pa.schema([("token_ids", pa.list_(pa.int32()))])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(lengths), _CHUNK_ROWS):
            taken = lengths[start : start + _CHUNK_ROWS]
            ids = rng.integers(0, vocabulary_size, int(taken.sum()), dtype=np.int32)
            offsets = np.concatenate([[0], np.cumsum(taken)]).astype(np.int32)
            column = pa.ListArray.from_arrays(offsets, ids)
            writer.write_table(pa.table({"token_ids": column}, schema=schema))


def read_rows(path: Path) -> list[np.ndarray]:
    """Return the rows of such a file."""
    column = pq.read_table(path)["token_ids"].combine_chunks()
    values = column.flatten().to_numpy()
    return np.split(values, column.offsets.to_numpy()[1:-1])


def main() -> None:
    """Write a preset with seeded weights."""
    from builders import write_preset

    write_preset(Path(sys.argv[1]), MODELS[sys.argv[2]])


if __name__ == "__main__":
    main()
