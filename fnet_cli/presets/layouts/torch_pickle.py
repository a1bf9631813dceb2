"""A PyTorch checkpoint in a pickle, opened only where the user has allowed it.

torch's weights_only unpickler builds tensors and plain containers and refuses all else. Before
version 2.10 it could be made to run code or to write out of bounds (CVE-2025-32434,
CVE-2026-24747), so that no older torch is used.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fnet_cli.errors import PresetError, UnsafePresetError

if TYPE_CHECKING:
    import numpy as np

_OLDEST_TORCH = (2, 10)
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


@dataclass(frozen=True)
class PickledTensor:
    """A tensor of a checkpoint, mapped from its file; `dtype` is safetensors' name of its dtype."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    tensor: Any

    def read(self) -> np.ndarray:
        """Return the tensor in its stored dtype."""
        if self.dtype == "BF16":  # NumPy has no bfloat16: take the bits as they are
            import ml_dtypes
            import torch

            bits: np.ndarray = self.tensor.contiguous().view(torch.int16).numpy()
            return bits.view(ml_dtypes.bfloat16)
        array: np.ndarray = self.tensor.numpy()
        return array


def read_pickle(path: Path) -> dict[str, PickledTensor]:
    """Return the tensors of a checkpoint by name.

    Raises PresetError where torch is missing or too old or the file is damaged, and
    UnsafePresetError where it asks for anything but tensors.
    """
    _check_torch(path)
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UnsafePresetError(f"{path}: holds more than tensors") from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError) as error:
        text = str(error).partition("\n")[0]
        raise PresetError(f"{path}: not a checkpoint that torch reads: {text:.120}") from error
    if not isinstance(state, dict):
        raise PresetError(f"{path}: holds no state dict")
    tensors = {}
    for name, value in state.items():
        if isinstance(name, str) and isinstance(value, torch.Tensor):
            dtype = _DTYPES.get(str(value.dtype).removeprefix("torch."), str(value.dtype))
            tensors[name] = PickledTensor(path, dtype, tuple(value.shape), value.detach())
    return tensors


def _check_torch(path: Path) -> None:
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        raise PresetError(
            f"{path}: only torch reads a pickle, and it is not installed",
            hint="pip install torch",
        ) from None
    if tuple(map(int, version.split(".")[:2])) < _OLDEST_TORCH:
        raise PresetError(
            f"{path}: torch {version} has known holes in its reader of pickles",
            hint="install torch 2.10 or later",
        )
