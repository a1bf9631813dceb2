"""Writing files so that a name only ever holds a complete file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Replacement:
    """A temporary file beside `path` that becomes `path` in one step, or goes without a trace.

    Raises OSError on creation and on `publish`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        self.temporary = Path(name)

    def publish(self) -> None:
        """Put the file under its name: its bytes are on the disk first, then the name is."""
        self.temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 is for secrets
        _sync(self.temporary)
        self.temporary.replace(self._path)
        _sync(self._path.parent)

    def discard(self) -> None:
        """Remove the temporary file; harmless after `publish`."""
        self.temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file that is published as `path` where the body ends without an error."""
    replacement = Replacement(path)
    try:
        yield replacement.temporary
        replacement.publish()
    finally:
        replacement.discard()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
