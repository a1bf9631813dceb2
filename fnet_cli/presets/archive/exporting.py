"""From a preset to an archive."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.constants import CONFIG_FILE, __version__
from fnet_cli.errors import IntegrityError, OutputError, UnsafePresetError
from fnet_cli.files import replacing
from fnet_cli.presets.archive.plain_tar import END, copy, header_of, padding_of
from fnet_cli.presets.archive.record import (
    DIRECTORY_SOURCE,
    FILES_PREFIX,
    RECORD_FILE,
    in_order,
    record_bytes,
)
from fnet_cli.presets.resolving import LocalPreset
from fnet_cli.presets.store.cached import CachedPreset, repair_hint
from fnet_cli.presets.store.manifest import FileRecord, Manifest
from fnet_cli.presets.store.recording import adopt

# Takes the place of a hash until the bytes have been read.
_UNKNOWN = "0" * 64


def export_preset(preset: LocalPreset, path: Path, *, overwrite: bool = False) -> Manifest:
    """Write `preset` to the archive `path`, which appears when it is complete.

    Returns the record in it; a directory's has no handle. Of a directory only the preset's own
    files are taken. Raises OutputError where `path` exists, unless `overwrite`, or cannot be
    written, PresetError for a preset that would not load, UnsafePresetError for a link that leads
    out of a directory, and IntegrityError where a file is not the one that was pulled.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputError(f"{path} exists", hint="name a new file, or replace it: --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"there is no directory {path.parent}", hint="create it first")
    with preset.open_weights():
        # What fails here would fail there.
        preset.layout.check_companions(preset.directory, preset.config)
    try:
        manifest, sources = _pulled(preset.cached) if preset.cached else _directory(preset)
        with replacing(path) as temporary, temporary.open("r+b") as file:
            written = _write(file, manifest, sources)
            if preset.cached is not None:
                _check_unchanged(preset.cached, manifest, written)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error
    return written


def _pulled(cached: CachedPreset) -> tuple[Manifest, dict[str, Path]]:
    """Return what was recorded of a preset in a cache, and where its files are."""
    manifest = cached.manifest or adopt(cached)
    paths = {}
    for file in manifest.files:
        path = cached.file(file.name)
        if path is None:
            raise IntegrityError(
                f"{cached.directory}: {file.name} is missing", hint=repair_hint(cached.handle)
            )
        paths[file.name] = path
    return manifest, paths


def _directory(preset: LocalPreset) -> tuple[Manifest, dict[str, Path]]:
    """Return a record without hashes, and the preset's own files among the directory's."""
    names = preset.layout.files
    weights = {path.relative_to(preset.directory).as_posix() for path in preset.weight_files}
    index = () if weights & {names.weights, names.pickle} else (names.index,)
    paths = {}
    for name in (CONFIG_FILE, *names.companions, *weights, *index):
        path = preset.directory / name
        if path.is_file():
            if not path.resolve().is_relative_to(preset.directory.resolve()):
                raise UnsafePresetError(f"{path}: is a link that leads out of its directory")
            paths[name] = path
    records = (FileRecord(name, path.stat().st_size, _UNKNOWN) for name, path in paths.items())
    manifest = Manifest(
        handle="",
        source=DIRECTORY_SOURCE,
        revision=_UNKNOWN,
        requested="",
        layout=preset.layout.name,
        parameters=parameter_count(preset.config),
        dtype=preset.dtype,
        files=tuple(sorted(records, key=lambda file: file.name)),
        allow_pickle=names.pickle in weights,
        pulled_at="",
        tool=f"fnet-cli {__version__}",
    )
    return manifest, paths


def _write(file: BinaryIO, manifest: Manifest, sources: Mapping[str, Path]) -> Manifest:
    """Write everything, each file read once, and then the record again with the hashes."""
    _write_record(file, manifest)
    records = []
    for expected in in_order(manifest.files):
        file.write(header_of(FILES_PREFIX + expected.name, expected.size))
        path = sources[expected.name]
        with path.open("rb") as source:
            digest, size = copy(source, file, expected.size)
            if size != expected.size or source.read(1):
                raise IntegrityError(f"{path}: has another size than before")
        file.write(bytes(padding_of(size)))
        records.append(replace(expected, sha256=digest))
    file.write(END)
    records.sort(key=lambda record: record.name)
    revision = manifest.revision if manifest.handle else _content_hash(records)
    written = replace(manifest, files=tuple(records), revision=revision)
    file.seek(0)
    _write_record(file, written)
    return written


def _write_record(file: BinaryIO, manifest: Manifest) -> None:
    data = record_bytes(manifest)
    file.write(header_of(RECORD_FILE, len(data)) + data + bytes(padding_of(len(data))))


def _content_hash(records: Sequence[FileRecord]) -> str:
    """Return the revision of a directory: the hash of its `sha256sum` lines, in name order."""
    lines = "".join(f"{record.sha256}  {record.name}\n" for record in records)
    return hashlib.sha256(lines.encode("ascii")).hexdigest()


def _check_unchanged(cached: CachedPreset, manifest: Manifest, written: Manifest) -> None:
    for name, before in manifest.by_name.items():
        if written.by_name[name] != before:
            raise IntegrityError(
                f"{cached.directory}: {name} has changed: its sha256 is not the recorded one",
                hint=repair_hint(cached.handle),
            )
