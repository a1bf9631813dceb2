"""One process at a time at an output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fnet_cli.errors import OutputError


@contextmanager
def alone(lock: Path, output: str) -> Iterator[None]:
    """Hold the file `lock`; OutputError naming who holds it, if another process does.

    That of a dead process on this machine is taken over; nobody can tell of another machine's.
    """
    from filelock import SoftFileLock, Timeout

    held = SoftFileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise OutputError(
            f"{output} is being written by process {held.pid or '?'}",
            hint=f"wait for it; if it runs nowhere, remove {lock}",
        ) from None
    try:
        yield
    finally:
        held.release()
