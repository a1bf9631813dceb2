"""What a shell is offered to complete, while somebody types: no errors, no network.

Typer makes the scripts of the shells and completes commands, options and choices by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from fnet_cli.errors import FnetError

Completions = list[tuple[str, str]]
# What no shell takes for anything but text.
_PLAIN = re.compile(r"[\w@%+./][\w@%+.,:=/ -]*")
_NOT_PLAIN = re.compile(r"[^\w@%+.,:;=/ <>()-]")
_DEVICES = ("auto", "cpu", "gpu", "gpu:0", "gpu:0,1")


def complete_preset(ctx: typer.Context, incomplete: str) -> Completions:
    """Offer built-in presets and those in the caches; what looks like a path is the shell's."""
    if incomplete.startswith((".", "/", "~")):
        return []
    return _matching({**_builtin_presets(), **_cached_presets()}, incomplete, _given(ctx))


def complete_cached_preset(ctx: typer.Context, incomplete: str) -> Completions:
    """Offer what is in the caches: what can be verified and removed."""
    return _matching(_cached_presets(), incomplete, _given(ctx))


def complete_column(ctx: typer.Context, incomplete: str) -> Completions:
    """Offer the columns of the files that stand on the line already."""
    return _matching(_columns(ctx), incomplete)


def complete_columns(ctx: typer.Context, incomplete: str) -> Completions:
    """Offer columns behind those that a comma separates from what is being typed."""
    head, comma, last = incomplete.rpartition(",")
    taken = head.split(",")
    found = _matching(_columns(ctx), last, taken)
    return [(f"{head}{comma}{name}", help_text) for name, help_text in found]


def complete_device(incomplete: str) -> Completions:
    """Offer devices as they are written, whether or not they are there."""
    return _matching(dict.fromkeys(_DEVICES, ""), incomplete)


def complete_key(incomplete: str) -> Completions:
    """Offer the settings that the user's file may make."""
    from fnet_cli.cli.config import known_keys

    return _matching(dict.fromkeys(known_keys(), ""), incomplete)


def complete_value(ctx: typer.Context, incomplete: str) -> Completions:
    """Offer what a setting may be: presets, or the values of a choice."""
    from fnet_cli.cli.config import known_values

    key = ctx.params.get("key") or ""
    if key == "preset":
        return complete_preset(ctx, incomplete)
    return _matching(dict.fromkeys(known_values(key), ""), incomplete)


def _matching(found: Mapping[str, str], start: str, taken: Iterable[str] = ()) -> Completions:
    """Return what begins with `start` and is plain.

    Names come from files and caches that others may have made, and zsh evaluates what it is given.
    """
    return [
        (name, _NOT_PLAIN.sub("", help_text))
        for name, help_text in found.items()
        if name.startswith(start) and name not in {*taken} and _PLAIN.fullmatch(name)
    ]


def _flat(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from [value] if isinstance(value, str) else value


def _given(ctx: typer.Context) -> list[str]:
    """Return the names that stand on the line already, where a command takes several."""
    names = ctx.params.get("names")
    return list(names) if isinstance(names, list | tuple) else []


def _builtin_presets() -> dict[str, str]:
    from fnet_cli.presets.registry import BUILTIN_PRESETS

    return {preset.name: preset.description for preset in BUILTIN_PRESETS.values()}


def _cached_presets() -> dict[str, str]:
    from fnet_cli.cli.settings import current_settings
    from fnet_cli.presets.store.cached import all_cached
    from fnet_cli.presets.store.managing import shown_name

    builtin = _builtin_presets()
    try:
        names = [shown_name(preset.handle) for preset in all_cached(current_settings())]
    except (FnetError, OSError):
        return {}
    return {name: builtin.get(name, "in a cache") for name in names}


def _columns(ctx: typer.Context) -> dict[str, str]:
    from fnet_cli.encoding.options import InputFormat
    from fnet_cli.encoding.readers.glancing import glanced_columns

    columns: dict[str, str] = {}
    said = ctx.params.get("input_format")
    kind = next((kind for kind in InputFormat if kind.value == said), None)
    given = [ctx.params.get(name) or [] for name in ("inputs", "tokens", "files", "source")]
    # Typer makes no arguments of them where the option behind them still lacks its value.
    for path in (*_flat(given), *ctx.args):
        if path != "-":
            columns.update(glanced_columns(path, kind))
    return columns
