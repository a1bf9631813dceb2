"""Presets on one machine, and in archives for another."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from builders import TINY, add_vocabulary, random_tensors, vocabulary, write_preset

from fnet_cli.config import Settings
from fnet_cli.presets.archive import export_preset
from fnet_cli.presets.handles import SourceName, parse_handle
from fnet_cli.presets.resolving import LocalPreset, resolve_preset
from fnet_cli.presets.sources.base import RemoteFile
from fnet_cli.presets.store.cached import CachedPreset
from fnet_cli.presets.store.caches import cache_of
from fnet_cli.presets.store.manifest import FileRecord
from fnet_cli.presets.store.recording import record_preset

KAGGLE = "kaggle://keras/f_net/keras/f_net_base_en/2"
HUGGING_FACE = f"hf://google/fnet@{'a1' * 20}"
MIRROR = "https://example.org/presets/fnet"
HANDLES = [KAGGLE, HUGGING_FACE, MIRROR]


def machine(directory: Path) -> Settings:
    """Return the settings of a machine with caches of its own and no network."""
    return Settings(
        own_cache=directory / "own",
        kaggle_cache=directory / "kagglehub",
        huggingface_cache=directory / "hub",
        offline=True,
    )


def write_source(directory: Path) -> Path:
    """Write a preset with a vocabulary, and a file that is not its own."""
    write_preset(directory, TINY, random_tensors(TINY))
    add_vocabulary(directory, vocabulary())
    (directory / "notes.txt").write_text("mine")
    return directory


def pulled(text: str, files: Path, at: Settings, requested: str = "") -> CachedPreset:
    """Put a preset into its cache as a pull leaves it."""
    handle = parse_handle(text)
    if handle.source is SourceName.MIRROR:
        handle = replace(handle, revision="c3" * 32)
    preset = CachedPreset(handle, cache_of(handle.source, at))
    records = []
    for path in sorted(files.rglob("*")):
        if not path.is_file() or path.name == "notes.txt":
            continue
        name, data = path.relative_to(files).as_posix(), path.read_bytes()
        copied = at.own_cache.parent / "copied"
        copied.parent.mkdir(exist_ok=True)
        copied.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        preset.cache.publish(
            handle.location, preset.revision, RemoteFile(name, sha256=sha256), copied
        )
        records.append(FileRecord(name, len(data), sha256))
    record_preset(preset, records, requested=requested)
    preset.cache.settle(handle.location, preset.revision, requested or None)
    return preset


def exported(text: str, source: Path, directory: Path, requested: str = "") -> Path:
    """Return an archive of a preset that was pulled on another machine."""
    there = machine(directory / "there")
    preset = pulled(text, source, there, requested)
    archive = directory / "preset.tar"
    name = str(preset.handle.unpinned) if preset.handle.source is SourceName.MIRROR else text
    export_preset(resolve_preset(name, there), archive)
    return archive


def local(directory: Path) -> LocalPreset:
    return resolve_preset(str(directory), Settings())


def contents(directory: Path) -> dict[str, bytes]:
    """Return the files under a directory, those of other kinds without their bytes."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(directory.rglob("*"))
        if not path.is_dir()
    }
