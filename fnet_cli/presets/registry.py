"""The presets that have a name: one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import parameter_count


@dataclass(frozen=True)
class BuiltinPreset:
    """A named preset: its sizes, and where its files come from.

    `kaggle_handle` is None for a preset whose files are part of this package.
    """

    name: str
    description: str
    config: BackboneConfig
    kaggle_handle: str | None = None

    @property
    def bundled(self) -> bool:
        """Whether the files ship inside the package."""
        return self.kaggle_handle is None

    @property
    def parameters(self) -> int:
        """Number of scalars of the model."""
        return parameter_count(self.config)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in the form of KerasHub's `presets`."""
        entry: dict[str, Any] = {
            "metadata": {
                "description": self.description,
                "params": self.parameters,
                "path": "f_net",
            },
        }
        if self.kaggle_handle:
            entry["kaggle_handle"] = self.kaggle_handle
        return entry


_PRESETS = (
    BuiltinPreset(
        name="f_net_mini_en",
        description="English sentence embeddings, distilled; 4 layers, 256 wide, comes with fnet",
        config=BackboneConfig(12_000, 4, 256, 512),
    ),
    BuiltinPreset(
        name="f_net_base_en",
        description="cased English, pre-trained on C4; 12 layers, 768 wide",
        config=BackboneConfig(32_000, 12, 768, 3072),
        kaggle_handle="kaggle://keras/f_net/keras/f_net_base_en/3",
    ),
    BuiltinPreset(
        name="f_net_large_en",
        description="cased English, pre-trained on C4; 24 layers, 1024 wide",
        config=BackboneConfig(32_000, 24, 1024, 4096),
        kaggle_handle="kaggle://keras/f_net/keras/f_net_large_en/3",
    ),
)

BUILTIN_PRESETS = {preset.name: preset for preset in _PRESETS}
