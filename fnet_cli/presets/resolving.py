"""From what the user calls a preset to a checked directory on this machine."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import FnetError, PresetError, PresetNotFoundError
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.layouts.base import Layout
from fnet_cli.presets.registry import BUILTIN_PRESETS
from fnet_cli.presets.sources import SOURCES


@dataclass(frozen=True)
class LocalPreset:
    """A preset whose files are on this machine and whose config has been checked.

    `handle` is what the user said; `dtype` is the dtype policy the preset was saved under.
    """

    handle: str
    source: str
    directory: Path
    layout: Layout
    config: BackboneConfig
    dtype: str

    @property
    def vocabulary(self) -> Path | None:
        """The preset's sentencepiece model, or None where it has no tokenizer."""
        path = self.directory / self.layout.vocabulary_file
        return path if path.is_file() else None


def resolve_preset(handle: str, settings: Settings) -> LocalPreset:
    """Find the preset that `handle` names; an empty handle names the default preset.

    Raises PresetNotFoundError for an unknown name or a preset that is not on this machine, and
    PresetError or UnsafePresetError for one whose config cannot be used.
    """
    handle = handle or settings.default_preset
    for source in SOURCES:
        directory = source.locate(handle)
        if directory is not None:
            path = directory / CONFIG_FILE
            layout, document = layout_of(path)
            config, dtype = layout.read_config(path, document)
            return LocalPreset(handle, source.name, directory, layout, config, dtype)
    raise _not_found(handle)


def resolve_config(handle: str, settings: Settings) -> BackboneConfig:
    """Return the sizes of the model `handle` names, whether or not its weights are here."""
    builtin = BUILTIN_PRESETS.get(handle or settings.default_preset)
    return builtin.config if builtin else resolve_preset(handle, settings).config


def _not_found(handle: str) -> FnetError:
    if handle in BUILTIN_PRESETS:
        return PresetNotFoundError(
            f"{handle} is not on this machine",
            hint="this version pulls nothing: download it with keras_hub's "
            "FNetBackbone.from_preset and save_to_preset, then give that directory",
        )
    if "://" in handle:
        return PresetError(
            f"{handle}: presets are not fetched from the network by this version",
            hint="download it and give its directory",
        )
    near = difflib.get_close_matches(handle, BUILTIN_PRESETS, n=2, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(near)}? A directory works too"
        if near
        else f"give one of {', '.join(BUILTIN_PRESETS)}, or a directory"
    )
    return PresetNotFoundError(f"there is no preset named {handle}", hint=hint)
