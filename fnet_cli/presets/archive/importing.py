"""From an archive to a preset that loads."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fnet_cli.config import Settings
from fnet_cli.errors import OutputError, PresetError, UsageError
from fnet_cli.files import new_directory
from fnet_cli.presets.archive.reading import Archive, check_loads, compare, read_archive, unpack
from fnet_cli.presets.archive.record import in_order
from fnet_cli.presets.fingerprint import file_digest, file_sha256
from fnet_cli.presets.layouts.naming import refused_pickle
from fnet_cli.presets.pulling.partial import PartialFile
from fnet_cli.presets.sources.base import RemoteFile
from fnet_cli.presets.store.cached import CachedPreset
from fnet_cli.presets.store.caches import cache_of
from fnet_cli.presets.store.manifest import FileRecord
from fnet_cli.presets.store.recording import record_preset
from fnet_cli.units import show_bytes


def import_archive(
    path: Path,
    settings: Settings,
    *,
    directory: Path | None = None,
    force: bool = False,
    allow_pickle: bool = False,
) -> Path:
    """Unpack an archive and return the directory that the preset is in afterwards.

    A preset of a hub or a mirror goes into its cache, as a pull would leave it; with `directory`,
    any preset goes to that new directory, which appears when it is complete. `force` replaces
    other files of the same revision in a cache. No connection is made.

    Raises what `read_archive` raises, IntegrityError for bytes that are not the recorded ones,
    PresetError or UnsafePresetError for a preset that would not load, or a pickle without
    `allow_pickle`, UsageError where the preset needs a `directory`, and OutputError for what is
    in the way or the disk refuses.
    """
    archive = read_archive(path)
    if archive.pickle and not allow_pickle:
        raise refused_pickle(f"{path}: {archive.pickle}")
    if directory is not None:
        _to_directory(archive, directory)
        return directory
    if archive.handle is None:
        raise UsageError(f"{path} holds a preset of no hub", hint="say where it is to go: -o DIR")
    preset = CachedPreset(archive.handle, cache_of(archive.handle.source, settings))
    _to_cache(archive, preset, force=force)
    return preset.directory


def _to_directory(archive: Archive, directory: Path) -> None:
    if directory.exists() or directory.is_symlink():
        raise OutputError(f"{directory} exists", hint="name a new directory")
    if not directory.parent.is_dir():
        raise OutputError(f"there is no directory {directory.parent}", hint="create it first")
    with _disk_errors(archive, directory.parent), new_directory(directory) as temporary:
        _unpack(archive, {name: temporary / name for name in archive.manifest.by_name})
        check_loads(archive, temporary)


def _to_cache(archive: Archive, preset: CachedPreset, *, force: bool) -> None:
    """Put a preset into its cache.

    Until all of it is sound, its files are partial ones, which `prune` knows.
    """
    partial = {file.name: _partial_path(preset, file) for file in archive.manifest.files}
    with _disk_errors(archive, preset.home):
        preset.cache.claim(preset.handle.location)
        if not force:
            _check_free(archive, preset)
        try:
            _unpack(archive, partial)
            with tempfile.TemporaryDirectory(prefix="fnet-") as view:
                for name, path in partial.items():
                    link = Path(view, name)
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(path.absolute())
                check_loads(archive, Path(view))
            _publish(archive, preset, partial)
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)


def _publish(archive: Archive, preset: CachedPreset, partial: Mapping[str, Path]) -> None:
    """Move all files to their names, the config last: without it, no preset is there."""
    location, manifest = preset.handle.location, archive.manifest
    if archive.names.weights not in manifest.by_name:  # they would be taken before the shards
        (preset.directory / archive.names.weights).unlink(missing_ok=True)
    for file in reversed(in_order(manifest.files)):
        path = partial[file.name]
        remote = RemoteFile(file.name, file.size, sha256=file.sha256)
        if file.name.endswith(".json"):  # a plain Git blob on a hub, and so named in its cache
            remote = RemoteFile(file.name, file.size, git_sha1=file_digest(path, "git_sha1"))
        preset.cache.publish(location, preset.revision, remote, path)
    record_preset(
        preset,
        manifest.files,
        requested=manifest.requested,
        allow_pickle=bool(archive.pickle),
    )
    preset.cache.settle(location, preset.revision, manifest.requested or None)


def _check_free(archive: Archive, preset: CachedPreset) -> None:
    """Refuse to replace other files of the revision, unless they are damaged."""
    wanted = archive.manifest.by_name
    with suppress(PresetError):  # a damaged manifest
        manifest = preset.manifest
        if manifest is not None and manifest.by_name == wanted:
            return
    for name in sorted({*wanted, archive.names.weights}):
        path = preset.file(name)
        if path is not None and (name not in wanted or file_sha256(path) != wanted[name].sha256):
            raise OutputError(
                f"{preset.handle} is on this machine, and its {name} is another one",
                hint="--force replaces it",
            )


def _partial_path(preset: CachedPreset, file: FileRecord) -> Path:
    remote = RemoteFile(file.name, file.size, sha256=file.sha256)
    return PartialFile(preset.home, "archive", remote).path


def _unpack(archive: Archive, paths: Mapping[str, Path]) -> None:
    """Write each file to its path in `paths`, and compare it; OSError."""
    files = in_order(archive.manifest.files)
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    _check_space(archive, paths[files[0].name].parent)
    with archive.path.open("rb") as stream:
        for file, member in zip(files, archive.members, strict=True):
            compare(archive.path, file, unpack(stream, member, paths[file.name]))


def _check_space(archive: Archive, directory: Path) -> None:
    needed, free = archive.manifest.size, shutil.disk_usage(directory).free
    if needed > free:
        raise OutputError(
            f"{archive.path} needs {show_bytes(needed)} in {directory}, "
            f"where {show_bytes(free)} are free",
            hint="free some space, or choose another place",
        )


@contextmanager
def _disk_errors(archive: Archive, place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{archive.path}: cannot unpack it to {place}: {error.strerror or error}"
        ) from error
