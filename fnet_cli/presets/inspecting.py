"""What presets there are, and what is in one, from names, configs and file headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fnet_cli.backbone.parameters import layer_table, parameter_count
from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.errors import FnetError, PresetError
from fnet_cli.presets.registry import BUILTIN_PRESETS
from fnet_cli.presets.resolving import LocalPreset, resolve_preset

_PRESET_FILE_SUFFIXES = (".json", ".h5", ".safetensors", ".spm", ".model", ".md")


@dataclass(frozen=True)
class PresetEntry:
    """One line of the list of presets. `bytes` is None where nothing is on this machine."""

    name: str
    source: str
    state: str
    parameters: int | None
    bytes: int | None
    description: str

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as `--json` prints it."""
        return asdict(self)


def list_presets(directories: Sequence[Path], settings: Settings) -> list[PresetEntry]:
    """List the built-in presets, a default preset that is a directory, and those found.

    Each of `directories` is a preset itself or holds presets; PresetError where one is missing.
    """
    entries = [
        PresetEntry(
            preset.name,
            "bundled" if preset.bundled else "kaggle",
            "bundled" if preset.bundled else "not pulled",
            preset.parameters,
            _disk_size(resolve_preset(preset.name, settings).directory) if preset.bundled else None,
            preset.description,
        )
        for preset in BUILTIN_PRESETS.values()
    ]
    found = [path for directory in directories for path in _preset_directories(directory)]
    default = settings.default_preset
    if default not in BUILTIN_PRESETS and Path(default).is_dir():
        found.insert(0, Path(default))
    return entries + [_local_entry(path, settings) for path in dict.fromkeys(found)]


def _preset_directories(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        raise PresetError(f"there is no directory {directory}")
    if (directory / CONFIG_FILE).is_file():
        yield directory
        return
    yield from sorted(path.parent for path in directory.glob(f"*/{CONFIG_FILE}"))


def _local_entry(path: Path, settings: Settings) -> PresetEntry:
    try:
        count = parameter_count(resolve_preset(_as_path(path), settings).config)
    except PresetError as error:
        return PresetEntry(str(path), "local", "invalid", None, _disk_size(path), str(error))
    return PresetEntry(str(path), "local", "present", count, _disk_size(path), "")


def _as_path(path: Path) -> str:
    """Return a handle that no built-in name can shadow."""
    return str(path) if path.is_absolute() else f"./{path}"


def preset_files(directory: Path) -> list[Path]:
    """List a preset's own files, sorted; links and files of other kinds are not its."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.suffix in _PRESET_FILE_SUFFIXES and path.is_file() and not path.is_symlink()
    )


def _disk_size(directory: Path) -> int:
    return sum(path.stat().st_size for path in preset_files(directory))


@dataclass(frozen=True)
class Inspection:
    """What is in a preset. `problem` is why it could not be loaded, if so."""

    preset: str
    source: str
    state: str
    description: str
    directory: str | None
    dtype: str | None
    stored_dtypes: list[str]
    config: dict[str, Any]
    parameters: int
    blocks: dict[str, int]
    tokenizer: dict[str, int] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem: FnetError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        problem = None if self.problem is None else str(self.problem)
        shallow = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**shallow, "problem": problem}


def inspect_preset(handle: str, settings: Settings) -> Inspection:
    """Look into a preset: config, counts, file hashes, tokenizer, and what would be refused.

    Weights are hashed, and their headers checked, never loaded. Raises PresetError where not
    even the config can be read.
    """
    builtin = BUILTIN_PRESETS.get(handle)
    if builtin and not builtin.bundled:
        return Inspection(
            preset=handle,
            source=builtin.kaggle_handle or "",
            state="not pulled",
            description=builtin.description,
            directory=None,
            dtype=None,
            stored_dtypes=[],
            config=builtin.config.to_dict(),
            parameters=builtin.parameters,
            blocks=_blocks(builtin.config),
        )
    preset = resolve_preset(handle, settings)
    stored, tokenizer, problem = _check_files(preset)
    return Inspection(
        preset=preset.handle,
        source=preset.source,
        state="invalid" if problem else "bundled" if builtin else "present",
        description=builtin.description if builtin else "",
        directory=str(preset.directory),
        dtype=preset.dtype,
        stored_dtypes=stored,
        config=preset.config.to_dict(),
        parameters=parameter_count(preset.config),
        blocks=_blocks(preset.config),
        tokenizer=tokenizer,
        files=_file_facts(preset.directory),
        problem=problem,
    )


def _blocks(config: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for layer in layer_table(config):
        counts[layer.block] = counts.get(layer.block, 0) + layer.size
    return counts


def _check_files(preset: LocalPreset) -> tuple[list[str], dict[str, int], FnetError | None]:
    """Return the stored dtypes, the tokenizer's special ids, and the first thing wrong."""
    from fnet_cli.tokenizer.special import read_special_ids

    stored: list[str] = []
    tokenizer: dict[str, int] = {}
    problem: FnetError | None = None
    try:
        with preset.open_weights() as weights:
            stored = sorted(weights.dtypes())
    except PresetError as error:
        problem = error
    vocabulary = preset.vocabulary
    if vocabulary is not None:
        try:
            tokenizer = asdict(read_special_ids(vocabulary))
        except PresetError as error:
            problem = problem or error
    return stored, tokenizer, problem


def _file_facts(directory: Path) -> dict[str, dict[str, Any]]:
    from fnet_cli.presets.fingerprint import file_sha256

    return {
        str(path.relative_to(directory)): {
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
        }
        for path in preset_files(directory)
    }
