"""From what the user calls a preset to a checked directory on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import PresetError, PresetNotFoundError, UsageError
from fnet_cli.presets.encode_settings import EncodeSettings, read_encode_settings
from fnet_cli.presets.handles import Handle, parse_handle
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.layouts.base import Layout, WeightSource
from fnet_cli.presets.pulling.events import EventCallback
from fnet_cli.presets.registry import BUILTIN_PRESETS
from fnet_cli.presets.sources import SOURCES
from fnet_cli.presets.store.cached import CachedPreset, find_cached, near_names, repair_hint

if TYPE_CHECKING:
    from fnet_cli.tokenizer.special import SpecialIds
    from fnet_cli.tokenizer.tokenizer import FNetTokenizer


@dataclass(frozen=True)
class LocalPreset:
    """A preset whose files are on this machine and whose config has been checked.

    `handle` is what the user said; `dtype` is the dtype policy the preset was saved under.
    `cached` is set for one that lies in a cache. `allow_pickle` lets a pickle of its weights be
    read.
    """

    handle: str
    source: str
    directory: Path
    layout: Layout
    config: BackboneConfig
    dtype: str
    cached: CachedPreset | None = None
    allow_pickle: bool = False

    @property
    def vocabulary(self) -> Path | None:
        """The preset's sentencepiece model, or None where it has no tokenizer."""
        path = self.directory / self.layout.vocabulary_file
        return path if path.exists() else None

    @property
    def weight_files(self) -> list[Path]:
        """The files that the weights are in; PresetError where there are none."""
        return self.layout.weight_files(self.directory, allow_pickle=self.allow_pickle)

    def special_ids(self) -> SpecialIds | None:
        """Return the ids of the special pieces, or None where there is no tokenizer.

        Raises PresetError as `open_weights` does.
        """
        if self.vocabulary is None:
            return None
        from fnet_cli.tokenizer.special import read_special_ids

        with _repairable(self.cached):
            return read_special_ids(self.vocabulary)

    def tokenizer(self) -> FNetTokenizer:
        """Load the tokenizer; PresetError or UnsafePresetError, also where there is none."""
        from fnet_cli.tokenizer.tokenizer import FNetTokenizer

        with _repairable(self.cached):
            return FNetTokenizer.from_directory(self.directory)

    def encode_settings(self) -> EncodeSettings:
        """Return what the preset recommends to encode, which may be nothing.

        Raises PresetError for a file of them that cannot be used.
        """
        with _repairable(self.cached):
            return read_encode_settings(self.directory, self.config)

    @contextmanager
    def open_weights(self) -> Iterator[WeightSource]:
        """Open the weights, their headers checked.

        Raises PresetError or UnsafePresetError; for a preset in a cache with the command that
        fetches its files again.
        """
        with (
            _repairable(self.cached),
            self.layout.open_weights(
                self.directory, self.config, allow_pickle=self.allow_pickle
            ) as weights,
        ):
            yield weights


def resolve_preset(
    handle: str,
    settings: Settings,
    on_pull: EventCallback | None = None,
    *,
    allow_pickle: bool = False,
) -> LocalPreset:
    """Find the preset that `handle` names; an empty handle names the default preset.

    A handle of a hub or a mirror, or a built-in name, that is not on this machine is pulled, and
    `on_pull` hears how that goes; without it, nothing is pulled. Raises PresetNotFoundError for
    an unknown name or a preset that is not on this machine, PresetError or UnsafePresetError for
    one whose config cannot be used, and IntegrityError for one whose files have been cut.
    `allow_pickle` lets a pickle of its weights be read, and be pulled.
    """
    handle = handle or settings.default_preset
    for source in SOURCES:
        directory = source.locate(handle)
        if directory is not None:
            path = directory / CONFIG_FILE
            layout, document = layout_of(path)
            config, dtype = layout.read_config(path, document)
            return LocalPreset(
                handle, source.name, directory, layout, config, dtype, allow_pickle=allow_pickle
            )
    remote = parse_handle(handle)
    if remote is None:
        raise _unknown(handle, settings)
    found = find_cached(remote, settings)
    if found is None:
        found = _pulled(remote, settings, on_pull, name=handle, allow_pickle=allow_pickle)
    return open_cached(handle, found, allow_pickle=allow_pickle)


def resolve_config(
    handle: str, settings: Settings, on_pull: EventCallback | None = None
) -> BackboneConfig:
    """Return the sizes of the model `handle` names; a built-in one's without its files."""
    builtin = BUILTIN_PRESETS.get(handle or settings.default_preset)
    return builtin.config if builtin else resolve_preset(handle, settings, on_pull).config


def lasting_name(handle: str, settings: Settings) -> tuple[str, str]:
    """Return a name for `handle` that means the same from any directory, and a remark on it.

    A preset of a hub need not be here yet; the remark says so. Raises what `resolve_preset`
    raises for anything else that is not there.
    """
    remote = parse_handle(handle)
    if remote is None:
        found = resolve_preset(handle, settings)
        name = handle if found.source == "bundled" else str(found.directory.absolute())
        if not name.isprintable():  # bytes that are no text in this locale, or a line break
            raise UsageError(
                f"{name} cannot stand in a config file",
                hint="rename the directory, or name it in FNET_PRESET; in the locale C, "
                "export LC_ALL=C.UTF-8 first",
            )
        return name, ""
    if find_cached(remote, settings) is not None:
        return handle, ""
    return handle, f"{handle} is not on this machine yet: encode will pull it"


def _pulled(
    remote: Handle,
    settings: Settings,
    on_pull: EventCallback | None,
    *,
    name: str,
    allow_pickle: bool,
) -> CachedPreset:
    if on_pull is None or (settings.offline and not remote.is_on_disk):
        raise PresetNotFoundError(
            f"{name} is not on this machine",
            hint=f"where there is a network: fnet presets pull {name}; to bring it over: fnet "
            f"presets export {name} -o preset.tar there, fnet presets import preset.tar here",
        )
    from fnet_cli.presets.pulling.pull import PullOptions, pull

    options = PullOptions(allow_pickle=allow_pickle, on_event=on_pull)
    return pull(remote, settings, options).preset


def open_cached(name: str, found: CachedPreset, *, allow_pickle: bool = False) -> LocalPreset:
    """Return a preset in a cache, whether or not all of its files are there.

    `name` is what the user said. Raises PresetError or UnsafePresetError for a config or a record
    that cannot be used.
    """
    path = found.directory / CONFIG_FILE
    with _repairable(found):
        manifest = found.manifest
        layout, document = layout_of(path)
        config, dtype = layout.read_config(path, document)
    recorded = manifest is not None and manifest.allow_pickle
    return LocalPreset(
        name, found.handle.source.value, found.directory, layout, config, dtype,
        cached=found, allow_pickle=allow_pickle or recorded,
    )  # fmt: skip


@contextmanager
def _repairable(cached: CachedPreset | None) -> Iterator[None]:
    """Name, in an error about a cached preset's files, the command that fetches them again."""
    try:
        yield
    except PresetError as error:
        if cached is not None and not error.hint:
            error.hint = repair_hint(cached.handle)
        raise


def _unknown(handle: str, settings: Settings) -> PresetNotFoundError:
    near = near_names(handle, settings)
    hint = (
        f"did you mean {' or '.join(near)}? A directory works too"
        if near
        else f"give one of {', '.join(BUILTIN_PRESETS)}, a directory, or a handle such as "
        "hf://owner/name"
    )
    return PresetNotFoundError(f"there is no preset named {handle}", hint=hint)
