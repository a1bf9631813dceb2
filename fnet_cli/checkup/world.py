"""What the checks look at, handed to them so that a test can show them another world."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnet_cli.config import Settings
from fnet_cli.errors import FnetError


@dataclass(frozen=True)
class Streams:
    """How standard output and standard error are written to, as whoever writes to them says."""

    terminals: Mapping[str, bool] = field(default_factory=dict)
    encodings: Mapping[str, str] = field(default_factory=dict)
    color: bool = False
    width: int | None = None


@dataclass(frozen=True)
class World:
    """The settings, the environment and the places that the checks look at.

    `project` is the file of a project that has a say in the settings, where there is one.
    `settings_error` is why the user's own settings could not be read; `settings` then has the
    defaults, and forbids connections. `root` is where Linux' `/proc` and `/sys` lie. `seconds` is
    how long a backend may take to start, `patience` how long a hub may take to answer.
    """

    settings: Settings
    environ: Mapping[str, str]
    home: Path
    project: Path | None = None
    settings_error: FnetError | None = None
    streams: Streams = Streams()
    root: Path = Path("/")
    python: str = sys.executable
    seconds: float = 180.0
    patience: float = 8.0

    def variable(self, name: str) -> str:
        """Return a variable's value, empty where it is not set."""
        return self.environ.get(name, "")
