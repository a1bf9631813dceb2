"""Looking after the caches: what takes space, what is damaged, what can go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fnet_cli.config import Settings
from fnet_cli.constants import LOCK_LEASE_SECONDS
from fnet_cli.errors import (
    IntegrityError,
    OutputError,
    PresetError,
    PresetNotFoundError,
    UsageError,
)
from fnet_cli.locks import taken
from fnet_cli.presets.handles import Handle, SourceName, parse_handle
from fnet_cli.presets.pulling.partial import is_abandoned, partial_files, size_of
from fnet_cli.presets.registry import BUILTIN_PRESETS
from fnet_cli.presets.sources import SOURCES
from fnet_cli.presets.store.cached import CachedPreset, all_cached, find_cached
from fnet_cli.presets.store.caches import OWN_DIRECTORY, cache_of
from fnet_cli.presets.store.manifest import Manifest
from fnet_cli.presets.store.recording import adopt, misnamed_blobs, problems


def find_revisions(name: str, settings: Settings) -> list[CachedPreset]:
    """Return the revisions of a preset in its cache: the one that `name` pins, or all.

    Raises UsageError for a preset that is not kept in a cache, and PresetNotFoundError for one
    that is not there.
    """
    handle = _cached_handle(name)
    cache = cache_of(handle.source, settings)
    pinned = cache.meant(handle.location, handle.revision) if handle.revision else None
    found = [
        preset
        for preset in all_cached(settings)
        if preset.handle.unpinned == handle.unpinned
        and (handle.revision is None or preset.revision == pinned)
    ]
    if not found:
        raise PresetNotFoundError(
            f"{name} is not in a cache on this machine", hint="fnet presets list --cached"
        )
    return found


def _cached_handle(name: str) -> Handle:
    builtin = BUILTIN_PRESETS.get(name)
    if builtin is not None and builtin.bundled:
        raise UsageError(f"{name} is part of the package and in no cache")
    handle = parse_handle(name)
    if handle is None:
        if any(source.locate(name) for source in SOURCES):
            raise UsageError(f"{name} is a directory of yours and in no cache")
        raise PresetNotFoundError(
            f"there is no preset named {name}", hint="fnet presets list --cached"
        )
    return handle


def shown_name(handle: Handle) -> str:
    """Return the name that a preset is best called by: a built-in one's, or its handle."""
    for builtin in BUILTIN_PRESETS.values():
        if builtin.kaggle_handle == str(handle):
            return builtin.name
    return str(handle.unpinned)


def revision_name(handle: Handle) -> str:
    """Return what tells one revision from the others; the address of a mirror has none in it."""
    if handle.source is SourceName.MIRROR:
        return f"{handle} ({handle.revision})"
    return str(handle)


def disk_size(directory: Path) -> int:
    """Return the bytes of all files under a directory, those that links lead to included."""
    return sum(size_of(path) for path in directory.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Verification:
    """What verifying one revision found. `adopted`: it had no manifest and got one."""

    preset: CachedPreset
    manifest: Manifest | None
    problems: list[str]
    adopted: bool = False


def verify(preset: CachedPreset) -> Verification:
    """Read every byte of a preset and hold it against what was recorded when it was pulled.

    What another program has fetched is held against the names of its blobs, where its cache has
    such, and recorded. Raises PresetError for a preset or a manifest that cannot be read.
    """
    manifest = preset.manifest
    if manifest is not None:
        return Verification(preset, manifest, problems(preset, manifest))
    bad = misnamed_blobs(preset)
    if bad:
        return Verification(preset, None, bad)
    return Verification(preset, adopt(preset), [], adopted=True)


def remove(preset: CachedPreset) -> None:
    """Remove a revision and its manifest; OutputError where it is being pulled or cannot go."""
    from filelock import SoftFileLease

    own = preset.home / OWN_DIRECTORY
    lease = SoftFileLease(own / f"{preset.revision}.lock", lease_duration=LOCK_LEASE_SECONDS)
    try:
        own.mkdir(exist_ok=True)
        if not taken(lease):
            raise OutputError(
                f"{preset.handle} is being pulled by process {lease.pid or '?'}",
                hint="stop it first",
            )
        try:
            preset.manifest_path.unlink(missing_ok=True)
            preset.cache.discard(preset.handle.location, preset.revision)
        finally:
            lease.release()
    except OSError as error:
        raise OutputError(f"cannot remove {preset.directory}: {error.strerror or error}") from error
    _tidy(preset)


def _tidy(preset: CachedPreset) -> None:
    """Remove directories that a removal has left empty, up to the cache's own."""
    own = preset.home / OWN_DIRECTORY
    if not preset.cache.revisions(preset.handle.location):
        (own / "latest").unlink(missing_ok=True)
        if not partial_files(preset.home):  # which are found by the address
            (own / "address").unlink(missing_ok=True)
    for path in (own / "partial", own, preset.home / ".complete", preset.home):
        try:
            path.rmdir()
        except OSError:  # not there, or not empty
            continue


@dataclass(frozen=True)
class Leftover:
    """Something that nothing needs any more: a partial file, or a superseded revision."""

    name: str
    kind: str
    bytes: int
    path: Path
    preset: CachedPreset | None = None

    def remove(self) -> None:
        """Remove it; OutputError where it cannot go."""
        if self.preset is not None:
            remove(self.preset)
            return
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {self.path}: {error.strerror or error}") from error


def leftovers(settings: Settings) -> list[Leftover]:
    """List what `prune` removes.

    Partial downloads whose process is gone, and revisions that a pull of the newest has
    superseded. One that was asked for by its number or commit stays, as does everything that
    another program has fetched.
    """
    found = [
        Leftover(str(handle), "partial download", size_of(path), path)
        for handle, paths in unfinished(settings)
        for path in paths
        if is_abandoned(path)
    ]
    for preset in all_cached(settings):
        if _is_superseded(preset, settings):
            name, size = revision_name(preset.handle), disk_size(preset.directory)
            found.append(Leftover(name, "superseded revision", size, preset.directory, preset))
    return found


def unfinished(settings: Settings) -> Iterator[tuple[Handle, list[Path]]]:
    """Yield presets with the partial files of interrupted or running pulls."""
    for source in SourceName:
        for location, home in cache_of(source, settings).homes():
            paths = partial_files(home)
            if paths:
                yield Handle(source, location), paths


def _is_superseded(preset: CachedPreset, settings: Settings) -> bool:
    """Whether what this revision was asked for as means another one now, and that is whole."""
    handle = preset.handle
    known = any(builtin.kaggle_handle == str(handle) for builtin in BUILTIN_PRESETS.values())
    try:
        manifest = preset.manifest
        if manifest is None or known:
            return False
        asked = replace(handle, revision=manifest.requested or None)
        newest = None if asked.exact else find_cached(asked, settings)
    except (PresetError, IntegrityError):  # what is damaged replaces nothing
        return False
    return newest is not None and newest.revision != preset.revision
