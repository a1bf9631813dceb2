"""Which files of a preset are fetched: those of its format, and no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import PresetError, PresetNotFoundError, UnsafePresetError
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.layouts.base import Layout
from fnet_cli.presets.layouts.naming import refused_pickle, weight_map
from fnet_cli.presets.pulling.retrying import with_retries
from fnet_cli.presets.pulling.transfer import Origin, ask_about
from fnet_cli.presets.sources.base import Listing, RemoteFile
from fnet_cli.presets.store.manifest import check_name

_CLIMBING = ("..", ".", "")


@dataclass(frozen=True)
class Plan:
    """The files of a preset at its source, small ones first, and the size of its model."""

    files: list[RemoteFile]
    parameters: int


def make_plan(origin: Origin, obtain: Callable[[RemoteFile], Path], *, allow_pickle: bool) -> Plan:
    """Return what makes up the preset at `origin`.

    `obtain` fetches a small file and returns its path: the config, and the index of sharded
    weights. Raises UnsafePresetError for a pickle that is not allowed, and PresetError for a
    config that is of no use or weights that are missing.
    """
    config_file = origin.listing.files[CONFIG_FILE]
    path = obtain(config_file)
    layout, document = layout_of(path)
    config, _ = layout.read_config(path, document)
    names = [CONFIG_FILE, *layout.files.companions]
    names += _weight_names(origin, layout, obtain, allow_pickle=allow_pickle)
    found = [config_file, *(_find(origin, name) for name in names[1:])]
    files = [_with_size(origin, file) for file in found if file is not None]
    missing = {*names} - {file.name for file in files} - {*layout.files.companions}
    if missing:
        raise PresetError(f"{origin.handle}: lacks {min(missing)}")
    return Plan(files, parameter_count(config))


def check_listing(listing: Listing, where: str) -> None:
    """Raise UnsafePresetError for a name that would lead out of a preset's directory.

    Other odd names are files that nobody asked for, and are never fetched. PresetNotFoundError
    where there is no config.
    """
    for name in listing.files:
        _check_listed(name, where)
    if CONFIG_FILE not in listing.files:
        raise PresetNotFoundError(
            f"{where} holds no preset: it has no {CONFIG_FILE}",
            hint="presets of KerasHub's FNetBackbone and transformers' FNet are pulled",
        )


def _check_listed(name: str, where: str) -> None:
    climbs = any(part in _CLIMBING for part in name.split("/"))
    if climbs or "\\" in name or ":" in name or not name.isprintable():
        raise UnsafePresetError(
            f"{where}: lists a file named {name!r:.120}",
            hint="nothing was fetched; such a name is an attack or a broken server",
        )


def _weight_names(
    origin: Origin, layout: Layout, obtain: Callable[[RemoteFile], Path], *, allow_pickle: bool
) -> list[str]:
    """Return the names of the weight files, and of their index."""
    names = layout.files
    if _find(origin, names.weights):
        return [names.weights]
    index = _find(origin, names.index)
    if index is not None:
        groups = weight_map(obtain(index), names).values()
        shards = sorted({name for group in groups for name in group})
        return [names.index, *(check_name(name, str(origin.handle)) for name in shards)]
    if names.pickle and _find(origin, names.pickle):
        if not allow_pickle:
            raise refused_pickle(f"{origin.handle}: {names.pickle}")
        return [names.pickle]
    raise PresetError(
        f"{origin.handle}: has no {names.weights}",
        hint="its config says that it is in the format of " + layout.name,
    )


def _find(origin: Origin, name: str) -> RemoteFile | None:
    return with_retries(
        lambda: origin.source.find(origin.handle, origin.listing, name),
        origin.retries,
        origin.on_event,
    )


def _with_size(origin: Origin, file: RemoteFile) -> RemoteFile:
    """Return `file` with its size, for which the source is asked where it lists none."""
    return file if file.size is not None else ask_about(origin, file)
