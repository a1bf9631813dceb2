"""What is in a preset, from its config, its file headers and its record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import layer_table, parameter_count
from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import FnetError, IntegrityError, PresetError
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.listing import preset_files
from fnet_cli.presets.pulling.events import EventCallback
from fnet_cli.presets.pulling.limits import largest
from fnet_cli.presets.registry import BUILTIN_PRESETS, BuiltinPreset
from fnet_cli.presets.resolving import LocalPreset, resolve_preset
from fnet_cli.presets.store.cached import find_cached, repair_hint
from fnet_cli.presets.store.recording import problems


@dataclass(frozen=True)
class Inspection:
    """What is in a preset.

    `refused` says why it, or a part of it, would not be loaded: a line for each reason, and
    `problem` is the first of them as an error. `provenance` is what its manifest records.
    """

    preset: str
    source: str
    state: str
    description: str
    directory: str | None
    layout: str | None
    dtype: str | None
    stored_dtypes: list[str]
    config: dict[str, Any]
    parameters: int
    blocks: dict[str, int]
    tokenizer: dict[str, int] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    problem: FnetError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        shallow = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del shallow["problem"]
        return shallow


def inspect_preset(
    handle: str, settings: Settings, on_pull: EventCallback | None = None
) -> Inspection:
    """Look into a preset: config, counts, file hashes, tokenizer, and what would be refused.

    Weights are hashed, and their headers checked, never loaded. A built-in preset that is not
    here is shown from the table; another one is pulled where `on_pull` is given. Raises
    PresetError where not even the config can be read.
    """
    builtin = BUILTIN_PRESETS.get(handle)
    if builtin and not builtin.bundled and not _is_here(handle, settings):
        return _from_table(builtin)
    preset = resolve_preset(handle, settings, on_pull)
    stored, tokenizer, found = _check_files(preset)
    manifest = preset.cached and preset.cached.manifest
    if preset.cached and manifest:
        damage = problems(preset.cached, manifest)
        hint = repair_hint(preset.cached.handle)
        found += [IntegrityError(f"{preset.directory}: {line}", hint=hint) for line in damage]
    return Inspection(
        preset=preset.handle,
        source=preset.source,
        state="invalid" if found else _state(preset),
        description=builtin.description if builtin else "",
        directory=str(preset.directory),
        layout=preset.layout.name,
        dtype=preset.dtype,
        stored_dtypes=stored,
        config=preset.config.to_dict(),
        parameters=parameter_count(preset.config),
        blocks=_blocks(preset.config),
        tokenizer=tokenizer,
        files=_file_facts(preset),
        provenance=_provenance(preset),
        refused=[str(error) for error in found],
        problem=found[0] if found else None,
    )


def _is_here(handle: str, settings: Settings) -> bool:
    remote = parse_handle(handle)
    return remote is not None and find_cached(remote, settings) is not None


def _from_table(builtin: BuiltinPreset) -> Inspection:
    return Inspection(
        preset=builtin.name,
        source=builtin.kaggle_handle or "",
        state="not pulled",
        description=builtin.description,
        directory=None,
        layout=None,
        dtype=None,
        stored_dtypes=[],
        config=builtin.config.to_dict(),
        parameters=builtin.parameters,
        blocks=_blocks(builtin.config),
    )


def _state(preset: LocalPreset) -> str:
    if preset.cached is None:
        return "bundled" if preset.source == "bundled" else "present"
    return "pulled" if preset.cached.manifest else "cached"


def _blocks(config: BackboneConfig) -> dict[str, int]:
    counts: dict[str, int] = {}
    for layer in layer_table(config):
        counts[layer.block] = counts.get(layer.block, 0) + layer.size
    return counts


def _check_files(preset: LocalPreset) -> tuple[list[str], dict[str, int], list[FnetError]]:
    """Return the stored dtypes, the tokenizer's special ids, and all that is wrong."""
    stored: list[str] = []
    tokenizer: dict[str, int] = {}
    found: list[FnetError] = []
    try:
        with preset.open_weights() as weights:
            stored = sorted(weights.dtypes())
    except PresetError as error:
        found.append(error)
    try:
        special = preset.special_ids()
        tokenizer = asdict(special) if special else {}
    except PresetError as error:
        found.append(error)
    try:
        preset.layout.check_companions(preset.directory)
    except PresetError as error:
        found.append(error)
    found += [
        PresetError(f"{path}: {path.stat().st_size:,} bytes are more than such a file has")
        for path in _files(preset)
        if _is_oversized(preset, path)
    ]
    return stored, tokenizer, found


def _file_facts(preset: LocalPreset) -> dict[str, dict[str, Any]]:
    from fnet_cli.presets.fingerprint import file_sha256

    return {
        path.relative_to(preset.directory).as_posix(): {
            "bytes": path.stat().st_size,
            # A sparse file of terabytes would be read for hours.
            "sha256": None if _is_oversized(preset, path) else file_sha256(path),
        }
        for path in _files(preset)
    }


def _is_oversized(preset: LocalPreset, path: Path) -> bool:
    return path.stat().st_size > largest(path.name, parameter_count(preset.config))


def _files(preset: LocalPreset) -> list[Path]:
    """List a preset's files; in a cache, those that are recorded or that its format names."""
    cached = preset.cached
    if cached is None:
        return preset_files(preset.directory)
    manifest = cached.manifest
    if manifest is not None:
        names = sorted(manifest.by_name)
    else:
        weights = [path.name for path in preset.weight_files]
        names = sorted({CONFIG_FILE, *preset.layout.files.companions, *weights})
    return [path for name in names if (path := cached.file(name)) is not None]


def _provenance(preset: LocalPreset) -> dict[str, str]:
    if preset.cached is None:
        return {}
    handle = preset.cached.handle
    facts = {"handle": str(handle.unpinned), "revision": preset.cached.revision}
    manifest = preset.cached.manifest
    if manifest is not None:
        facts |= {"pulled_at": manifest.pulled_at, "tool": manifest.tool}
        facts |= {"requested": manifest.requested} if manifest.requested else {}
    return facts
