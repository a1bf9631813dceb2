"""On-disk formats of a preset: how its config and its tensors are read and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fnet_cli.presets.json_file import read_json_object
from fnet_cli.presets.layouts.base import Layout
from fnet_cli.presets.layouts.keras import KerasLayout
from fnet_cli.presets.layouts.transformers import TransformersLayout

# The first that claims a config reads it.
LAYOUTS: tuple[Layout, ...] = (TransformersLayout(), KerasLayout())


def layout_of(config_file: Path) -> tuple[Layout, dict[str, Any]]:
    """Return the format of a preset's `config.json`, and its content."""
    document = read_json_object(config_file)
    return next(layout for layout in LAYOUTS if layout.claims(document)), document
