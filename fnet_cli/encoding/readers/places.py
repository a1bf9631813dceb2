"""Where an input's bytes are: in a file on this machine, or in a store that a URI names."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import pyarrow as pa

from fnet_cli.errors import InputDataError
from fnet_cli.patience import interruptible
from fnet_cli.stores import (
    Stores,
    change_mark,
    check_uri,
    file_info,
    is_of_fsspec,
    is_uri,
    local_path,
    opened_at,
    opened_to_seek,
    store_errors,
)

T = TypeVar("T")
# A request to a store takes as long as some hundreds of kilobytes: of lines, which are read from
# start to end, it brings so much; where a reader jumps about, most of a piece would be for nothing.
_STREAM_BYTES = 4 * 1024**2
_SEEKING_BYTES = 64 * 1024


@dataclass(frozen=True)
class Stamp:
    """What tells whether a file has changed between its opening and its reading."""

    size: int
    modified: int


class InputFile(Protocol):
    """A file that is read several times, at each of which it is opened anew.

    Where its bytes do not come, its methods and what they return raise OSError on this machine's
    disks and NetworkError elsewhere, so that neither is taken for damage. `name` is what messages
    call it.
    """

    @property
    def name(self) -> str:
        """The path or the URI."""

    def check(self) -> None:
        """Raise InputDataError where there is no file."""

    def stamp(self) -> Stamp:
        """Return size and time of change: as they are, or as every reading must find them."""

    def streamed(self, offset: int = 0) -> BinaryIO:
        """Open it to be read from a byte to its end; InputDataError where it has changed."""

    def opened(self) -> BinaryIO:
        """Open it to be read anywhere, in small pieces."""

    def for_arrow(self) -> pa.NativeFile:
        """Open it for Arrow's readers; InputDataError where it is not as it was the last time."""


class LocalFile:
    """A file on this machine's disks."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._first: Stamp | None = None

    def check(self) -> None:
        """Raise InputDataError where there is no file."""
        path = Path(self.name)
        if not path.exists():
            raise InputDataError(f"{self.name}: no such file")
        if path.is_dir():
            raise InputDataError(f"{self.name}: is a directory", hint="name the files in it")
        if not path.is_file():  # it would have to be read twice
            raise InputDataError(
                f"{self.name}: is not a regular file", hint="give - and redirect it"
            )

    def stamp(self) -> Stamp:
        """Return size and time of change as they are."""
        found = Path(self.name).stat()
        return Stamp(found.st_size, found.st_mtime_ns)

    def streamed(self, offset: int = 0) -> BinaryIO:
        """Open it without a buffer: blocks of lines are read whole."""
        self._refuse_change()
        file = Path(self.name).open("rb", buffering=0)  # noqa: SIM115 - the caller closes it
        file.seek(offset)
        return file

    def opened(self) -> BinaryIO:
        """Open it."""
        return Path(self.name).open("rb")

    def for_arrow(self) -> pa.NativeFile:
        """Open it without Python's file, which makes room for whatever length is asked for."""
        self._refuse_change()
        return pa.OSFile(self.name)

    def _refuse_change(self) -> None:
        """Raise InputDataError where it has changed; asked before each opening, to miss nothing."""
        stamp = self.stamp()
        _refuse_changed(self.name, stamp, self._first)
        self._first = stamp


class StoredFile:
    """A file in a store. As a listing or the first look found it, every reading must find it.

    A store may have another object under the name at any time, and gives pieces of either.
    """

    def __init__(self, uri: str, stores: Stores) -> None:
        self.name = uri
        self._stores = stores
        self._first: Stamp | None = None

    @classmethod
    def listed(cls, uri: str, stores: Stores, filesystem: Any, info: Any) -> StoredFile:
        """Return one of which the store has just said `info`. It may wait for a network."""
        file = cls(uri, stores)
        if not is_of_fsspec(filesystem):
            file._first = _stamp(filesystem, info)
        return file

    def check(self) -> None:
        """Raise InputDataError where there is no file."""
        self.stamp()

    def stamp(self) -> Stamp:
        """Return size and time of change as they were found first."""
        if self._first is None:
            self._first = self._asked(_look)
        return self._first

    def streamed(self, offset: int = 0) -> BinaryIO:
        """Open it to be read from a byte to its end; InputDataError where it has changed."""
        opening = partial(_opened_to_stream, offset=offset)
        return io.BufferedReader(self._reader(opening, offset), _STREAM_BYTES)

    def opened(self) -> BinaryIO:
        """Open it to be read anywhere; InputDataError where it has changed."""
        return io.BufferedReader(self._reader(opened_to_seek), _SEEKING_BYTES)

    def for_arrow(self) -> pa.NativeFile:
        """Open it for Arrow's readers; InputDataError where it has changed."""
        return pa.PythonFile(self._reader(opened_to_seek), "r")

    def errors(self) -> AbstractContextManager[None]:
        """Return the context in which errors of its store become ours."""
        return store_errors(self.name, InputDataError(f"{self.name}: no such file"))

    def _reader(self, opening: Callable[[Any, str], Any], offset: int = 0) -> _StoreReader:
        now = self._asked(_look)
        _refuse_changed(self.name, now, self._first)
        self._first = now
        opened = self._asked(opening)
        reader = _StoreReader(opened, self, now.size, seeks=opening is opened_to_seek)
        reader.seek(offset)  # asks for nothing: that is where it was opened
        return reader

    def _asked(self, ask: Callable[[Any, str], T]) -> T:
        with self.errors():
            return interruptible(lambda: ask(*self._stores.place(self.name)))


def _opened_to_stream(filesystem: Any, path: str, offset: int) -> Any:
    return opened_at(filesystem, path, offset)


def _look(filesystem: Any, path: str) -> Stamp:
    info = file_info(filesystem, path)
    if not info.is_file:
        raise FileNotFoundError(path)
    return _stamp(filesystem, info)


def _stamp(filesystem: Any, info: Any) -> Stamp:
    if info.size is None:
        raise OSError("the store does not say how large it is")
    return Stamp(int(info.size), change_mark(filesystem, info))


class _StoreReader(io.RawIOBase):
    """An open file of a store, whose calls can be interrupted and raise our errors.

    Nothing asks for more than there is, so that room is not made for a size that a file states.
    """

    def __init__(self, opened: Any, file: StoredFile, size: int, *, seeks: bool) -> None:
        self._opened, self._file, self._size, self._seeks = opened, file, size, seeks
        self._at = 0
        # In use by a call that was left behind, or unusable: not to be closed.
        self._is_lost = False

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read anywhere."""
        return self._seeks

    def tell(self) -> int:
        """Return where the next byte is from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere; nothing is asked for yet."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("a place before the file's start")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none at the end."""
        rest = max(0, self._size - self._at)
        wanted = rest if size < 0 else min(size, rest)
        if not wanted:
            return b""
        at, opened, seeks = self._at, self._opened, self._seeks

        def fetch() -> bytes:
            # Not by `seek`, behind which Google's file would ask for all bytes up to the end.
            return bytes(opened.read_at(wanted, at) if seeks else opened.read(wanted))

        self._is_lost = True
        with self._file.errors():
            data = interruptible(fetch)
        self._is_lost = False
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close it, unless a call that was left behind uses it."""
        if not self.closed and not self._is_lost:
            interruptible(self._opened.close)
        super().close()


def input_file(name: str, stores: Stores) -> str | InputFile:
    """Return what a path or URI names, to be opened; raises UsageError for a URI of no use."""
    if is_uri(name):
        check_uri(name)
    path = local_path(name)
    return StoredFile(path, stores) if is_uri(path) else path


def as_file(place: str | InputFile) -> InputFile:
    """Return the file that a path, or it itself, stands for."""
    return LocalFile(place) if isinstance(place, str) else place


def refuse_changed(name: str, *, changed: bool) -> None:
    """Raise InputDataError for a file that is not as it was opened: its rows were counted then."""
    if changed:
        raise InputDataError(
            f"{name}: it changed while it was read", hint="run again when nothing writes it"
        )


def _refuse_changed(name: str, now: Stamp, first: Stamp | None) -> None:
    refuse_changed(name, changed=first is not None and now != first)
