"""What a preset recommends to `fnet encode`: a small JSON file in its directory, all keys optional.

Pooling and padding are defined here, since a preset may name them and this is the lowest room that
reads them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.constants import ENCODE_SETTINGS_FILE
from fnet_cli.errors import PresetError
from fnet_cli.presets.json_file import read_json_object


class Pooling(StrEnum):
    """How a row's hidden states become its embedding."""

    POOLED = "pooled"  # the model's pooler: tanh(Dense(first position))
    CLS = "cls"  # the first position's hidden state
    MEAN = "mean"  # over real tokens
    MAX = "max"  # over real tokens
    TOKENS = "tokens"  # no pooling: one vector a real token


class Padding(StrEnum):
    """To what length a row is padded: a function of the row alone, never of its batch."""

    MAX = "max"  # to the sequence length
    BUCKET = "bucket"  # to the next of 8, 16, 24 ...
    NONE = "none"  # not at all


@dataclass(frozen=True)
class EncodeSettings:
    """How a preset is meant to be encoded; None where it does not say."""

    pooling: Pooling | None = None
    normalize: bool | None = None
    sequence_length: int | None = None
    padding: Padding | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is recommended, as it stands in the file."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


def read_encode_settings(directory: Path, config: BackboneConfig) -> EncodeSettings:
    """Return what the preset in `directory` recommends; nothing where it has no such file.

    A key that is unknown, or a value that is not one of its key's, is a PresetError, since a
    recommendation that is passed over would quietly change every embedding.
    """
    path = directory / ENCODE_SETTINGS_FILE
    if not os.path.lexists(path):  # a link that leads nowhere is no absence
        return EncodeSettings()
    document = read_json_object(path)
    checks = _checks(config)
    for name, value in document.items():
        if name not in checks:
            raise _refused(path, f"unknown key {name!r:.80}", ", ".join(checks))
        allowed, fits = checks[name]
        if not fits(value):
            raise _refused(path, f"{name} is {value!r:.80}", allowed)
    return EncodeSettings(
        pooling=Pooling(document["pooling"]) if "pooling" in document else None,
        normalize=document.get("normalize"),
        sequence_length=document.get("sequence_length"),
        padding=Padding(document["padding"]) if "padding" in document else None,
    )


def write_encode_settings(directory: Path, settings: EncodeSettings) -> None:
    """Write the file of a preset that recommends something; OSError."""
    recommended = settings.to_dict()
    if recommended:
        text = json.dumps(recommended, indent=4)
        (directory / ENCODE_SETTINGS_FILE).write_text(text, encoding="utf-8")


def _checks(config: BackboneConfig) -> dict[str, tuple[str, Callable[[Any], bool]]]:
    """Return for each key what its values are, in words and as a test."""
    most = config.max_sequence_length
    return {
        "pooling": (", ".join(Pooling), lambda value: value in tuple(Pooling)),
        "normalize": ("true, false", lambda value: isinstance(value, bool)),
        # A boolean is an integer to Python.
        "sequence_length": (f"1..{most}", lambda value: type(value) is int and 1 <= value <= most),
        "padding": (", ".join(Padding), lambda value: value in tuple(Padding)),
    }


def _refused(path: Path, what: str, allowed: str) -> PresetError:
    return PresetError(
        f"{path}: {what}, allowed: {allowed}",
        hint="correct the file, or remove it and say it with the flags of encode",
    )
