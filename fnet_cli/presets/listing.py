"""What presets there are: built in, in the caches, and in directories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import PresetError
from fnet_cli.presets.layouts import LAYOUTS, layout_of
from fnet_cli.presets.layouts.base import Layout
from fnet_cli.presets.pulling.partial import size_of
from fnet_cli.presets.registry import BUILTIN_PRESETS, BuiltinPreset
from fnet_cli.presets.resolving import resolve_preset
from fnet_cli.presets.store.cached import CachedPreset, all_cached
from fnet_cli.presets.store.managing import disk_size, shown_name, unfinished


@dataclass(frozen=True)
class PresetEntry:
    """One line of the list of presets.

    `bytes` is what it takes on this machine, None where it takes nothing. `state` is `bundled`,
    `pulled` (recorded by this tool), `cached` (fetched by another program), `damaged`,
    `unfinished`, `not pulled`, or for a directory `present` or `invalid`.
    """

    name: str
    source: str
    revision: str
    state: str
    parameters: int | None
    bytes: int | None
    description: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as `--json` prints it."""
        return asdict(self)


def list_presets(
    directories: Sequence[Path], settings: Settings, *, cached_only: bool = False
) -> list[PresetEntry]:
    """List the built-in presets, those in the caches, and those found in `directories`.

    Each of `directories` is a preset itself or holds presets; PresetError where one is missing.
    A default preset that is a directory is listed, too. `cached_only` leaves out what is not in
    a cache.
    """
    cached = [_cached_entry(preset) for preset in all_cached(settings)]
    cached += [
        PresetEntry(
            str(handle), handle.source.value, "", "unfinished", None, sum(map(size_of, paths))
        )
        for handle, paths in unfinished(settings)
    ]
    if cached_only:
        return cached
    by_name = {entry.name: entry for entry in cached}
    builtins = [
        by_name.get(preset.name) or _builtin_entry(preset, settings)
        for preset in BUILTIN_PRESETS.values()
    ]
    cached = [entry for entry in cached if entry not in builtins]
    found = [path for directory in directories for path in _preset_directories(directory)]
    default = settings.default_preset
    if default not in BUILTIN_PRESETS and "://" not in default and Path(default).is_dir():
        found.insert(0, Path(default))
    local = [_local_entry(path, settings) for path in dict.fromkeys(found)]
    return [*builtins, *cached, *local]


def _builtin_entry(preset: BuiltinPreset, settings: Settings) -> PresetEntry:
    found = resolve_preset(preset.name, settings) if preset.bundled else None
    return PresetEntry(
        preset.name,
        "bundled" if preset.bundled else "kaggle",
        "" if preset.bundled else (preset.kaggle_handle or "").rpartition("/")[2],
        "bundled" if preset.bundled else "not pulled",
        preset.parameters,
        _size(found.directory, found.layout) if found else None,
        preset.description,
    )


def _cached_entry(preset: CachedPreset) -> PresetEntry:
    name = shown_name(preset.handle)
    builtin = BUILTIN_PRESETS.get(name)
    description = builtin.description if builtin else ""
    parameters = None
    try:
        manifest = preset.manifest
        if manifest is not None:
            parameters = manifest.parameters
            problem = preset.damage(manifest)
            state, description = ("damaged", problem) if problem else ("pulled", description)
        else:
            layout, document = layout_of(preset.directory / CONFIG_FILE)
            config, _ = layout.read_config(preset.directory / CONFIG_FILE, document)
            state, parameters = "cached", parameter_count(config)
    except PresetError as error:
        state, description = "invalid", str(error)
    return PresetEntry(
        name, preset.handle.source.value, preset.revision, state, parameters,
        disk_size(preset.directory), description,
    )  # fmt: skip


def _preset_directories(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        raise PresetError(f"there is no directory {directory}")
    if (directory / CONFIG_FILE).is_file():
        yield directory
        return
    yield from sorted(path.parent for path in directory.glob(f"*/{CONFIG_FILE}"))


def _local_entry(path: Path, settings: Settings) -> PresetEntry:
    try:
        preset = resolve_preset(_as_path(path), settings)
    except PresetError as error:
        return PresetEntry(str(path), "local", "", "invalid", None, _size(path, None), str(error))
    count, size = parameter_count(preset.config), _size(path, preset.layout)
    return PresetEntry(str(path), "local", "", "present", count, size)


def _as_path(path: Path) -> str:
    """Return a handle that no built-in name can shadow."""
    return str(path) if path.is_absolute() else f"./{path}"


def file_names(directory: Path, layout: Layout | None) -> list[str]:
    """List the names that the files of a preset may have, sorted; without a layout, of any."""
    names: set[str] = set()
    for one in LAYOUTS if layout is None else (layout,):
        names |= {*one.files.all}
        with suppress(PresetError):  # an index that cannot be used names no shards
            weights = one.weight_files(directory, allow_pickle=True)
            names |= {path.relative_to(directory).as_posix() for path in weights}
    return sorted(names)


def preset_files(directory: Path, layout: Layout | None) -> list[Path]:
    """List the files of a preset in a directory of the user's; what else is there is not its.

    Links count where they stay in the directory, or lead to the blobs of the repository that it
    is a snapshot of.
    """
    paths = [directory / name for name in file_names(directory, layout)]
    home = directory.resolve()
    roots = (home, home.parent.parent / "blobs")
    return [
        path
        for path in paths
        if path.is_file() and any(path.resolve().is_relative_to(root) for root in roots)
    ]


def _size(directory: Path, layout: Layout | None) -> int:
    return sum(map(size_of, preset_files(directory, layout)))
