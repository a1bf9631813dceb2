"""Kinds of values that settings have: read from a variable, or from a file of TOML."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fnet_cli.errors import UsageError

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_MOST = 1e6
_SECONDS_HINT = "use a number of seconds above 0"
_COUNT_HINT = "use a whole number, 0 or more"
# Whom these reach is known, and what they are sent: the hubs' own clients and their credentials.
_HUB_SCHEMES = ("hf", "kaggle")


@dataclass(frozen=True)
class Kind:
    """How a value is read; both functions raise UsageError for one that cannot be.

    `from_text` takes what a variable holds, and the variable's name. `from_toml` takes what a file
    says, the name of the key as messages call it, and the directory of the file.
    """

    from_text: Callable[[str, str], Any]
    from_toml: Callable[[Any, str, Path], Any]


def _switch(text: str, name: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise UsageError(f"{name} is {text!r:.40}", hint="use 1 or 0")
    return text.lower() in _TRUE


def _switch_in_file(value: Any, name: str, _: Path) -> bool:
    return bool(checked(value, bool, name, "true or false"))


def _only_on(value: Any, name: str, directory: Path) -> bool:
    if not _switch_in_file(value, name, directory):
        raise UsageError(
            f"{name} cannot be false: a project does not decide that connections are made",
            hint="remove the line; FNET_OFFLINE=0 wins over every file",
        )
    return True


def _others_switch(text: str, name: str) -> bool | None:  # noqa: ARG001 - as the others
    """Read a variable of another program, which may hold anything: it is on, or says nothing."""
    return True if text.lower() in _TRUE else None


def _seconds(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < _MOST:
        raise UsageError(f"{name} is {text!r:.40}", hint=_SECONDS_HINT)
    return value


def _seconds_in_file(value: Any, name: str, _: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _MOST:
        raise UsageError(f"{name} is {value!r:.40}", hint=_SECONDS_HINT)
    return float(value)


def _count(text: str, name: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not 0 <= value < _MOST:
        raise UsageError(f"{name} is {text!r:.40}", hint=_COUNT_HINT)
    return value


def _count_in_file(value: Any, name: str, _: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST:
        raise UsageError(f"{name} is {value!r:.40}", hint=_COUNT_HINT)
    return value


def _path(text: str, name: str) -> Path:  # noqa: ARG001 - as the others
    return Path(text).expanduser()


def _path_in_file(value: Any, name: str, directory: Path) -> Path:
    return directory / Path(_words(value, name, "the path of a directory")).expanduser()


def _endpoint(text: str, name: str) -> str:
    text = text.rstrip("/")
    if text:
        check_web_address(text, name)
    return text


def _endpoint_in_file(value: Any, name: str, _: Path) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} is not the address of a server")  # may hold a secret
    return _endpoint(value, name)


def _text(text: str, name: str) -> str:  # noqa: ARG001 - as the others
    return text


def _text_in_file(value: Any, name: str, _: Path) -> str:
    return _words(value, name, "a word in quotes")


def _preset_in_file(value: Any, name: str, directory: Path) -> str:
    preset = _words(value, name, "the name of a preset in quotes")
    if "://" in preset or "/" not in preset:
        return preset
    return str(directory / Path(preset).expanduser())


def _preset_in_project(value: Any, name: str, directory: Path) -> str:
    preset = _preset_in_file(value, name, directory)
    scheme, separator, _ = preset.partition("://")
    if separator and scheme.lower() not in _HUB_SCHEMES:
        raise UsageError(
            f"{name} is the address of a mirror: a project does not decide whom fnet connects to",
            hint="a name, a directory, hf:// or kaggle://; a mirror's address goes into the "
            "user's file (fnet config path), FNET_PRESET or --preset",
        )
    return preset


def _paths_in_file(value: Any, name: str, directory: Path) -> tuple[Path, ...]:
    entries = checked(value, list, name, "a list of directories in quotes")
    return tuple(_path_in_file(entry, name, directory) for entry in entries)


def _words(value: Any, name: str, wanted: str) -> str:
    text = str(checked(value, str, name, wanted))
    if not text or "\0" in text:
        raise UsageError(f"{name} is {text!r:.40}", hint=f"use {wanted}")
    return text


def checked(value: Any, kind: type, name: str, wanted: str) -> Any:
    """Return a value of TOML that is of a type; UsageError for another."""
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
        raise UsageError(f"{name} is {toml_type(value)}", hint=f"use {wanted}")
    return value


def toml_type(value: Any) -> str:
    """Return what people call the type of a value of TOML."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a word",
             list: "a list", dict: "a table"}  # fmt: skip
    return kinds.get(type(value), "a date or a time")


SWITCH = Kind(_switch, _switch_in_file)
ONLY_ON = Kind(_switch, _only_on)
OTHERS_SWITCH = Kind(_others_switch, _switch_in_file)
SECONDS = Kind(_seconds, _seconds_in_file)
COUNT = Kind(_count, _count_in_file)
PATH = Kind(_path, _path_in_file)
PATHS = Kind(_path, _paths_in_file)
ENDPOINT = Kind(_endpoint, _endpoint_in_file)
# A variable of others that is checked where it is used.
OTHERS_ENDPOINT = Kind(_text, _endpoint_in_file)
TEXT = Kind(_text, _text_in_file)
PRESET = Kind(_text, _preset_in_file)
PROJECT_PRESET = Kind(_text, _preset_in_project)


@dataclass(frozen=True)
class Variable:
    """A variable of the environment; `rest` is added to the path that it holds."""

    name: str
    rest: tuple[str, ...] = field(default=())
    kind: Kind | None = None


def check_web_address(text: str, name: str) -> None:
    """Raise UsageError where `text`, the value of the variable `name`, is not a web address.

    The message does not quote it: credentials may stand in it.
    """
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isprintable() or " " in text:
        raise UsageError(
            f"{name} is not the address of a server",
            hint="write http:// or https://, and a host",
        )
