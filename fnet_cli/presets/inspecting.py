"""What is in a preset, from its config, its file headers and its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import layer_table, parameter_count
from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import FnetError, IntegrityError, PresetError, PresetNotFoundError
from fnet_cli.presets.handles import SourceName, parse_handle
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.layouts.base import Layout
from fnet_cli.presets.listing import file_names, preset_files
from fnet_cli.presets.pulling.events import EventCallback
from fnet_cli.presets.pulling.limits import largest
from fnet_cli.presets.pulling.partial import size_of
from fnet_cli.presets.registry import BUILTIN_PRESETS, BuiltinPreset
from fnet_cli.presets.resolving import LocalPreset, open_cached, resolve_preset
from fnet_cli.presets.sources import SOURCES
from fnet_cli.presets.store.cached import CachedPreset, find_cached, repair_hint
from fnet_cli.presets.store.caches import cache_of
from fnet_cli.presets.store.manifest import Manifest
from fnet_cli.presets.store.recording import problems


@dataclass(frozen=True)
class Inspection:
    """What is in a preset.

    `refused` says why it, or a part of it, would not be loaded: a line for each reason, and
    `problem` is the first of them as an error. `provenance` is what its manifest records. Where
    the config cannot be used, `config` and `blocks` are empty and `parameters` is what the
    manifest says, else None. `encode_settings` has what the preset recommends. The sha256 of a
    file that is too large or cannot be read is None.
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
    parameters: int | None
    blocks: dict[str, int]
    tokenizer: dict[str, int] = field(default_factory=dict)
    encode_settings: dict[str, Any] = field(default_factory=dict)
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
    here is shown from the table; another one is pulled where `on_pull` is given. One that is
    damaged or refused is reported as far as it can be read. Raises PresetNotFoundError where
    there is none, PresetError for what is no preset, and what a pull raises.
    """
    builtin = BUILTIN_PRESETS.get(handle)
    if builtin and not builtin.bundled and not _is_here(handle, settings):
        return _from_table(builtin)
    try:
        found = _inspected(resolve_preset(handle, settings, on_pull), [])
    except PresetNotFoundError:
        raise
    except (PresetError, IntegrityError) as error:
        found = _inspected_anyhow(handle, settings, error)
    return replace(found, description=builtin.description if builtin else "")


def _is_here(handle: str, settings: Settings) -> bool:
    remote = parse_handle(handle)
    try:
        return remote is not None and find_cached(remote, settings) is not None
    except (PresetError, IntegrityError):  # it is, but not whole
        return True


def _inspected_anyhow(handle: str, settings: Settings, error: FnetError) -> Inspection:
    """Look into a preset that cannot be used; raises `error` where nothing of it is here."""
    cached = _cached_anyhow(handle, settings)
    if cached is None:
        found = ((source.name, source.locate(handle)) for source in SOURCES)
        source, directory = next((pair for pair in found if pair[1] is not None), ("", None))
    else:
        source, directory = cached.handle.source.value, cached.directory
        try:
            return _inspected(open_cached(handle, cached), [error])
        except PresetError:  # not even the config can be used
            pass
    if directory is None:
        raise error
    manifest, layout = _manifest_of(cached), _layout_of(directory)
    parameters = manifest.parameters if manifest else None
    facts, _ = _file_facts(_files(directory, cached, layout), directory, parameters or 0)
    return Inspection(
        preset=handle,
        source=source,
        state="invalid",
        description="",
        directory=str(directory),
        layout=layout.name if layout else None,
        dtype=None,
        stored_dtypes=[],
        config={},
        parameters=parameters,
        blocks={},
        files=facts,
        provenance=_provenance(cached),
        refused=[str(error)],
        problem=error,
    )


def _cached_anyhow(handle: str, settings: Settings) -> CachedPreset | None:
    """Return the revision that `find_cached` looks at, also where it is damaged."""
    remote = parse_handle(handle)
    if remote is None:
        return None
    cache = cache_of(remote.source, settings)
    if remote.source is SourceName.KAGGLE and remote.revision is None:
        revisions = cache.revisions(remote.location)[::-1]
    else:
        meant = cache.meant(remote.location, remote.revision)
        revisions = [meant] if meant else []
    for revision in revisions:
        pinned = replace(remote, revision=revision)
        try:
            found = find_cached(pinned, settings)
        except (PresetError, IntegrityError):
            return CachedPreset(pinned, cache)
        if found is not None:
            return found
    return None


def _inspected(preset: LocalPreset, known: Sequence[FnetError]) -> Inspection:
    """Look into a preset whose config can be used; `known` is what is wrong with it already."""
    contents = _look_into(preset)
    count = parameter_count(preset.config)
    paths = _files(preset.directory, preset.cached, preset.layout)
    facts, unfit = _file_facts(paths, preset.directory, count)
    found = [*known, *contents.refused, *unfit, *_damage(preset.cached, facts)]
    return Inspection(
        preset=preset.handle,
        source=preset.source,
        state="invalid" if found else _state(preset),
        description="",
        directory=str(preset.directory),
        layout=preset.layout.name,
        dtype=preset.dtype,
        stored_dtypes=contents.stored_dtypes,
        config=preset.config.to_dict(),
        parameters=count,
        blocks=_blocks(preset.config),
        tokenizer=contents.tokenizer,
        encode_settings=contents.encode_settings,
        files=facts,
        provenance=_provenance(preset.cached),
        refused=list(dict.fromkeys(map(str, found))),
        problem=found[0] if found else None,
    )


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


@dataclass(frozen=True)
class _Contents:
    """What stands in a preset's files, and what of it would not load."""

    stored_dtypes: list[str]
    tokenizer: dict[str, int]
    encode_settings: dict[str, Any]
    refused: list[FnetError]


def _look_into(preset: LocalPreset) -> _Contents:
    stored: list[str] = []
    tokenizer: dict[str, int] = {}
    recommended: dict[str, Any] = {}
    refused: list[FnetError] = []
    with _kept(refused), preset.open_weights() as weights:
        stored = sorted(weights.dtypes())
    with _kept(refused):
        special = preset.special_ids()
        tokenizer = asdict(special) if special else {}
    with _kept(refused):
        recommended = preset.encode_settings().to_dict()
    with _kept(refused):
        preset.layout.check_companions(preset.directory, preset.config)
    return _Contents(stored, tokenizer, recommended, refused)


@contextmanager
def _kept(refused: list[FnetError]) -> Iterator[None]:
    """Go on after what would not load, and keep it."""
    try:
        yield
    except PresetError as error:
        refused.append(error)


def _damage(cached: CachedPreset | None, facts: dict[str, dict[str, Any]]) -> list[FnetError]:
    """Return what differs from the record; the files have been hashed for `facts`."""
    manifest = _manifest_of(cached)
    if cached is None or manifest is None:
        return []
    recorded = {file.name: {"bytes": file.size, "sha256": file.sha256} for file in manifest.files}
    if facts == recorded:
        return []
    hint = repair_hint(cached.handle)
    lines = problems(cached, manifest)
    return [IntegrityError(f"{cached.directory}: {line}", hint=hint) for line in lines]


def _file_facts(
    paths: Sequence[Path], directory: Path, parameters: int
) -> tuple[dict[str, dict[str, Any]], list[FnetError]]:
    """Return the size and the hash of each file, and what is wrong with them."""
    from fnet_cli.presets.fingerprint import file_sha256

    facts: dict[str, dict[str, Any]] = {}
    unfit: list[FnetError] = []
    for path in paths:
        size, sha256 = size_of(path), None
        # A sparse file of terabytes would be read for hours.
        if size > largest(path.name, parameters):
            unfit.append(PresetError(f"{path}: {size:,} bytes are more than such a file has"))
        else:
            try:
                sha256 = file_sha256(path)
            except PresetError as error:
                unfit.append(error)
        facts[path.relative_to(directory).as_posix()] = {"bytes": size, "sha256": sha256}
    return facts, unfit


def _files(directory: Path, cached: CachedPreset | None, layout: Layout | None) -> list[Path]:
    """List a preset's files; in a cache, those that are recorded or that its format names."""
    if cached is None:
        return preset_files(directory, layout)
    manifest = _manifest_of(cached)
    names = sorted(manifest.by_name) if manifest else file_names(directory, layout)
    return [path for name in names if (path := cached.file(name)) is not None]


def _manifest_of(cached: CachedPreset | None) -> Manifest | None:
    try:
        return cached.manifest if cached else None
    except PresetError:  # a damaged one, which is the problem that is told
        return None


def _layout_of(directory: Path) -> Layout | None:
    try:
        return layout_of(directory / CONFIG_FILE)[0]
    except PresetError:
        return None


def _provenance(cached: CachedPreset | None) -> dict[str, str]:
    if cached is None:
        return {}
    facts = {"handle": str(cached.handle.unpinned), "revision": cached.revision}
    manifest = _manifest_of(cached)
    if manifest is not None:
        facts |= {"pulled_at": manifest.pulled_at, "tool": manifest.tool}
        facts |= {"requested": manifest.requested} if manifest.requested else {}
    return facts
