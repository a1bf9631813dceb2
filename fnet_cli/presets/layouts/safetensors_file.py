"""The header of a safetensors file, checked before a byte of its data is used.

Format: eight bytes of little-endian header length, a JSON object, then the data. Source:
the format's description in the safetensors repository.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fnet_cli.constants import MAX_SAFETENSORS_HEADER_BYTES
from fnet_cli.errors import PresetError

_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
               "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}  # fmt: skip
# A tensor's entry has three brackets. Each takes ten times its bytes in memory, and no FNet has
# so many tensors.
_MAX_BRACKETS = 100_000
FLOAT_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies: file, safetensors dtype, shape, and its first byte in the file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int

    def read(self) -> np.ndarray:
        """Return the tensor in its stored dtype; PresetError where the file is cut short."""
        kind = _numpy_dtype(self.dtype)
        count = math.prod(self.shape)
        try:
            array = np.fromfile(self.path, kind, count, offset=self.offset)
        except OSError as error:
            raise PresetError(f"{self.path}: {error.strerror or error}") from error
        if array.size != count:
            raise PresetError(f"{self.path}: cut short")
        return array.reshape(self.shape)


def _numpy_dtype(name: str) -> np.dtype[Any]:
    if name == "BF16":
        import ml_dtypes

        kind: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return kind
    return np.dtype(FLOAT_DTYPES[name])


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name.

    Raises PresetError for a header that is too large, not what the format says, or whose
    tensors overlap, leave gaps, or do not end where the file does.
    """
    if path.exists() and not path.is_file():  # a FIFO would be waited for without end
        raise PresetError(f"{path}: not a regular file")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, MAX_SAFETENSORS_HEADER_BYTES):
                raise PresetError(f"{path}: not a safetensors file, or a huge header")
            header = _parse(file.read(length))
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PresetError(f"{path}: bad safetensors header: {error}") from error
    header.pop("__metadata__", None)
    spans = {name: _span(entry, f"{path}: {name!r:.80}") for name, entry in header.items()}
    _check_cover(sorted(spans.values()), size - 8 - length, path)
    return {
        name: StoredTensor(path, entry["dtype"], tuple(entry["shape"]), 8 + length + spans[name][0])
        for name, entry in header.items()
    }


def _parse(data: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) != len(pairs):
            raise ValueError("a name stands twice")
        return keys

    if data.count(b"{") + data.count(b"[") > _MAX_BRACKETS:
        raise ValueError("more entries than any model has")
    header = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    if not isinstance(header, dict):
        raise ValueError("no JSON object")
    return header


def _span(entry: object, where: str) -> tuple[int, int]:
    """Return (begin, end) of a tensor's bytes, as its dtype and shape imply them too."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise PresetError(f"{where}: has a malformed entry")
    shape, offsets = entry["shape"], entry["data_offsets"]
    known = isinstance(entry["dtype"], str) and entry["dtype"] in _ITEM_BYTES
    if not known or not _are_counts(shape) or not _are_counts(offsets):
        raise PresetError(f"{where}: has a malformed entry")
    size = math.prod(shape) * _ITEM_BYTES[entry["dtype"]]
    if len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise PresetError(f"{where}: its bytes do not fit its shape")
    return offsets[0], offsets[1]


def _are_counts(values: object) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= 8
        and all(type(value) is int and 0 <= value < 2**48 for value in values)
    )


def _check_cover(spans: list[tuple[int, int]], size: int, path: Path) -> None:
    """Require that the tensors fill the data exactly, one after the other."""
    position = 0
    for begin, end in spans:
        if begin != position:
            raise PresetError(f"{path}: its tensors overlap or leave gaps")
        position = end
    if position != size:
        raise PresetError(f"{path}: its tensors take {position:,} bytes, the file has {size:,}")
