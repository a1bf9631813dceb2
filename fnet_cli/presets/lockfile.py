"""Lock files: which revision, and which bytes, a job was run with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fnet_cli.errors import OutputError, PresetError
from fnet_cli.files import replacing
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.json_file import read_json_object
from fnet_cli.presets.store.manifest import Manifest, from_dict

_FORMAT = 1


def check_lock_place(path: Path) -> None:
    """Raise OutputError where a lock file could not be written after all has been fetched."""
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a directory")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no directory {path.parent}")


def write_lock(path: Path, manifests: Sequence[Manifest]) -> None:
    """Write the manifests of pulled presets into a lock file; OutputError."""
    entries = [manifest.to_dict() for manifest in manifests]
    text = json.dumps({"format": _FORMAT, "presets": entries}, indent=2)
    try:
        with replacing(path) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def read_lock(path: Path) -> list[Manifest]:
    """Read a lock file; PresetError where it is missing or is none."""
    document = read_json_object(path)
    entries = document.get("presets")
    if document.get("format") != _FORMAT or not isinstance(entries, list) or not entries:
        raise PresetError(f"{path} is not a lock file", hint="fnet presets pull --lock writes one")
    if not all(isinstance(entry, dict) for entry in entries):
        raise PresetError(f"{path} is not a lock file: an entry is no object")
    return [from_dict(entry, str(path)) for entry in entries]


def locked_handle(manifest: Manifest) -> Handle:
    """Return the handle of the exact revision that was locked."""
    return replace(manifest.remote, revision=manifest.revision)
