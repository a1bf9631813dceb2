"""Where the parts of an output are put: whole files by name, each in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from fnet_cli.encoding.output.locking import alone
from fnet_cli.files import publish, replacing, sync
from fnet_cli.stores import is_uri

# Not of the rows: readers of directories leave out names that begin like this.
RECORDS = "_fnet"


class Place(Protocol):
    """A directory of files. Where it `keeps_work`, what grows is there for a later run, too.

    Methods raise OSError for what the disk refuses, NetworkError for what a store does, and
    OutputError.
    """

    name: str
    keeps_work: bool

    @property
    def work(self) -> Path:
        """A directory on this machine for what grows."""

    def opened(self) -> AbstractContextManager[None]:
        """Make it, where it is not there, and keep others out; leave no trace of it if empty."""

    def names(self) -> dict[str, int]:
        """Return the files at any depth that are whole, by path in it, and their bytes."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where there is no such file."""

    def write(self, name: str, data: bytes) -> None:
        """Put a small file under a name, over what is there."""

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None where there is no such file."""

    def take(self, file: Path, name: str) -> None:
        """Move a file of this machine to a name, over what is there."""

    def remove(self, name: str) -> None:
        """Remove a file; harmless where there is none."""

    def clear_work(self) -> None:
        """Remove what has grown and was not taken."""

    def beside(self, suffix: str) -> str:
        """Return what a file beside the directory is called."""

    def write_beside(self, suffix: str, chunks: Iterable[bytes]) -> None:
        """Put a file beside the directory, over what is there."""

    def remove_beside(self, suffix: str) -> None:
        """Remove a file beside the directory; harmless where there is none."""


class LocalPlace:
    """A directory on this machine."""

    keeps_work = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.work = path / RECORDS
        self._path = path

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the directory, and hold its lock."""
        self.work.mkdir(parents=True, exist_ok=True)
        try:
            with alone(self.work / "lock", self.name):
                yield
        finally:
            for directory in (self.work, self._path):
                with suppress(OSError):  # what has something in it stays
                    directory.rmdir()

    def names(self) -> dict[str, int]:
        """Return the files, but the lock and what grows."""
        found = {}
        for path in self._path.rglob("*"):
            name = path.relative_to(self._path).as_posix()
            if path.is_file() and not is_at_work(name):
                found[name] = path.stat().st_size
        return found

    def read(self, name: str) -> bytes | None:
        """Return a file's content."""
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Put a small file under a name."""
        with replacing(self._path / name) as temporary:
            temporary.write_bytes(data)

    def size(self, name: str) -> int | None:
        """Return a file's bytes."""
        try:
            return (self._path / name).stat().st_size
        except FileNotFoundError:
            return None

    def take(self, file: Path, name: str) -> None:
        """Rename a file into place."""
        publish(file, self._path / name)

    def remove(self, name: str) -> None:
        """Remove a file, for good."""
        (self._path / name).unlink(missing_ok=True)
        sync((self._path / name).parent)

    def clear_work(self) -> None:
        """Remove the directories of parts that were not done."""
        for path in self.work.iterdir():
            if path.is_dir():
                shutil.rmtree(path)

    def beside(self, suffix: str) -> str:
        """Return the path of a file beside the directory."""
        return self.name + suffix

    def write_beside(self, suffix: str, chunks: Iterable[bytes]) -> None:
        """Put a file beside the directory."""
        with (
            replacing(Path(self.beside(suffix))) as temporary,
            temporary.open("wb") as file,
        ):
            file.writelines(chunks)

    def remove_beside(self, suffix: str) -> None:
        """Remove a file beside the directory."""
        Path(self.beside(suffix)).unlink(missing_ok=True)


def is_at_work(name: str) -> bool:
    """Whether a file is one of those that this process, or one that died, works with."""
    head, _, rest = name.partition("/")
    return head == RECORDS and ("/" in rest or rest == "lock" or rest.startswith("."))


def is_named_as_directory(text: str) -> bool:
    """Whether the name of an output is that of a directory: by its end, or because it is one."""
    return text.endswith(("/", os.sep)) or (not is_uri(text) and Path(text).is_dir())
