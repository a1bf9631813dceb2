"""Archives made by hand: of sound presets, and with anything at all in them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fnet_cli.config import Settings
from fnet_cli.presets.archive import export_preset
from fnet_cli.presets.archive.plain_tar import END, header_of, padding_of
from fnet_cli.presets.archive.record import FILES_PREFIX, RECORD_FILE, record_bytes
from fnet_cli.presets.resolving import resolve_preset
from fnet_cli.presets.store.manifest import FileRecord, Manifest, from_dict

Parts = list[tuple[str, bytes]]


def parts_of(archive: Path) -> Parts:
    """Return the members of an archive, by the reader that everybody has."""
    with tarfile.open(archive) as tar:
        return [(info.name, tar.extractfile(info).read()) for info in tar]


def member(name: str, data: bytes) -> bytes:
    return header_of(name, len(data)) + data + bytes(padding_of(len(data)))


def write_parts(archive: Path, parts: Iterable[tuple[str, bytes]], end: bytes = END) -> None:
    archive.write_bytes(b"".join(member(name, data) for name, data in parts) + end)


def special(name: str, kind: bytes, target: str = "", **fields: Any) -> bytes:
    """Return the header of a member that is no plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def export(directory: Path, archive: Path) -> Parts:
    """Export a preset that is a directory, and return the archive's members."""
    export_preset(resolve_preset(str(directory), Settings()), archive, overwrite=True)
    return parts_of(archive)


def manifest_in(parts: Parts) -> Manifest:
    return from_dict(json.loads(dict(parts)[RECORD_FILE]), RECORD_FILE)


def with_record(parts: Parts, change: Callable[[Manifest], Manifest]) -> Parts:
    """Return an archive's members with another record, sound in itself."""
    record = record_bytes(change(manifest_in(parts)))
    return [(RECORD_FILE, record), *parts[1:]]


def with_file(parts: Parts, name: str, data: bytes) -> Parts:
    """Return an archive's members with a file replaced or added, and recorded as it is."""
    files = {key: value for key, value in parts[1:] if key != FILES_PREFIX + name}
    files[FILES_PREFIX + name] = data
    names = sorted(files, key=lambda key: (key != f"{FILES_PREFIX}config.json", key))
    return recorded([(RECORD_FILE, parts[0][1]), *((key, files[key]) for key in names)])


def recorded(parts: Parts) -> Parts:
    """Return the members with a record of the files as they are."""
    import hashlib

    files = tuple(
        FileRecord(name.removeprefix(FILES_PREFIX), len(data), hashlib.sha256(data).hexdigest())
        for name, data in sorted(parts[1:])
    )
    return with_record(parts, lambda manifest: replace(manifest, files=files))


def stream_of(parts: Parts) -> io.BytesIO:
    return io.BytesIO(b"".join(member(name, data) for name, data in parts) + END)
