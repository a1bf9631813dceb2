"""The record of one pulled revision: where it came from, and what its files must be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fnet_cli.errors import PresetError, UnsafePresetError, UsageError
from fnet_cli.files import replacing
from fnet_cli.presets.handles import Handle, parse_handle
from fnet_cli.presets.json_file import read_json_object

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_REVISION = re.compile(r"[A-Za-z0-9]{1,64}")


@dataclass(frozen=True)
class FileRecord:
    """A file as it was when it was complete; `sha256` in lower-case hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One revision of one preset.

    `handle` is without a revision; `requested` is the revision that was asked for, empty for the
    newest. `dtype` and `parameters` are for listings. `allow_pickle` records that the user let
    the pickle among the files be loaded. `pulled_at` is in UTC, ISO 8601.
    """

    handle: str
    source: str
    revision: str
    requested: str
    layout: str
    parameters: int
    dtype: str
    files: tuple[FileRecord, ...]
    allow_pickle: bool
    pulled_at: str
    tool: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def by_name(self) -> dict[str, FileRecord]:
        """The files by name."""
        return {file.name: file for file in self.files}

    def to_dict(self) -> dict[str, Any]:
        """Return it as it stands in a file."""
        return {"format": FORMAT, **asdict(self), "files": [asdict(file) for file in self.files]}

    @property
    def remote(self) -> Handle:
        """The handle, parsed; PresetError where it is none of a hub or a mirror."""
        try:
            handle = parse_handle(self.handle)
        except UsageError as error:
            raise PresetError(f"a record of {self.handle!r:.120}: {error}") from error
        if handle is None:
            raise PresetError(f"a record of {self.handle!r:.120}, which is no handle")
        return handle


def check_name(name: object, where: str) -> str:
    """Return `name` as a relative path of a file; UnsafePresetError for anything else.

    Parts start with a letter, a digit or an underscore, so that none is hidden and none climbs.
    """
    if not isinstance(name, str) or len(name) > 255 or not _NAME.fullmatch(name):
        raise UnsafePresetError(f"{where}: {name!r:.120} is not the name of a preset's file")
    return PurePosixPath(name).as_posix()


def from_dict(document: Mapping[str, Any], where: str) -> Manifest:
    """Return the manifest in a JSON object, every field checked; PresetError naming `where`."""
    try:
        if document["format"] != FORMAT:
            raise PresetError(
                f"{where}: is of format {document['format']!r:.40}",
                hint="it was written by a newer fnet: update this one",
            )
        files = tuple(_file_record(entry, where) for entry in document["files"])
        texts = {
            key: document[key]
            for key in ("handle", "source", "requested", "layout", "dtype", "pulled_at", "tool")
        }
        revision, count = document["revision"], document["parameters"]
        pickle = document["allow_pickle"]
    except (KeyError, TypeError) as error:
        raise PresetError(f"{where}: not a manifest: {error!s:.120}") from error
    checked = (
        all(isinstance(text, str) and len(text) < 2048 for text in texts.values())
        and isinstance(revision, str)
        and _REVISION.fullmatch(revision)
        and type(count) is int
        and count >= 0
        and isinstance(pickle, bool)
        and len({file.name for file in files}) == len(files) > 0
    )
    if not checked:
        raise PresetError(f"{where}: not a manifest: a field is of the wrong kind")
    return Manifest(revision=revision, parameters=count, files=files, allow_pickle=pickle, **texts)


def _file_record(entry: Any, where: str) -> FileRecord:
    record = FileRecord(check_name(entry["name"], where), entry["size"], entry["sha256"])
    if (
        type(record.size) is not int
        or record.size < 0
        or not isinstance(record.sha256, str)
        or not _SHA256.fullmatch(record.sha256)
    ):
        raise PresetError(f"{where}: {record.name} has no usable size or sha256")
    return record


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; PresetError where it is missing or damaged."""
    return from_dict(read_json_object(path), str(path))


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest in one step; OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(manifest.to_dict(), indent=2), encoding="utf-8")
