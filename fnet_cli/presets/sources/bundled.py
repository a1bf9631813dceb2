"""Presets that ship inside the package."""

from __future__ import annotations

from pathlib import Path

from fnet_cli.presets.registry import BUILTIN_PRESETS

_DATA = Path(__file__).parent.parent / "data"


class BundledSource:
    """Built-in names whose files are package data."""

    name = "bundled"

    def locate(self, handle: str) -> Path | None:
        """Return the package's directory for a bundled name."""
        preset = BUILTIN_PRESETS.get(handle)
        return _DATA / handle if preset and preset.bundled else None
