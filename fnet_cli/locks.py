"""Locks that are files, which ask nothing of a file system but that a name is made only once.

What a process that died has left of one is in nobody's way, at whatever line it died.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from filelock import SoftFileLease, SoftFileLock

# Who makes a lock writes into it at once: one that is empty for longer is of a dead process.
_EMPTY_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1


def taken(lock: SoftFileLock | SoftFileLease, patience: float = 0) -> bool:
    """Take a lock, if nobody who lives holds it for `patience` seconds; return whether it was.

    Waits for two seconds more where the lock does not say who holds it. Raises OSError.
    """
    path = Path(lock.lock_file)
    given_up = time.monotonic() + patience
    while not (_acquired(lock) or (_removed_empty(path) and _acquired(lock))):
        if time.monotonic() >= given_up:
            return False
        time.sleep(_POLL_SECONDS)
    with suppress(OSError):  # what stays there is in nobody's way
        for beside in path.parent.iterdir():
            if is_of_lock(beside, path):  # a taker died at it
                beside.unlink(missing_ok=True)
    return True


def is_of_lock(path: Path, lock: Path) -> bool:
    """Whether a file is one that takers of a lock use beside it."""
    return path.parent == lock.parent and path.name.startswith(f"{lock.name}.")


def _acquired(lock: SoftFileLock | SoftFileLease) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _removed_empty(path: Path) -> bool:
    """Remove a lock whose process died between making it and writing to it.

    filelock takes such a one for held, for ever: it could be of a version that wrote nothing.
    """
    found = _if_empty(path)
    looked_until = time.monotonic() + _EMPTY_SECONDS
    while found is not None and time.monotonic() < looked_until:
        time.sleep(_POLL_SECONDS)
        if _if_empty(path) != found:
            return not path.exists()
    if found is None:
        return not path.exists()
    # Moved before it is removed: another may have done the same, and hold a new lock by now.
    aside = path.with_name(f"{path.name}.empty.{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if aside.stat().st_size:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()
    return True


def _if_empty(path: Path) -> tuple[int, int] | None:
    """Return which file it is, None where it has content or is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return None if status.st_size else (status.st_ino, status.st_mtime_ns)
