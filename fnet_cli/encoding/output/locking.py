"""One process at a time at an output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fnet_cli.errors import OutputError
from fnet_cli.locks import taken


@contextmanager
def alone(lock: Path, output: str, patience: float = 0) -> Iterator[None]:
    """Hold the file `lock`; OutputError naming who holds it, if another does for `patience` s.

    That of a dead process on this machine is taken over; nobody can tell of another machine's.
    """
    from filelock import SoftFileLock

    held = SoftFileLock(lock)
    if not taken(held, patience):
        raise OutputError(
            f"{output} is being written by process {held.pid or '?'}",
            hint=f"wait for it; if it runs nowhere, remove {lock}",
        )
    try:
        yield
    finally:
        held.release()
