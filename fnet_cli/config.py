"""Settings from the environment, read once and passed down as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fnet_cli.constants import DEFAULT_PRESET


@dataclass(frozen=True)
class Settings:
    """What the environment decides.

    `default_preset` is FNET_PRESET, or the bundled preset where that is unset or empty.
    """

    default_preset: str = DEFAULT_PRESET

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables that fnet documents from `environ`; empty values count as unset."""
        return cls(default_preset=environ.get("FNET_PRESET") or DEFAULT_PRESET)
