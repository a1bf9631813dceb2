"""Hashes that say which weights made an embedding."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fnet_cli.errors import PresetError
from fnet_cli.presets.resolving import LocalPreset


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror or error}") from error


def weights_sha256(preset: LocalPreset) -> str:
    """Return the sha256 of a preset's weights.

    For one file it is that file's; for shards, that of the lines `sha256  name` in name order,
    as `sha256sum model_*.h5 | sha256sum` prints it in the preset's directory.
    """
    files = preset.layout.weight_files(preset.directory)
    if len(files) == 1:
        return file_sha256(files[0])
    lines = "".join(f"{file_sha256(path)}  {path.name}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()
