"""What an on-disk format must offer, whatever its files look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.presets.encode_settings import EncodeSettings
from fnet_cli.presets.layouts.naming import FileNames

if TYPE_CHECKING:
    import numpy as np


class WeightSource(Protocol):
    """The tensors of a preset, their headers checked, none of them read yet."""

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (parameter path, array) in the order of `layer_table`, in the stored dtype."""

    def dtypes(self) -> set[str]:
        """Return the names of the dtypes the tensors are stored in."""


@dataclass(frozen=True)
class PresetContent:
    """A preset in memory, to be written in any format.

    `tensors` are by parameter path; `vocabulary` is a sentencepiece model, or None.
    """

    config: BackboneConfig
    dtype: str
    tensors: Mapping[str, np.ndarray]
    vocabulary: bytes | None
    encode_settings: EncodeSettings = field(default_factory=EncodeSettings)


class Layout(Protocol):
    """One on-disk format of presets."""

    name: str
    vocabulary_file: str
    files: FileNames

    def claims(self, document: Mapping[str, Any]) -> bool:
        """Whether a `config.json` with this content is of this format."""

    def is_fnet(self, document: Mapping[str, Any]) -> bool:
        """Whether a `config.json` of this format describes an FNet."""

    def read_config(self, path: Path, document: Mapping[str, Any]) -> tuple[BackboneConfig, str]:
        """Return the sizes and the name of the dtype policy; PresetError or UnsafePresetError."""

    def open_weights(
        self, directory: Path, config: BackboneConfig, *, allow_pickle: bool = False
    ) -> AbstractContextManager[WeightSource]:
        """Open and check the weight files; PresetError or UnsafePresetError."""

    def check_companions(self, directory: Path, config: BackboneConfig) -> None:
        """Raise PresetError or UnsafePresetError for a companion file that must not be used."""

    def weight_files(self, directory: Path, *, allow_pickle: bool = False) -> list[Path]:
        """List the weight files; PresetError where there are none."""

    def write(self, directory: Path, content: PresetContent) -> None:
        """Write all files of a preset into an existing directory; OSError."""
