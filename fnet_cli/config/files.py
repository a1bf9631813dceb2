"""Files of settings: where they are, whom they may belong to, and what is in them."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_cli.constants import MAX_SETTINGS_BYTES, PROJECT_FILE
from fnet_cli.errors import UsageError

# What the directory of a whole project has in it: above it, nothing is of the project.
_REPOSITORIES = (".git", ".hg", ".jj", ".svn")
_SHOWN_KEYS = 12


@dataclass(frozen=True)
class SettingsFile:
    """A file of settings that has been read; without one, `document` is empty."""

    path: Path
    document: Mapping[str, Any]

    def name_of(self, *keys: str) -> str:
        """Return what messages call a key of the file."""
        *tables, key = keys
        return f"{self.path}: {''.join(f'[{table}] ' for table in tables)}{key}"


def find_project_file(directory: Path, home: Path | None) -> Path | None:
    """Return the `fnet.toml` of `directory`, or of one above it; None where there is none.

    The search ends at the root of a repository, at `home`, and below a directory that everybody
    can write to, such as /tmp: whoever puts a file there must not decide for all below. It also
    ends below one that must not be looked into: that is not the user's.
    """
    with suppress(PermissionError):
        for place in (directory, *directory.parents):
            if place != directory and _is_open_to_all(place):
                break
            if (place / PROJECT_FILE).is_file():
                return place / PROJECT_FILE
            if place == home or any((place / name).exists() for name in _REPOSITORIES):
                break
    return None


def _is_open_to_all(directory: Path) -> bool:
    return bool(directory.stat().st_mode & stat.S_IWOTH)


def check_owner(path: Path, user: int, trusted: Sequence[Path]) -> None:
    """Raise UsageError for a file of neither `user` nor root, unless in or below a `trusted` place.

    It decides which numbers a job writes, so it is not passed over in silence, either.
    """
    owners = {path.lstat().st_uid, path.stat().st_uid}
    below = (place.resolve() for place in trusted)
    if owners <= {user, 0} or any(path.parent.is_relative_to(place) for place in below):
        return
    raise UsageError(
        f"{path} belongs to another user, who would decide how fnet works here",
        hint=f'look at it; to use it, add "{path.parent}" to the list trusted in your own file '
        "(fnet config path), or run with FNET_PROJECT=/dev/null to do without",
    )


def read_settings_file(path: Path, *, must_exist: bool = False) -> SettingsFile:
    """Read a file of settings; one that is not there is empty unless it must be.

    Raises UsageError for one that cannot be read, is too long or is not TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SETTINGS_BYTES + 1)
        if len(data) > MAX_SETTINGS_BYTES:
            raise UsageError(f"{path} is longer than {MAX_SETTINGS_BYTES:,} bytes")
        return SettingsFile(path, tomllib.loads(data.decode()))
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            raise UsageError(f"{path}: no such file", hint="FNET_PROJECT names it") from None
        return SettingsFile(path, {})
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}", hint="correct or remove it") from error


def current_user() -> int:
    """Return the number of the user that this process runs as."""
    return os.geteuid()


def check_keys(file: SettingsFile, found: Collection[str], known: Collection[str]) -> None:
    """Raise UsageError for a key that is none of a file's, with those that are near."""
    for key in found:
        if key not in known:
            raise unknown_key(file.name_of(key), key, known)


def unknown_key(name: str, key: str, known: Collection[str]) -> UsageError:
    """Return the error for a key that there is not; `name` is where it stands."""
    near = difflib.get_close_matches(key.replace("-", "_"), known, n=2)
    if near:
        return UsageError(f"{name} is no setting", hint=f"did you mean {' or '.join(near)}?")
    known = sorted(known)
    more = ", ..." if len(known) > _SHOWN_KEYS else ""
    return UsageError(
        f"{name} is no setting",
        hint=f"there are {', '.join(known[:_SHOWN_KEYS])}{more} (fnet config show lists all)",
    )
