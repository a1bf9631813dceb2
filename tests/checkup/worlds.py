"""Worlds to look at: a directory with the files that a system has, and little else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fnet_cli.checkup.findings import Finding
from fnet_cli.checkup.world import World
from fnet_cli.config import Settings

GIB = 1024**3


def world_in(root: Path, environ: Mapping[str, str] | None = None, **changes: Any) -> World:
    """Return a world with its home, its caches and its `/proc` under `root`."""
    home = root / "home"
    home.mkdir(exist_ok=True)
    settings = changes.pop("settings", None) or Settings(
        own_cache=home / "fnet", kaggle_cache=home / "kaggle", huggingface_cache=home / "hub",
        config_file=home / "config.toml",
    )  # fmt: skip
    return World(settings, environ or {}, home, root=root, **changes)


def with_modules(directory: Path, **sources: str) -> dict[str, str]:
    """Return an environment in which modules of these names are found first."""
    directory.mkdir(exist_ok=True)
    for name, source in sources.items():
        (directory / f"{name}.py").write_text(source)
    return {**os.environ, "PYTHONPATH": str(directory)}


def write_files(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def told(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.verdict.value, finding.found) for finding in findings]
