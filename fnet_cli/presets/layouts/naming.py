"""The names of the files that a format is made of. Reads JSON, never weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fnet_cli.constants import MAX_SHARDS
from fnet_cli.errors import PresetError, UnsafePresetError
from fnet_cli.presets.json_file import read_json_object


@dataclass(frozen=True)
class FileNames:
    """What a preset of one format may consist of, besides its `config.json`.

    The weights are `weights`, or else the shards that `index` names, each of which matches
    `shard`, or else the `pickle`. `companions` may be absent.
    """

    companions: tuple[str, ...]
    weights: str
    index: str
    shard: re.Pattern[str]
    pickle: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """Every name that is known before an index has been read."""
        names = ("config.json", *self.companions, self.index, self.weights, self.pickle)
        return tuple(name for name in names if name)


def weight_files(directory: Path, names: FileNames, *, allow_pickle: bool = False) -> list[Path]:
    """List a preset's weight files; PresetError where it has none.

    UnsafePresetError where there is only a pickle, unless that is allowed, and for an index
    that names other files than shards.
    """
    if (directory / names.weights).is_file():
        return [directory / names.weights]
    index = directory / names.index
    if index.exists():
        shards = {name for group in weight_map(index, names).values() for name in group}
        return [directory / name for name in sorted(shards)]
    pickle = directory / names.pickle
    if names.pickle and pickle.exists():
        if allow_pickle:
            return [pickle]
        raise refused_pickle(str(pickle))
    raise PresetError(f"{directory}: has no {names.weights}")


def weight_map(index: Path, names: FileNames) -> dict[str, tuple[str, ...]]:
    """Return the names of shards by tensor or group, as a sharded preset's index gives them."""
    entries = read_json_object(index).get("weight_map")
    if not isinstance(entries, dict) or not entries:
        raise PresetError(f"{index}: has no weight_map")
    result = {}
    for group, value in entries.items():
        shards = tuple(value) if isinstance(value, list) else (value,)
        for name in shards:
            if not isinstance(name, str) or not names.shard.fullmatch(name):
                raise UnsafePresetError(f"{index}: {name!r:.80} is not the name of a weight file")
        result[group.strip("/")] = shards
    if len({name for shards in result.values() for name in shards}) > MAX_SHARDS:
        raise UnsafePresetError(f"{index}: names more than {MAX_SHARDS:,} files")
    return result


def refused_pickle(where: str) -> UnsafePresetError:
    """Return the error for a pickle that nobody has allowed."""
    return UnsafePresetError(
        f"{where}: a pickle can run code when it is loaded",
        hint="where you trust its author: fnet presets pull or convert with --allow-pickle, "
        "which lets torch read tensors from it and nothing else",
    )
