"""Where presets come from: each source turns a handle into a directory on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fnet_cli.presets.sources.bundled import BundledSource
from fnet_cli.presets.sources.local import LocalSource


class Source(Protocol):
    """One place that presets come from."""

    name: str

    def locate(self, handle: str) -> Path | None:
        """Return the directory that `handle` means, or None where it is not this source's."""


# Asked in this order; a built-in name wins over a directory of that name, which can still be
# reached as ./name.
SOURCES: tuple[Source, ...] = (BundledSource(), LocalSource())
