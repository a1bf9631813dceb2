"""`fnet config`: what is set, where it comes from, and the user's file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from fnet_cli.cli.completing import complete_key, complete_value
from fnet_cli.cli.pinning import pinnable, pinned_options
from fnet_cli.cli.presets import FormatOption, JsonOption, chosen_format
from fnet_cli.cli.settings import Offline, current_found
from fnet_cli.cli.streams import say
from fnet_cli.cli.tables import Column, Table, print_table
from fnet_cli.config import (
    SETTINGS,
    FoundSettings,
    Pinned,
    remove_setting,
    save_setting,
    user_file,
)
from fnet_cli.config.files import unknown_key
from fnet_cli.config.kinds import PATH, PATHS, PRESET
from fnet_cli.config.settings import COMMAND_TABLES, TRUSTED
from fnet_cli.errors import UsageError

config_app = typer.Typer(
    name="config",
    help="Show and change settings, which commands start from.",
    no_args_is_help=True,
)

# Read by the hubs' and the stores' own clients, and never shown.
_SECRETS = (
    "KAGGLE_API_TOKEN", "KAGGLE_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
)  # fmt: skip
_SET = "set"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


_COLUMNS = (
    Column("key", "Key"),
    Column("value", "Value", _shown),
    Column("origin", "From"),
)

Key = Annotated[
    str,
    typer.Argument(
        help="Setting, as `fnet config show` names it, such as retries or encode.pooling.",
        metavar="KEY",
        autocompletion=complete_key,
    ),
]


@config_app.command("show")
def show_command(
    offline: Offline = False, kind: FormatOption = None, as_json: JsonOption = False
) -> None:
    """Show every setting, its value, and where that comes from.

    A flag wins over a variable, a variable over the project's fnet.toml,
    that over the user's file, and that over the default. Credentials are
    never shown, only whether they are set.

    Example: fnet config show | grep -v default
    """
    found = current_found(offline=offline)
    rows = list(_rows(found, os.environ))
    document = {
        "user_file": str(found.settings.config_file),
        "project_file": None if found.project is None else str(found.project),
        "settings": rows,
    }
    print_table(Table(_COLUMNS, rows), chosen_format(kind, as_json), document)


def _rows(found: FoundSettings, environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for setting in SETTINGS:
        value = getattr(found.settings, setting.attribute)
        yield _row(setting.key, _public(value), found.origins[setting.key])
    trusted = ", ".join(map(str, found.trusted))
    yield _row(TRUSTED, trusted, found.settings.config_file if trusted else "default")
    for name, command in _commands().items():
        said = pinned_options(command, found.pinned[name])
        for key in pinnable(command):
            value = next(param.default for param in command.params if param.name == key)
            value, pinned = said.get(key, (value, None))
            yield _row(f"{name}.{key}", value, pinned.file if pinned else "default")
    for variable in _SECRETS:
        is_set = bool(environ.get(variable))
        yield _row(variable, _SET if is_set else None, variable if is_set else "default")


def _row(key: str, value: Any, origin: object) -> dict[str, Any]:
    if isinstance(value, list):
        value = ",".join(value)
    plain = value if isinstance(value, bool | int | float) else str(value or "") or None
    return {"key": key, "value": plain, "origin": str(origin)}


def _public(value: Any) -> Any:
    """Return a value without what could let somebody in: an address may hold it."""
    if not isinstance(value, str) or "://" not in value:
        return value
    parts = urlsplit(value)
    return _SET if "@" in parts.netloc or parts.query else value


def _commands() -> dict[str, Any]:
    """Return the commands whose options files pin, as Typer makes them."""
    from typer.main import get_command

    from fnet_cli.cli.app import app

    commands: Mapping[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    return {name: commands[name] for name in COMMAND_TABLES}


@config_app.command("path")
def path_command(
    project: Annotated[
        bool, typer.Option("--project", help="That of the project, which must be there.")
    ] = False,
) -> None:
    """Print the path of the user's file: one line, for scripts.

    Example: "$EDITOR" "$(fnet config path)"
    """
    path = user_file(os.environ)
    if project:
        found = current_found().project
        if found is None:
            raise UsageError(
                "there is no fnet.toml in this directory or above it, in this project",
                hint="write one, or name one with FNET_PROJECT",
            )
        path = found
    typer.echo(path.absolute())


@config_app.command("set")
def set_command(
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            help="What it is from now on; a list as in TOML.",
            metavar="VALUE",
            autocompletion=complete_value,
        ),
    ],
) -> None:
    """Write a setting into the user's file, whose other lines stay.

    Example: fnet config set encode.pooling mean
    """
    file = user_file(os.environ)
    keys = _keys(key)
    checked = _checked_value(file, keys, value)
    save_setting(file, keys, checked)
    say(f"{key} is {_shown(_public(checked))} now ({file})")
    say_what_wins(key, file)


@config_app.command("unset")
def unset_command(key: Key) -> None:
    """Remove a setting from the user's file, whose other lines stay.

    Example: fnet config unset encode.pooling
    """
    file = user_file(os.environ)
    if remove_setting(file, tuple(key.split("."))):
        say(f"{key} is not set any more ({file})")
        say_what_wins(key, file)
    else:
        say(f"{key} was not set ({file})")


def known_keys() -> list[str]:
    """Return every setting that the user's file may make, as `fnet config show` names it."""
    keys = [setting.key for setting in SETTINGS] + [TRUSTED]
    return keys + [
        f"{name}.{key}" for name, command in _commands().items() for key in pinnable(command)
    ]


def known_values(key: str) -> list[str]:
    """Return the values that a setting may have, where these are a few words."""
    command, _, option = key.rpartition(".")
    if command in COMMAND_TABLES:
        kind = pinnable(_commands()[command]).get(option)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [str(member.value) for member in kind]
        return ["true", "false"] if kind is bool else []
    return ["true", "false"] if key == "offline" else []


def _keys(key: str) -> tuple[str, ...]:
    """Return the table, where there is one, and the key; UsageError for none that there is."""
    keys, known = tuple(key.split(".")), known_keys()
    if key not in known and not (len(keys) > 1 and keys[0] in COMMAND_TABLES):
        raise unknown_key(key, key, known)
    return keys


def _checked_value(file: Path, keys: tuple[str, ...], text: str) -> Any:
    """Return what stands for `text` in TOML; UsageError where the setting takes no such value."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
        _check(file, keys, value)
    except tomllib.TOMLDecodeError:
        value = text
    except UsageError:
        # What looks like a number may be a word: --text-column 2024.
        try:
            _check(file, keys, text)
        except UsageError:
            pass
        else:
            return _lasting(keys, text)
        raise
    _check(file, keys, value)
    return _lasting(keys, value)


def _check(file: Path, keys: tuple[str, ...], value: Any) -> None:
    name = ".".join(keys)
    if len(keys) > 1:
        command = _commands()[keys[0]]
        pinned_options(command, {".".join(keys[1:]): Pinned(value, file, name)})
    else:
        _kind(keys).from_toml(value, name, file.parent)


def _kind(keys: tuple[str, ...]) -> Any:
    return {TRUSTED: PATHS, **{setting.key: setting.kind for setting in SETTINGS}}[keys[0]]


def _lasting(keys: tuple[str, ...], value: Any) -> Any:
    """Return a value that means the same in the file as where it was said: paths absolute."""
    kind = None if len(keys) > 1 else _kind(keys)
    if kind is PATHS:
        return [str(Path(path).expanduser().absolute()) for path in value]
    if kind is PATH or (kind is PRESET and "/" in value and "://" not in value):
        return str(Path(value).expanduser().absolute())
    return value


def say_what_wins(key: str, file: Path) -> None:
    """Say what decides a setting instead of the user's file; UsageError for what is wrong in it."""
    found = current_found()
    command, _, option = key.rpartition(".")
    if command:
        said = found.pinned.get(command, {}).get(option)
        winner = "" if said is None or said.file == file else str(said.file)
    else:
        origin = found.origins.get(key)
        winner = "" if origin is None or origin.file in (file, None) else str(origin.file)
        winner = origin.variable if origin and origin.variable else winner
    if winner:
        say(f"note: here, {winner} decides it")
