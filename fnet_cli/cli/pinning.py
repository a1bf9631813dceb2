"""Options of `fnet encode` and `fnet tokenize` that files of settings pin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from fnet_cli.cli.settings import current_found
from fnet_cli.cli.streams import say
from fnet_cli.config import Pinned
from fnet_cli.config.files import unknown_key
from fnet_cli.config.kinds import checked
from fnet_cli.errors import UsageError

# What a job reads, writes, replaces and connects to is said on its command line alone.
PINNABLE = (
    "pooling", "normalize", "padding", "sequence_length", "truncate", "pad_id", "dtype",
    "token_column", "segment_column", "text_column", "pair_column", "pair_truncate", "on_null",
    "chunk", "overlap", "on_error", "max_errors", "columns", "compression", "output_dtype",
    "part_rows", "batch_size", "device", "workers", "quiet",
)  # fmt: skip
# Numbers or words, which Typer takes as text.
_NUMBER_OR_WORD = ("batch_size", "max_errors")
# Flags that only suit some jobs; pinned, they are of those jobs and say nothing to others.
_APPLIES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "part_rows": lambda params: _is_on_files(params) and _is_in_parts(params),
    "workers": lambda params: _is_on_files(params),
    "max_errors": lambda params: params["on_error"] != "fail",
    "overlap": lambda params: params["chunk"] is not None,
}
# What is set at the top of a file, since other commands read it, too.
_AT_THE_TOP = {"preset": "preset", "offline": "offline", "endpoint": "s3_endpoint"}


class PinnedCommand(TyperCommand):
    """A command whose options take what files of settings say as their defaults."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the command line; UsageError for a file that says what cannot be."""
        # Help must come also where a file is damaged.
        if ctx.resilient_parsing or {"-h", "--help"} & {*args}:
            return super().parse_args(ctx, args)
        files = pinned_options(self, current_found().pinned.get(self.name or "", {}))
        ctx.default_map = {name: value for name, (value, _) in files.items()}
        rest = super().parse_args(ctx, args)
        ctx.default_map = None  # so that a default is the command's own again
        for name in [name for name in pinned_names(ctx) if not _applies(name, ctx.params)]:
            ctx.params[name] = next(p for p in self.params if p.name == name).get_default(ctx)
            del files[name]
        in_force = {name: files[name][1] for name in pinned_names(ctx) if name in files}
        if in_force and not ctx.params["quiet"]:
            for line in _notes(in_force):
                say(line)
        return rest


def _applies(name: str, params: Mapping[str, Any]) -> bool:
    return name not in _APPLIES or _APPLIES[name](params)


def _is_on_files(params: Mapping[str, Any]) -> bool:
    return "-" not in (*params["inputs"], params["output"])


def _is_in_parts(params: Mapping[str, Any]) -> bool:
    from fnet_cli.encoding.output.places import is_named_as_directory
    from fnet_cli.stores import is_uri

    shared_out = params["workers"] > 1 or params["executor"] != "local"
    return shared_out or is_uri(params["output"]) or is_named_as_directory(params["output"])


def pinned_names(ctx: typer.Context) -> tuple[str, ...]:
    """Return the options that a file of settings has decided."""
    return tuple(
        name
        for name in ctx.params
        if (source := ctx.get_parameter_source(name)) and source.name == "DEFAULT_MAP"
    )


def _notes(in_force: Mapping[str, Pinned]) -> Iterator[str]:
    for file in dict.fromkeys(pinned.file for pinned in in_force.values()):
        names = [name for name, pinned in in_force.items() if pinned.file == file]
        yield f"{_nearest(file)} sets {', '.join(names)}"


def _nearest(file: Path) -> str:
    """Return a path as it is written shortest from here."""
    with suppress(OSError):  # the working directory may be gone
        return min(str(file), os.path.relpath(file), key=len)
    return str(file)


def pinnable(command: TyperCommand) -> dict[str, Any]:
    """Return the types of the options that a file may pin for a command, by name."""
    hints = get_type_hints(command.callback)
    names = [param.name for param in command.params if param.name in PINNABLE]
    return {name: _plain(hints[name]) for name in names if name is not None}


def _plain(hint: Any) -> Any:
    """Return a type without the None of an option that may be left out."""
    found = [part for part in get_args(hint) if part is not NoneType]
    return hint if get_origin(hint) is list or not found else found[0]


def pinned_options(
    command: TyperCommand, pinned: Mapping[str, Pinned]
) -> dict[str, tuple[Any, Pinned]]:
    """Return what files pin for a command, as Typer takes it, each with what it is from.

    Raises UsageError for an option that cannot be pinned, or a value that it does not take.
    """
    kinds = pinnable(command)
    found = {}
    for key, said in pinned.items():
        if key in _AT_THE_TOP:
            raise UsageError(
                f"{said.name} is set at the top of a file, above its tables",
                hint=f"write {_AT_THE_TOP[key]} = ... before [{command.name}]",
            )
        if key not in kinds:
            raise _not_pinnable(command, key, said, tuple(kinds))
        found[key] = (_value(key, kinds[key], said), said)
    return found


def _not_pinnable(
    command: TyperCommand, key: str, said: Pinned, known: tuple[str, ...]
) -> UsageError:
    if key in {param.name for param in command.params}:
        return UsageError(
            f"{said.name} cannot be set in a file, only on the command line",
            hint=f"fnet {command.name} --help tells more",
        )
    return unknown_key(said.name, key, known)


def _value(key: str, kind: Any, said: Pinned) -> Any:
    if key in _NUMBER_OR_WORD and isinstance(said.value, int) and not isinstance(said.value, bool):
        return str(said.value)
    if get_origin(kind) is list:
        names = checked(said.value, list, said.name, "a list of names in quotes")
        return [checked(name, str, said.name, "a list of names in quotes") for name in names]
    if issubclass(kind, Enum):
        values = [str(member.value) for member in kind]
        if said.value in values:
            return said.value
        raise UsageError(f"{said.name} is {said.value!r:.40}", hint=f"use one of {_list(values)}")
    return checked(said.value, kind, said.name, _WANTED[kind])


_WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word in quotes",
}


def _list(values: list[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)
