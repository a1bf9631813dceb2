"""What is in an archive, before anything of it goes anywhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.constants import CONFIG_FILE, MAX_JSON_BYTES
from fnet_cli.errors import IntegrityError, PresetError, UnsafePresetError
from fnet_cli.presets.archive.plain_tar import Member, copy, not_an_archive, read_members
from fnet_cli.presets.archive.record import (
    FILES_PREFIX,
    RECORD_FILE,
    in_order,
    read_record,
    recorded_handle,
)
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.layouts.naming import FileNames
from fnet_cli.presets.pulling.limits import check_beginning
from fnet_cli.presets.store.manifest import FileRecord, Manifest


@dataclass(frozen=True)
class Archive:
    """An archive whose record is sound and whose members are those that the record names.

    `handle` has the exact revision; None for a preset that was somebody's directory. `members`
    stand in the order of `in_order`; the bytes of all but the config are not compared yet.
    `names` are the names that files of its format have.
    """

    path: Path
    manifest: Manifest
    handle: Handle | None
    members: tuple[Member, ...]
    names: FileNames

    @property
    def pickle(self) -> str:
        """The name of a pickle among the files, or an empty string."""
        return self.names.pickle if self.names.pickle in self.manifest.by_name else ""


def read_archive(path: Path) -> Archive:
    """Return what is in an archive, from its record, its config and the headers of its members.

    Raises PresetError for a file that is no archive, is cut short, or has a config of no use,
    IntegrityError for members that are not those of the record, and UnsafePresetError for members
    that are no plain files, names that lead elsewhere, and sizes that no such preset has.
    """
    try:
        if path.exists() and not path.is_file():  # a FIFO would be waited for without end
            raise PresetError(f"{path}: not a regular file")
        with path.open("rb") as stream, tempfile.TemporaryDirectory(prefix="fnet-") as scratch:
            return _Reader(path, stream, Path(scratch)).read()
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror or error}") from error


class _Reader:
    """One look at an archive; its JSON files are read in the scratch directory."""

    def __init__(self, path: Path, stream: BinaryIO, scratch: Path) -> None:
        self._path = path
        self._stream = stream
        self._scratch = scratch

    def read(self) -> Archive:
        """Return what is in the archive."""
        members = read_members(self._stream, str(self._path))
        manifest = self._record(next(members, None))
        handle = recorded_handle(manifest, str(self._path))
        files = in_order(manifest.files)
        found = [_expected(next(members, None), files[0], manifest, self._path)]
        names = self._config(found[0], manifest)
        for file in files[1:]:
            found.append(_expected(next(members, None), file, manifest, self._path))
        extra = next(members, None)
        if extra is not None:
            raise _misplaced(extra, manifest, self._path)
        return Archive(self._path, manifest, handle, tuple(found), names)

    def _record(self, member: Member | None) -> Manifest:
        if member is None or member.name != RECORD_FILE:
            raise not_an_archive(str(self._path))
        if member.size > MAX_JSON_BYTES:
            raise UnsafePresetError(f"{self._path}: {RECORD_FILE} is too large")
        unpack(self._stream, member, self._scratch / RECORD_FILE)
        with errors_of(self._path, self._scratch):
            return read_record(self._scratch / RECORD_FILE, str(self._path))

    def _config(self, member: Member, manifest: Manifest) -> FileNames:
        """Hold the record against the config, and return the names of the format's files."""
        path = self._scratch / CONFIG_FILE
        compare(self._path, manifest.by_name[CONFIG_FILE], unpack(self._stream, member, path))
        with errors_of(self._path, self._scratch):
            layout, document = layout_of(path)
            config, dtype = layout.read_config(path, document)
        found = (layout.name, parameter_count(config), dtype)
        claimed = (manifest.layout, manifest.parameters, manifest.dtype)
        if claimed != found:
            raise UnsafePresetError(
                f"{self._path}: its record says {claimed!r:.200}, its config {found!r:.200}"
            )
        names = layout.files
        for name in manifest.by_name:
            if name not in names.all and not names.shard.fullmatch(name):
                raise UnsafePresetError(
                    f"{self._path}: {name} is no file of a preset in the format of {layout.name}"
                )
        return names


def unpack(stream: BinaryIO, member: Member, path: Path) -> str:
    """Write a member's bytes to the new file `path`, and return their sha256; OSError."""
    stream.seek(member.offset)
    with path.open("xb") as file:
        digest, _ = copy(stream, file, member.size)
        file.flush()
        os.fsync(file.fileno())
    return digest


def compare(archive: Path, expected: FileRecord, digest: str) -> None:
    """Raise IntegrityError where a file is not the recorded one."""
    if digest != expected.sha256:
        raise IntegrityError(
            f"{archive}: {expected.name} is damaged: its sha256 is not the recorded one",
            hint="copy the archive again",
        )


def check_loads(archive: Archive, directory: Path) -> None:
    """Check an unpacked preset as a pull would; headers only.

    Raises PresetError or UnsafePresetError for one that would not load, and for weight files that
    are no part of it.
    """
    path, names = directory / CONFIG_FILE, set(archive.manifest.by_name)
    with errors_of(archive.path, directory):
        for name in sorted(names):
            check_beginning(name, directory / name)
        layout, document = layout_of(path)
        config, _ = layout.read_config(path, document)
        pickled = bool(archive.pickle)
        weights = layout.weight_files(directory, allow_pickle=pickled)
        used = {file.relative_to(directory).as_posix() for file in weights}
        spare = names - used - {CONFIG_FILE, *layout.files.companions, layout.files.index}
        if spare:
            raise UnsafePresetError(f"{directory / min(spare)}: is no part of the preset")
        with layout.open_weights(directory, config, allow_pickle=pickled):
            layout.check_companions(directory, config)  # opening has checked the weights' headers


@contextmanager
def errors_of(archive: Path, directory: Path) -> Iterator[None]:
    """Let errors about files unpacked to `directory`, which goes, name them in the archive."""
    try:
        yield
    except PresetError as error:
        text = str(error).replace(f"{directory}/{RECORD_FILE}", f"{archive}: {RECORD_FILE}")
        text = text.replace(f"{directory}/", f"{archive}: {FILES_PREFIX}")
        text = text.replace(str(directory), str(archive))
        error.args = (text if str(archive) in text else f"{archive}: {text}",)
        raise


def _expected(
    member: Member | None, expected: FileRecord, manifest: Manifest, archive: Path
) -> Member:
    """Return a member that is the one which the record names next."""
    if member is None:
        raise IntegrityError(f"{archive}: lacks {expected.name}")
    if member.name != FILES_PREFIX + expected.name:
        raise _misplaced(member, manifest, archive)
    if member.size != expected.size:
        raise IntegrityError(
            f"{archive}: {member.name} has {member.size:,} bytes, its record says {expected.size:,}"
        )
    return member


def _misplaced(member: Member, manifest: Manifest, archive: Path) -> IntegrityError:
    known = member.name.removeprefix(FILES_PREFIX) in manifest.by_name
    what = "stands twice or out of its order" if known else "is not in its record"
    return IntegrityError(f"{archive}: {member.name} {what}")
