"""Presets that are directories of the user's."""

from __future__ import annotations

from pathlib import Path

from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import PresetError, PresetNotFoundError
from fnet_cli.presets.registry import BUILTIN_PRESETS


class LocalSource:
    """Paths of directories in KerasHub's preset format."""

    name = "local"

    def locate(self, handle: str) -> Path | None:
        """Return `handle` as a directory, where it is one.

        Raises PresetError for a directory without a config, or for a file, and
        PresetNotFoundError for a path that does not exist.
        """
        if handle in BUILTIN_PRESETS or "://" in handle:
            return None
        path = Path(handle).expanduser()
        if path.is_dir():
            if not (path / CONFIG_FILE).is_file():
                raise PresetError(
                    f"{handle} is not a preset: it has no {CONFIG_FILE}",
                    hint="give the directory that holds config.json and model.weights.h5",
                )
            return path
        if path.exists():
            raise PresetError(
                f"{handle} is a file, not a preset", hint="give the directory of the preset"
            )
        if "/" in handle or handle.startswith(("~", ".")):
            raise PresetNotFoundError(f"there is no directory {handle}")
        return None
