"""Where the parts of an output are put: whole files by name, each in one step.

They stay there, or become one file in the end, beside which the place is hidden meanwhile.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from fnet_cli.encoding.output.joining import Joint
from fnet_cli.encoding.output.locking import alone
from fnet_cli.files import is_temporary, publish, replacing, sync
from fnet_cli.locks import is_of_lock
from fnet_cli.stores import is_uri

# Not of the rows: readers of directories leave out names that begin like this.
RECORDS = "_fnet"
# Parts on their way into one file. Readers leave this name out, too.
WHOLE = f"{RECORDS}/.whole"
# One that is joined is read and written piece by piece.
COPY_BYTES = 8 * 1024**2


class Place(Protocol):
    """A directory of files. Where it `keeps_work`, what grows is there for a later run, too.

    Its parts become the file `whole` in the end, or stay where that is None.
    Methods raise OSError for what the disk refuses, NetworkError for what a store does, and
    OutputError.
    """

    name: str
    keeps_work: bool
    whole: str | None

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

    def whole_exists(self) -> bool:
        """Whether there is something under the name of the file that the parts become."""

    def joined_bytes(self) -> int:
        """Return how many bytes of parts, of the first on, have been laid end to end already."""

    def assemble(self, parts: Sequence[tuple[str, int]], joint: Joint) -> None:
        """Lay the files of these names and sizes end to end, and what `joint` says behind them.

        May be interrupted at any moment and called again; files that were taken in may be gone
        then.
        """

    def reveal(self) -> None:
        """Give what was assembled its name, unless it has it."""


class LocalPlace:
    """A directory on this machine."""

    keeps_work = True

    def __init__(self, path: Path, whole: Path | None = None) -> None:
        self.name = str(path)
        self.whole = str(whole) if whole else None
        self.work = path / RECORDS
        self._path = path
        # Of a file, it is that of a job which grows it in place.
        self._lock = (path if whole else self.work) / "lock"

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the directory, and hold its lock."""
        self.work.mkdir(parents=True, exist_ok=True)
        try:
            with alone(self._lock, self.whole or self.name):
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
            is_lock = path == self._lock or is_of_lock(path, self._lock)
            if path.is_file() and not (is_at_work(name) or is_lock or is_temporary(path)):
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
        """Remove the directories of parts that were not done, and files on their way to a name."""
        for path in (*self.work.iterdir(), *self._path.iterdir()):
            if path.is_dir() and path.parent == self.work:
                shutil.rmtree(path)
            elif is_temporary(path):
                path.unlink(missing_ok=True)

    def beside(self, suffix: str) -> str:
        """Return the path of a file beside the output."""
        return (self.whole or self.name) + suffix

    def write_beside(self, suffix: str, chunks: Iterable[bytes]) -> None:
        """Put a file beside the output."""
        with (
            replacing(Path(self.beside(suffix))) as temporary,
            temporary.open("wb") as file,
        ):
            file.writelines(chunks)

    def remove_beside(self, suffix: str) -> None:
        """Remove a file beside the output."""
        Path(self.beside(suffix)).unlink(missing_ok=True)

    def whole_exists(self) -> bool:
        """Whether the file is there."""
        return self.whole is not None and Path(self.whole).exists()

    def joined_bytes(self) -> int:
        """Return the size of what was joined."""
        return self.size(WHOLE) or 0

    def assemble(self, parts: Sequence[tuple[str, int]], joint: Joint) -> None:
        """Append part by part to one file, and remove each: the disk need not hold all twice."""
        whole = self._path / WHOLE
        whole.touch(mode=0o600)
        with whole.open("r+b") as file:
            os.fdatasync(file.fileno())  # its last part may have come just before a kill
            there, end = whole.stat().st_size, 0
            for name, size in parts:
                if end + size > there:
                    file.truncate(end)
                    file.seek(end)
                    with (self._path / name).open("rb") as part:
                        shutil.copyfileobj(part, file, COPY_BYTES)
                    file.flush()
                    os.fdatasync(file.fileno())
                    there = end + size
                end += size
                self.remove(name)
                joint.add(file, end, size)
            file.truncate(end)
            file.seek(end)
            file.write(joint.end())

    def reveal(self) -> None:
        """Rename what was joined."""
        if self.whole is not None and (self._path / WHOLE).exists():
            publish(self._path / WHOLE, Path(self.whole))


def is_at_work(name: str) -> bool:
    """Whether a file is one of those that this process, or one that died, works with."""
    head, _, rest = name.partition("/")
    return head == RECORDS and ("/" in rest or rest == "lock" or rest.startswith("."))


def is_named_as_directory(text: str) -> bool:
    """Whether the name of an output is that of a directory: by its end, or because it is one."""
    return text.endswith(("/", os.sep)) or (not is_uri(text) and Path(text).is_dir())
