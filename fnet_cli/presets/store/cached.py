"""Presets on this machine: found in the caches, with a manifest or without."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import IntegrityError, PresetError
from fnet_cli.presets.handles import Handle, SourceName
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.layouts.base import Layout
from fnet_cli.presets.registry import BUILTIN_PRESETS
from fnet_cli.presets.store.caches import OWN_DIRECTORY, PresetCache, cache_of
from fnet_cli.presets.store.manifest import FileRecord, Manifest, read_manifest


@dataclass(frozen=True)
class CachedPreset:
    """One revision of a preset in its cache; `handle` has that exact revision."""

    handle: Handle
    cache: PresetCache

    @property
    def revision(self) -> str:
        """The exact revision."""
        return self.handle.revision or ""

    @property
    def home(self) -> Path:
        """Where all revisions of the preset are."""
        return self.cache.home(self.handle.location)

    @property
    def directory(self) -> Path:
        """Where the files of this revision are."""
        return self.cache.directory(self.handle.location, self.revision)

    @property
    def manifest_path(self) -> Path:
        """Where the manifest of this revision is, or would be."""
        return self.home / OWN_DIRECTORY / f"{self.revision}.json"

    @property
    def manifest(self) -> Manifest | None:
        """The manifest, or None where there is none; PresetError for a damaged one."""
        return read_manifest(self.manifest_path) if self.manifest_path.exists() else None

    def file(self, name: str) -> Path | None:
        """Return a complete file's path, or None."""
        return self.cache.file(self.handle.location, self.revision, name)

    def layout(self) -> Layout | None:
        """Return the format of a complete preset of ours, or None for anything else.

        Complete are the config and every weight file that it needs. PresetError where the
        config is damaged.
        """
        config = self.file(CONFIG_FILE)
        if config is None:
            return None
        layout, document = layout_of(config)
        if not layout.is_fnet(document):
            return None
        try:
            weights = layout.weight_files(self.directory, allow_pickle=True)
        except PresetError:
            return None
        names = [path.relative_to(self.directory).as_posix() for path in weights]
        return layout if all(self.file(name) for name in names) else None

    def damage(self, manifest: Manifest) -> str:
        """Return what is wrong with the files as far as their sizes tell, or an empty string."""
        for record in manifest.files:
            problem = size_problem(self.file(record.name), record)
            if problem:
                return problem
        return ""


def size_problem(path: Path | None, record: FileRecord) -> str:
    """Return what a file's size tells against its record, or an empty string."""
    if path is None:
        return f"{record.name} is missing"
    try:
        size = path.stat().st_size
    except FileNotFoundError:  # it has gone this moment
        return f"{record.name} is missing"
    return "" if size == record.size else f"{record.name} has {size:,} bytes, not {record.size:,}"


def repair_hint(handle: Handle) -> str:
    """Return the hint that names the command which fetches a preset's bad files again."""
    names = (
        preset.name for preset in BUILTIN_PRESETS.values() if preset.kaggle_handle == str(handle)
    )
    return f"repair it: fnet presets pull {next(names, handle)}"


def find_cached(handle: Handle, settings: Settings) -> CachedPreset | None:
    """Return the preset that `handle` means if all of it is on this machine.

    Never asks the network. A handle without an exact revision means what it meant when it was
    last fetched. Raises IntegrityError where files have been lost or cut since they were pulled.
    """
    cache = cache_of(handle.source, settings)
    revision = cache.meant(handle.location, handle.revision)
    revisions = [] if revision is None else [revision]
    if handle.source is SourceName.KAGGLE and handle.revision is None:
        # The newest may be half fetched.
        revisions = cache.revisions(handle.location)[::-1]
    for revision in revisions:
        found = CachedPreset(replace(handle, revision=revision), cache)
        try:
            if _is_whole(found):
                return found
        except (IntegrityError, PresetError) as error:
            error.hint = error.hint or repair_hint(found.handle)
            raise
    return None


def _is_whole(preset: CachedPreset) -> bool:
    """Whether all files are here; IntegrityError where recorded ones are not."""
    manifest = preset.manifest
    if manifest is None:
        return preset.layout() is not None
    problem = preset.damage(manifest)
    if problem:
        raise IntegrityError(f"{preset.directory}: {problem}")
    return True


def all_cached(settings: Settings) -> Iterator[CachedPreset]:
    """Yield every revision in the caches that has a manifest or looks like a preset of ours."""
    for source in SourceName:
        cache = cache_of(source, settings)
        for location, home in cache.homes():
            recorded = {path.stem for path in (home / OWN_DIRECTORY).glob("*.json")}
            present = cache.revisions(location)
            lost = sorted(recorded - set(present))
            for revision in [*lost, *present]:
                found = CachedPreset(Handle(source, location, revision), cache)
                if revision in recorded or _looks_like_ours(found):
                    yield found


def near_names(text: str, settings: Settings) -> list[str]:
    """Return the names that `text` may have been meant to be, of presets built in or cached."""
    handles = {str(preset.kaggle_handle) for preset in BUILTIN_PRESETS.values()}
    handles |= {str(preset.handle.unpinned) for preset in all_cached(settings)}
    known = sorted({*BUILTIN_PRESETS, *handles} - {text})
    return difflib.get_close_matches(text, known, n=2, cutoff=0.6)


def _looks_like_ours(found: CachedPreset) -> bool:
    try:
        return found.layout() is not None
    except PresetError:
        return False
