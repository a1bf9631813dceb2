"""Writing files so that a name only ever holds a complete file."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Replacement:
    """A temporary file beside `path` that becomes `path` in one step, or goes without a trace.

    The file exists from `create` on, so that an owner can stand ready to `discard` it before: a
    signal may come at any line. Raises OSError on `create` and `publish`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")

    def create(self) -> None:
        """Make the temporary file; FileExistsError where its random name is taken."""
        self.temporary.touch(mode=0o600, exist_ok=False)

    def publish(self) -> None:
        """Put the file under its name: its bytes are on the disk first, then the name is."""
        publish(self.temporary, self._path)

    def discard(self) -> None:
        """Remove the temporary file; harmless after `publish`."""
        self.temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a file's name is one of a `Replacement` that was not published."""
    return re.fullmatch(r"\..+\.[0-9a-f]{12}\.tmp", path.name) is not None


def publish(temporary: Path, path: Path) -> None:
    """Give a whole file of mode 0600 its name and the usual mode; raises OSError."""
    temporary.chmod(0o666 & ~_umask())  # until now it was nobody else's to read
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file that is published as `path` where the body ends without an error."""
    replacement = Replacement(path)
    try:
        replacement.create()
        yield replacement.temporary
        replacement.publish()
    finally:
        replacement.discard()


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give a temporary directory that becomes `path` where the body ends without an error.

    Its files are on the disk first, then the name is. Raises OSError, also where `path` exists
    and is not empty.
    """
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        for inner in temporary.rglob("*"):
            sync(inner)
        temporary.chmod(0o777 & ~_umask())  # mkdtemp's 0700 is for secrets
        temporary.rename(path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Bring a file's bytes, or a directory's names, to the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
