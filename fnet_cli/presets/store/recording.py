"""Writing manifests, and holding files against them."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Sequence

from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.constants import CONFIG_FILE, __version__
from fnet_cli.errors import OutputError, PresetError, PresetNotFoundError
from fnet_cli.presets.fingerprint import file_digest, file_sha256
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.store.cached import CachedPreset, size_problem
from fnet_cli.presets.store.manifest import FileRecord, Manifest, write_manifest
from fnet_cli.tokenizer.special import read_special_ids

# What huggingface_hub names its blobs by, by the length of the name.
_BLOB_HASHES = {40: "git_sha1", 64: "sha256"}
_HEX = re.compile(r"[0-9a-f]+")
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def record_preset(
    preset: CachedPreset,
    files: Sequence[FileRecord],
    *,
    requested: str = "",
    allow_pickle: bool = False,
) -> Manifest:
    """Check that a preset whose files are all in place would load, and write its manifest.

    Reads headers only. Raises PresetError or UnsafePresetError for one that would not load, and
    OutputError for a full disk. A cache that is read-only goes without a manifest.
    """
    path = preset.directory / CONFIG_FILE
    layout, document = layout_of(path)
    config, dtype = layout.read_config(path, document)
    vocabulary = preset.file(layout.vocabulary_file)
    if vocabulary is not None:
        read_special_ids(vocabulary)
    with layout.open_weights(preset.directory, config, allow_pickle=allow_pickle):
        # Opening has checked the weights' headers.
        layout.check_companions(preset.directory, config)
    manifest = Manifest(
        handle=str(preset.handle.unpinned),
        source=preset.handle.source.value,
        revision=preset.revision,
        requested=requested,
        layout=layout.name,
        parameters=parameter_count(config),
        dtype=dtype,
        files=tuple(sorted(files, key=lambda file: file.name)),
        allow_pickle=allow_pickle and layout.files.pickle in {file.name for file in files},
        pulled_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        tool=f"fnet-cli {__version__}",
    )
    try:
        write_manifest(preset.manifest_path, manifest)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise OutputError(
                f"cannot write {preset.manifest_path}: {error.strerror or error}",
                hint="the preset's files are here; pull it again when there is space",
            ) from error
    return manifest


def adopt(preset: CachedPreset, *, allow_pickle: bool = False) -> Manifest:
    """Record a preset that another program has put into its client's cache.

    Its hashes are taken from the files as they are; a blob that is named after a hash must have
    that hash. Raises PresetNotFoundError where the preset is not whole, PresetError where it is
    damaged, and UnsafePresetError for a pickle that is not allowed.
    """
    layout = preset.layout()
    if layout is None:
        raise PresetNotFoundError(
            f"{preset.handle} is not whole on this machine",
            hint=f"fetch what is missing: fnet presets pull {preset.handle}",
        )
    weights = layout.weight_files(preset.directory, allow_pickle=allow_pickle)
    names = {path.relative_to(preset.directory).as_posix() for path in weights}
    names |= {
        name for name in layout.files.all if preset.file(name) and name != layout.files.pickle
    }
    bad = misnamed_blobs(preset)
    if bad:
        raise PresetError(f"{preset.directory}: {bad[0]}")
    files = [record(preset, name) for name in names]
    return record_preset(preset, files, allow_pickle=allow_pickle)


def misnamed_blobs(preset: CachedPreset) -> list[str]:
    """Return a line for each file of a snapshot whose blob is not what its name says."""
    found = []
    for link in sorted(preset.directory.rglob("*")):
        blob = link.resolve()
        kind = _BLOB_HASHES.get(len(blob.name)) if link.is_symlink() and blob.is_file() else None
        if kind and _HEX.fullmatch(blob.name) and file_digest(blob, kind) != blob.name:
            name = link.relative_to(preset.directory).as_posix()
            found.append(f"{name} has changed: it is not the blob that it is named after")
    return found


def record(preset: CachedPreset, name: str) -> FileRecord:
    """Return the record of a file as it is now."""
    path = preset.file(name)
    if path is None:
        raise PresetError(f"{preset.directory}: {name} is missing")
    return FileRecord(name, path.stat().st_size, file_sha256(path))


def problems(preset: CachedPreset, manifest: Manifest) -> list[str]:
    """Return what is wrong with a preset's files, every byte read: a line for each bad file."""
    found = []
    for expected in manifest.files:
        path = preset.file(expected.name)
        problem = size_problem(path, expected)
        if not problem and path is not None and file_sha256(path) != expected.sha256:
            problem = f"{expected.name} has changed: its sha256 is not the recorded one"
        if problem:
            found.append(problem)
    return found
