"""The record of an archive: a manifest, and a hash of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fnet_cli.constants import CONFIG_FILE, MAX_PARAMETERS, MAX_SHARDS
from fnet_cli.errors import IntegrityError, PresetError, UnsafePresetError, UsageError
from fnet_cli.presets.handles import Handle, SourceName, parse_handle, with_revision
from fnet_cli.presets.json_file import read_json_object
from fnet_cli.presets.pulling.limits import largest
from fnet_cli.presets.store.manifest import FileRecord, Manifest, from_dict

RECORD_FILE = "fnet-preset.json"
FILES_PREFIX = "files/"
# The source of a preset that has no handle.
DIRECTORY_SOURCE = "directory"
_DIGEST = "sha256"
# Besides shards: config, index, vocabulary and what documents them.
_MAX_FILES = MAX_SHARDS + 16


def record_bytes(manifest: Manifest) -> bytes:
    """Return the record as it stands in an archive."""
    document = manifest.to_dict()
    return json.dumps({**document, _DIGEST: _digest_of(document)}, indent=2).encode("ascii")


def read_record(path: Path, where: str) -> Manifest:
    """Return the manifest in a record, checked; `where` names the archive in messages.

    Raises PresetError for what is no record, IntegrityError for one that was changed after it was
    written, and UnsafePresetError for more or larger files than a preset can have.
    """
    document = read_json_object(path)
    manifest = from_dict(document, f"{where}: {RECORD_FILE}")
    if document.get(_DIGEST) != _digest_of(manifest.to_dict()):
        raise IntegrityError(f"{where}: {RECORD_FILE} has been changed since it was written")
    if CONFIG_FILE not in manifest.by_name:
        raise PresetError(f"{where}: its record has no {CONFIG_FILE}")
    if len(manifest.files) > _MAX_FILES:
        raise UnsafePresetError(f"{where}: its record names {len(manifest.files):,} files")
    if manifest.parameters > MAX_PARAMETERS:
        raise UnsafePresetError(f"{where}: its record claims {manifest.parameters:,} parameters")
    for file in manifest.files:
        if file.size > largest(file.name, manifest.parameters):
            raise UnsafePresetError(
                f"{where}: {file.name} claims {file.size:,} bytes, more than such a preset has"
            )
    return manifest


def recorded_handle(manifest: Manifest, where: str) -> Handle | None:
    """Return the handle in a record with its exact revision, None for a directory's.

    It decides where files go, so that nothing but what a pull would record is taken: anything
    else is an UnsafePresetError.
    """
    if not manifest.handle and manifest.source == DIRECTORY_SOURCE:
        return None
    try:
        handle = parse_handle(manifest.handle)
        if (
            handle is not None
            and (str(handle.unpinned), handle.source) == (manifest.handle, manifest.source)
            and _is_of(manifest.requested, manifest, handle)
        ):
            exact = _at(handle, manifest.revision)
            if exact.exact:
                return exact
    except (UsageError, PresetError) as error:
        raise UnsafePresetError(f"{where}: its record: {error}") from error
    raise UnsafePresetError(
        f"{where}: its record's handle, source and revision do not fit together: "
        f"{manifest.handle!r:.120}, {manifest.source!r:.40}, {manifest.revision}"
    )


def _is_of(requested: str, manifest: Manifest, handle: Handle) -> bool:
    """Whether a revision can have been asked for and have meant the recorded one."""
    if not requested:
        return True
    wanted = _at(handle, requested)
    return not wanted.exact or requested == manifest.revision


def _at(handle: Handle, revision: str) -> Handle:
    if handle.source is SourceName.MIRROR:  # whose revisions are hashes of ours
        return replace(handle, revision=revision)
    return with_revision(handle, revision)


def in_order(files: Iterable[FileRecord]) -> list[FileRecord]:
    """Sort files as they stand in an archive: the config says how large the others may be."""
    return sorted(files, key=lambda file: (file.name != CONFIG_FILE, file.name))


def _digest_of(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode("ascii")).hexdigest()
