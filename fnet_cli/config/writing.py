"""Changes to the user's file of settings, whose other lines stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fnet_cli.errors import OutputError, UsageError
from fnet_cli.files import replacing

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def save_default_preset(path: Path, preset: str) -> None:
    """Write `preset` as the default into a file of settings; raises as `save_setting`."""
    save_setting(path, ("preset",), preset)


def save_setting(path: Path, keys: Sequence[str], value: Any) -> None:
    """Write a value into a file of settings, under a key or a table and a key.

    Raises UsageError for a file that is not TOML, and OutputError where it cannot be written.
    """
    import tomlkit

    document = _document(path)
    *tables, key = keys
    place: Any = document
    for table in tables:
        place = place.setdefault(table, tomlkit.table())
        if not isinstance(place, dict):
            raise UsageError(f"{path}: {table} is no table", hint="correct or remove it")
    place[key] = value
    _write(path, document)


def remove_setting(path: Path, keys: Sequence[str]) -> bool:
    """Remove a key from a file of settings; return whether it was there. Raises as above."""
    document = _document(path)
    *tables, key = keys
    place: Any = document
    for table in tables:
        place = place.get(table) if isinstance(place, dict) else None
    if not isinstance(place, dict) or key not in place:
        return False
    del place[key]
    _write(path, document)
    return True


def _document(path: Path) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}", hint="correct or remove it") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def _write(path: Path, document: TOMLDocument) -> None:
    import tomlkit

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(tomlkit.dumps(document), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
