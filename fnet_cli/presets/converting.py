"""From one on-disk format to another, without a framework."""

from __future__ import annotations

from pathlib import Path

from fnet_cli.errors import OutputError, PresetError, UsageError
from fnet_cli.files import new_directory
from fnet_cli.presets.layouts import LAYOUTS
from fnet_cli.presets.layouts.base import PresetContent
from fnet_cli.presets.resolving import LocalPreset

FORMATS = tuple(layout.name for layout in LAYOUTS)


def convert_preset(preset: LocalPreset, destination: Path, to: str) -> None:
    """Write `preset` to the new directory `destination` in the format named `to`.

    Tensors keep their dtype, and the vocabulary and the encode settings go with them. The
    directory appears when it is complete. Raises UsageError for an unknown format, PresetError
    where the preset cannot be read, and OutputError where the destination exists or cannot be
    written.
    """
    layout = next((layout for layout in LAYOUTS if layout.name == to), None)
    if layout is None:
        raise UsageError(f"there is no format {to}", hint=f"use {' or '.join(FORMATS)}")
    if destination.exists():
        raise OutputError(f"{destination} exists", hint="name a new directory")
    content = _read(preset)
    try:
        with new_directory(destination) as temporary:
            layout.write(temporary, content)
    except OSError as error:
        raise OutputError(f"{destination}: {error.strerror or error}") from error


def _read(preset: LocalPreset) -> PresetContent:
    with preset.open_weights() as source:
        tensors = dict(source.tensors())
    try:
        vocabulary = None if preset.vocabulary is None else preset.vocabulary.read_bytes()
    except OSError as error:
        raise PresetError(f"{preset.vocabulary}: {error.strerror or error}") from error
    settings = preset.encode_settings()
    return PresetContent(preset.config, preset.dtype, tensors, vocabulary, settings)
