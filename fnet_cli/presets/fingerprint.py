"""Hashes that say which weights made an embedding."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fnet_cli.errors import PresetError

if TYPE_CHECKING:
    from fnet_cli.presets.resolving import LocalPreset

_BLOCK_BYTES = 1024 * 1024


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    return file_digest(path, "sha256")


def file_digest(path: Path, kind: str) -> str:
    """Return a hash of a file in hex: `sha256`, `md5`, or `git_sha1`, that of a Git blob.

    Raises PresetError where the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            if kind != "git_sha1":
                return hashlib.file_digest(file, kind).hexdigest()
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
            while data := file.read(_BLOCK_BYTES):
                digest.update(data)
            return digest.hexdigest()
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror or error}") from error


def weights_sha256(preset: LocalPreset) -> str:
    """Return the sha256 of a preset's weights.

    For one file it is that file's; for shards, that of the lines `sha256  name` in name order,
    as `sha256sum model_*.h5 | sha256sum` prints it in the preset's directory.
    """
    files = preset.weight_files
    if len(files) == 1:
        return file_sha256(files[0])
    lines = "".join(f"{file_sha256(path)}  {path.name}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()
