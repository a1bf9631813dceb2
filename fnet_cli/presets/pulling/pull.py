"""A whole preset, from its source into its cache."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from fnet_cli.config import Settings
from fnet_cli.constants import LOCK_LEASE_SECONDS
from fnet_cli.errors import (
    FnetError,
    IntegrityError,
    NetworkError,
    OutputError,
    PresetError,
    PresetNotFoundError,
)
from fnet_cli.locks import taken
from fnet_cli.presets.fingerprint import file_digest
from fnet_cli.presets.handles import Handle, SourceName
from fnet_cli.presets.pulling.events import EventCallback, Planned, Waiting, ignore
from fnet_cli.presets.pulling.partial import abandoned_bytes
from fnet_cli.presets.pulling.planning import Plan, check_listing, make_plan
from fnet_cli.presets.pulling.retrying import with_retries
from fnet_cli.presets.pulling.transfer import Origin, Transfer, ask_about
from fnet_cli.presets.sources.base import RemoteFile
from fnet_cli.presets.sources.remote import remote_source
from fnet_cli.presets.store.cached import CachedPreset, find_cached, near_names
from fnet_cli.presets.store.caches import OWN_DIRECTORY, OwnCache, cache_of
from fnet_cli.presets.store.manifest import FileRecord, Manifest, write_manifest
from fnet_cli.presets.store.recording import adopt, problems, record, record_preset
from fnet_cli.units import show_bytes


@dataclass(frozen=True)
class PullOptions:
    """How to pull.

    `force` fetches files that are here again, `allow_pickle` lets a pickle be fetched and
    loaded, and `locked` is what the files must be.
    """

    force: bool = False
    allow_pickle: bool = False
    locked: Manifest | None = None
    on_event: EventCallback = ignore


@dataclass(frozen=True)
class Pulled:
    """What a pull has done: `fetched` are the files that came over the network."""

    preset: CachedPreset
    manifest: Manifest
    fetched: list[str] = field(default_factory=list)


def pull(handle: Handle, settings: Settings, options: PullOptions | None = None) -> Pulled:
    """Bring all files of a preset into its cache, checked, and record them.

    A preset that is whole here is only checked; where the handle says exactly which, without a
    connection. Raises NetworkError, PresetNotFoundError, PresetError or UnsafePresetError for
    one that would not load, IntegrityError for bytes that are not what they must be, and
    OutputError for what the disk refuses.
    """
    options = options or PullOptions()
    preset = _known(handle, settings)
    origin = None
    if preset is None:
        origin = _ask(handle, settings, options)
        exact = replace(handle, revision=origin.listing.revision)
        preset = CachedPreset(exact, cache_of(handle.source, settings))
    manifest = _whole(preset, settings, options)
    if manifest is None:
        # A bad answer ends this before anything is written.
        try:
            origin = origin or _ask(handle, settings, options)
        except NetworkError:
            manifest = _unrecorded(preset, options)
            if manifest is None:
                raise
            return Pulled(preset, manifest)
        with _alone(preset, options):
            manifest = _whole(preset, settings, options)  # by another process meanwhile
            if manifest is None:
                pulled = _Pull(origin, preset, options).run()
                _settle(preset, handle, options)
                return pulled
    _settle(preset, handle, options)
    return Pulled(preset, _pinned(preset, manifest, handle))


def plan_pull(
    handle: Handle, settings: Settings, options: PullOptions
) -> tuple[CachedPreset, list[RemoteFile]]:
    """Return the preset that `pull` would pull, and the files that it would fetch.

    Writes nothing to any cache. Raises what `pull` would raise before it fetches weights.
    """
    origin = _ask(handle, settings, options)
    preset = CachedPreset(
        replace(handle, revision=origin.listing.revision), cache_of(handle.source, settings)
    )
    with tempfile.TemporaryDirectory(prefix="fnet-") as directory:
        scratch = CachedPreset(preset.handle, OwnCache(Path(directory)))
        plan = _Pull(origin, scratch, options).plan()
    ours = _Pull(origin, preset, options)
    return preset, [file for file in plan.files if ours.kept(file) is None]


class _Pull:
    """One pull of one revision, by the one process that does it."""

    def __init__(self, origin: Origin, preset: CachedPreset, options: PullOptions) -> None:
        self._origin = origin
        self._preset = preset
        self._options = options
        # Others keep files in the same cache, which are none of ours to remove.
        self._is_ours = not preset.directory.exists()
        self._before: Manifest | None = None
        with suppress(PresetError):  # a damaged manifest is written anew
            self._before = preset.manifest
        self._recorded = {} if self._before is None else self._before.by_name
        self._records: dict[str, FileRecord] = {}
        self._fetched: list[str] = []

    def run(self) -> Pulled:
        """Fetch what is not here, check that the preset would load, and record it."""
        try:
            return self._run()
        except PresetNotFoundError:
            raise
        except PresetError:
            if self._is_ours:  # what would not load is not left lying in a cache
                with suppress(OSError):
                    self._preset.cache.discard(self._preset.handle.location, self._preset.revision)
            raise

    def _run(self) -> Pulled:
        plan = self.plan()
        wanted = [file for file in plan.files if file.name not in self._records]
        wanted = [file for file in wanted if not self._keep(file)]
        total = sum(file.size or 0 for file in wanted)
        _check_space(self._preset, total)
        handle = self._origin.handle
        # The config, and an index, had to come first.
        count, here = len(wanted) + len(self._fetched), sum(map(self._size_of, self._fetched))
        self._options.on_event(Planned(str(handle), self._preset.revision, count, total + here))
        for file in wanted:
            self._fetch(file, plan.parameters)
        _check_locked(handle, self._records, self._options.locked)
        manifest = record_preset(
            self._preset,
            list(self._records.values()),
            # A repair by the exact handle, as errors advise it, asks for nothing new.
            requested=self._before.requested if self._before else handle.revision or "",
            allow_pickle=self._options.allow_pickle,
        )
        return Pulled(self._preset, manifest, self._fetched)

    def plan(self) -> Plan:
        """Learn which files there are, for which the config is fetched."""

        def obtain(file: RemoteFile) -> Path:
            if not self._keep(file):
                self._fetch(file, parameters=0)
            return self._preset.directory / file.name

        return make_plan(self._origin, obtain, allow_pickle=self._options.allow_pickle)

    def kept(self, file: RemoteFile) -> FileRecord | None:
        """Return the record of a file that is here and is the one at the source."""
        path = self._preset.file(file.name)
        if path is None or self._options.force:
            return None
        if file.size not in (None, path.stat().st_size):
            return None
        if self._options.locked is not None:
            found, locked = record(self._preset, file.name), self._options.locked.by_name
            return found if found == locked.get(file.name) else None
        before = self._recorded.get(file.name)
        if before is not None:
            return before if record(self._preset, file.name) == before else None
        for kind in ("sha256", "git_sha1", "md5"):
            stated = getattr(self._stated(file), kind)
            if stated:
                same = file_digest(path, kind) == stated
                return record(self._preset, file.name) if same else None
        return None

    def _stated(self, file: RemoteFile) -> RemoteFile:
        """Return `file` with the hash that its source states, at the latest when it is asked."""
        known = file.sha256 or file.git_sha1 or file.md5
        return file if known else ask_about(self._origin, file)

    def _keep(self, file: RemoteFile) -> bool:
        if not self._options.force and self._preset.file(file.name) is None:
            with suppress(OSError):  # then it is fetched
                self._preset.cache.reuse(self._preset.handle.location, self._preset.revision, file)
        found = self.kept(file)
        if found is not None:
            self._records[file.name] = found
        return found is not None

    def _size_of(self, name: str) -> int:
        return self._records[name].size

    def _fetch(self, file: RemoteFile, parameters: int) -> None:
        preset = self._preset
        transfer = Transfer(self._origin, file, preset.home, parameters)
        try:
            fetched = transfer.run()
            locked = self._options.locked
            if locked is not None and locked.by_name.get(file.name) != fetched:
                raise _not_locked(self._origin.handle, file.name)
            self._records[file.name] = fetched
            preset.cache.publish(
                preset.handle.location, preset.revision, transfer.file, transfer.partial.path
            )
        except OSError as error:
            raise _unwritable(preset, error) from error
        finally:
            transfer.partial.close()
        self._fetched.append(file.name)


def _unrecorded(preset: CachedPreset, options: PullOptions) -> Manifest | None:
    """Adopt what another program has fetched, as it is, for its source is away."""
    known = preset.manifest_path.exists() or preset.layout() is None
    if known or options.force or options.locked:
        return None
    return adopt(preset, allow_pickle=options.allow_pickle)


def _known(handle: Handle, settings: Settings) -> CachedPreset | None:
    """Return the preset that `handle` means where its source need not, or must not, be asked."""
    if handle.exact:
        return CachedPreset(handle, cache_of(handle.source, settings))
    return find_cached(handle, settings) if settings.offline else None


def _ask(handle: Handle, settings: Settings, options: PullOptions) -> Origin:
    """Ask the source which revision and files `handle` means."""
    if settings.offline and not handle.is_on_disk:
        raise NetworkError(
            f"{handle} cannot be pulled offline",
            hint="unset FNET_OFFLINE and HF_HUB_OFFLINE and leave --offline out, or bring an "
            "archive: fnet presets import FILE",
        )
    source = remote_source(handle.source, settings)
    try:
        listing = with_retries(lambda: source.list(handle), settings.retries, options.on_event)
    except PresetNotFoundError as error:
        near = near_names(str(handle.unpinned), settings)
        if near and find_cached(handle.unpinned, settings) is None:
            error.hint = f"did you mean {' or '.join(near)}? Else {error.hint}"
        raise
    check_listing(listing, str(handle))
    # A mirror is asked for no revision: what it has now is held against the lock file.
    mirror = handle.source is SourceName.MIRROR
    if handle.exact and listing.revision != handle.revision and not mirror:
        raise NetworkError(f"{handle}: the source answers with revision {listing.revision:.60}")
    return Origin(source, handle, listing, settings.retries, options.on_event)


def _whole(preset: CachedPreset, settings: Settings, options: PullOptions) -> Manifest | None:
    """Return the manifest of a preset whose files are all here and unchanged, or None."""
    if options.force:
        return None
    try:
        manifest = preset.manifest
        if manifest is None:
            # What another program has fetched is held against its source, where that may be asked.
            whole = settings.offline and preset.layout() is not None
            manifest = adopt(preset, allow_pickle=options.allow_pickle) if whole else None
        elif problems(preset, manifest):
            return None
    except PresetError:  # a damaged manifest, or files that would not load: fetched again
        return None
    if manifest is None:
        return None
    if options.locked and not settings.offline and manifest.by_name != options.locked.by_name:
        return None  # the source may have what was locked
    _check_locked(preset.handle, manifest.by_name, options.locked)
    return manifest


def _settle(preset: CachedPreset, handle: Handle, options: PullOptions) -> None:
    """Let the revision that was asked for mean this one; a cache may be read-only.

    What a lock file was made from means it, too, where it means nothing here yet.
    """
    asked = [handle.revision]
    if options.locked is not None:
        locked = options.locked.requested or None
        if preset.cache.meant(preset.handle.location, locked) is None:
            asked.append(locked)
    with suppress(OSError):
        for revision in asked:
            preset.cache.settle(preset.handle.location, preset.revision, revision)


def _pinned(preset: CachedPreset, manifest: Manifest, handle: Handle) -> Manifest:
    """Return the manifest, which remembers from now on if just this revision was asked for."""
    if not handle.exact or manifest.requested == handle.revision:
        return manifest
    pinned = replace(manifest, requested=handle.revision or "")
    with suppress(OSError):
        write_manifest(preset.manifest_path, pinned)
    return pinned


def _check_locked(handle: Handle, records: dict[str, FileRecord], locked: Manifest | None) -> None:
    """Require that the files are those of a lock file."""
    if locked is None:
        return
    wanted = locked.by_name
    for name in sorted({*wanted, *records}):
        if wanted.get(name) != records.get(name):
            raise _not_locked(handle, name)


def _not_locked(handle: Handle, name: str) -> IntegrityError:
    return IntegrityError(
        f"{handle}: {name} is not the file that was locked",
        hint="the source has changed it, or the lock file is of another preset",
    )


def _check_space(preset: CachedPreset, needed: int) -> None:
    directory = preset.home
    while not directory.exists():
        directory = directory.parent
    # What an interrupted pull has left is gone on with.
    needed -= abandoned_bytes(preset.home)
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise OutputError(
            f"{preset.handle} needs {show_bytes(needed)} in {directory}, "
            f"where {show_bytes(free)} are free",
            hint="free some space, or choose another cache directory",
        )


@contextmanager
def _alone(preset: CachedPreset, options: PullOptions) -> Iterator[None]:
    """Hold the lock of a revision: two processes would do the same work.

    It is a lease in a file, which works on every file system: one whose holder is gone is taken
    over. Nothing depends on it but that no work is done twice.
    """
    from filelock import SoftFileLease

    path = preset.home / OWN_DIRECTORY / f"{preset.revision}.lock"
    lease = SoftFileLease(path, lease_duration=LOCK_LEASE_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        preset.cache.claim(preset.handle.location)
        if not taken(lease):
            options.on_event(Waiting(str(preset.handle), f"process {lease.pid or '?'}"))
            taken(lease, math.inf)
    except OSError as error:
        raise _unwritable(preset, error) from error
    try:
        yield
    finally:
        lease.release()


def _unwritable(preset: CachedPreset, error: OSError) -> FnetError:
    return OutputError(
        f"cannot write to {preset.home}: {error.strerror or error}",
        hint="another cache directory can be named: KAGGLEHUB_CACHE, HF_HOME, FNET_CACHE",
    )
