"""A directory of parts in an object store: a part grows on this machine, and goes there whole."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson

from fnet_cli.encoding.output.joining import Joint
from fnet_cli.encoding.output.places import COPY_BYTES, RECORDS, is_at_work
from fnet_cli.errors import FnetError, OutputError
from fnet_cli.patience import interruptible
from fnet_cli.stores import Stores, store_errors

T = TypeVar("T")
_LOCK = f"{RECORDS}/lock"
# Who holds a place says so again and again; who has not for the longer time is gone. Stores cannot
# all make an object only where there is none, so who comes first is what stands there a moment on.
_FIRST_SIGN_SECONDS = 1.0
_SIGN_SECONDS = 10.0
_SILENT_SECONDS = 35.0
# These have an object under its name when the last byte has come; elsewhere it is renamed then.
_ATOMIC = ("s3", "gcs")


class StoredPlace:
    """A directory in a store, `uri`. What grows for it is in `temporary`, and gone with the job.

    Its parts become the object `whole` in the end, or stay where that is None.
    It can be sent to another process, which works in a directory of its own.
    """

    keeps_work = False

    def __init__(
        self, uri: str, stores: Stores, whole: str | None = None, temporary: Path | None = None
    ) -> None:
        self.name = uri.rstrip("/")
        self.whole = whole
        self._stores = stores
        name = f"{_temporary_prefix()}{os.getpid()}-{secrets.token_hex(4)}"
        self._temporary = temporary or Path(tempfile.gettempdir(), name)
        self._lost_to: tuple[str, int] | None = None

    def __reduce__(self) -> tuple[type[StoredPlace], tuple[str, Stores, str | None, Path]]:
        return type(self), (self.name, self._stores, self.whole, self._temporary)

    @property
    def work(self) -> Path:
        """A directory of this process on this machine's disks."""
        made = self._temporary / str(os.getpid())
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        return made

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the lock, an object that says who does."""
        _sweep()
        with self._held():
            try:
                yield
            finally:
                shutil.rmtree(self._temporary, ignore_errors=True)

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._refuse_missing_bucket()
        self._refuse_held()
        ended = threading.Event()
        sign = threading.Thread(target=self._sign, args=(ended,), name="fnet-lock", daemon=True)
        self._write_lock()
        sign.start()
        try:
            yield
        finally:
            ended.set()
            sign.join(1.0)
            if self._lost_to is None:
                self._let_go()

    def _let_go(self) -> None:
        """Remove the lock, with all of a hidden place that has nothing else in it."""
        if self.whole is not None and not self.names():
            # Arrow makes objects for directories in S3, too, also where one is removed from them.
            self._with_store("", _directory_removed)
        else:
            self.remove(_LOCK)

    def _refuse_held(self) -> None:
        """Raise OutputError where somebody works here, after a look whether they are alive."""
        before = self.read(_LOCK)
        holder = _holder(before)
        if holder is None:
            return
        host, process = holder
        if host == socket.gethostname():
            if not _is_alive(process):
                return
        else:
            deadline = time.monotonic() + _SILENT_SECONDS
            while (now := self.read(_LOCK)) == before and time.monotonic() < deadline:
                time.sleep(1.0)
            if now in (before, None):
                return
        raise self._held_by(holder)

    def _held_by(self, holder: tuple[str, int]) -> OutputError:
        host, process = holder
        return OutputError(
            f"{self.beside('')} is being written by process {process} on {host}",
            hint="wait for it; if it runs nowhere, try again in a minute",
        )

    def _refuse_missing_bucket(self) -> None:
        def is_missing(filesystem: Any, path: str) -> bool:
            from pyarrow import fs

            found = filesystem.get_file_info(path.partition("/")[0])
            return filesystem.type_name in _ATOMIC and found.type is fs.FileType.NotFound

        if self._with_store("", is_missing):
            raise OutputError(f"{self.beside('')}: there is no such bucket", hint="create it first")

    def _write_lock(self) -> None:
        lock = {"host": socket.gethostname(), "process": os.getpid(), "sign": time.time_ns()}
        self.write(_LOCK, orjson.dumps(lock))

    def _sign(self, ended: threading.Event) -> None:
        seconds = _FIRST_SIGN_SECONDS
        while not ended.wait(seconds):
            seconds = _SIGN_SECONDS
            with suppress(FnetError):  # a store that is away is said where rows are written
                holder = _holder(self.read(_LOCK))
                if holder not in (None, (socket.gethostname(), os.getpid())):
                    self._lost_to = holder
                    return
                self._write_lock()

    def names(self) -> dict[str, int]:
        """Return the objects, but the lock."""

        def found(filesystem: Any, root: str) -> dict[str, int]:
            from pyarrow import fs

            selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
            infos = filesystem.get_file_info(selector)
            files = [info for info in infos if info.type is fs.FileType.File]
            return {info.path.removeprefix(root).lstrip("/"): info.size for info in files}

        every = self._with_store("", found)
        return {name: size for name, size in every.items() if name and not is_at_work(name)}

    def read(self, name: str) -> bytes | None:
        """Return an object's content."""

        def content(filesystem: Any, path: str) -> bytes | None:
            try:
                with filesystem.open_input_stream(path, compression=None) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

        return self._with_store(name, content)

    def size(self, name: str) -> int | None:
        """Return an object's bytes."""

        def bytes_of(filesystem: Any, path: str) -> int | None:
            size: int | None = filesystem.get_file_info(path).size
            return size

        return self._with_store(name, bytes_of)

    def write(self, name: str, data: bytes) -> None:
        """Put a small object."""
        self._put(name, lambda: iter([data]))

    def take(self, file: Path, name: str) -> None:
        """Send a file, and remove it here."""
        size = file.stat().st_size

        def chunks() -> Iterator[bytes]:
            with file.open("rb") as stream:
                yield from _read_whole(stream, size, file)

        self._put(name, chunks)
        file.unlink()

    def remove(self, name: str) -> None:
        """Remove an object."""
        self._with_store(name, _removed)

    def clear_work(self) -> None:
        """Remove nothing: what others have begun is on their machines."""

    def beside(self, suffix: str) -> str:
        """Return the URI of a file beside the output."""
        return (self.whole or self.name) + suffix

    def write_beside(self, suffix: str, chunks: Iterable[bytes]) -> None:
        """Put a file beside the output."""
        self._put_at(self.beside(suffix), lambda: iter(chunks))

    def remove_beside(self, suffix: str) -> None:
        """Remove a file beside the output."""
        self._at(self.beside(suffix), _removed)

    def whole_exists(self) -> bool:
        """Whether there is an object, or a file, of that name."""

        def exists(filesystem: Any, path: str) -> bool:
            return bool(filesystem.get_file_info(path).is_file)

        return self.whole is not None and self._at(self.whole, exists)

    def joined_bytes(self) -> int:
        """Return 0: parts stay until all have been copied."""
        return 0

    def assemble(self, parts: Sequence[tuple[str, int]], joint: Joint) -> None:
        """Copy part by part into the object, which appears when the last byte has come."""

        def chunks() -> Iterator[bytes]:
            for name, size in parts:
                filesystem, path = self._stores.place(f"{self.name}/{name}")
                with filesystem.open_input_file(path) as part:
                    joint.add(part, size, size)
                    part.seek(0)
                    yield from _read_whole(part, size, f"{self.name}/{name}")
            yield joint.end()

        self._put_at(self.beside(""), chunks)

    def reveal(self) -> None:
        """Nothing is left to do."""

    def _put(self, name: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        self._put_at(f"{self.name}/{name}", chunks)

    def _put_at(self, uri: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        if self._lost_to is not None:
            raise self._held_by(self._lost_to)

        def sent(filesystem: Any, path: str) -> None:
            is_atomic = filesystem.type_name in _ATOMIC
            place = path if is_atomic else f"{path}.{os.getpid()}.tmp"
            if not is_atomic:
                filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            stream = filesystem.open_output_stream(place, compression=None)
            try:
                for chunk in chunks():
                    stream.write(chunk)
                if is_left_behind.is_set():
                    raise OutputError(f"{uri}: interrupted")
            except BaseException:
                _never_close(stream)
                raise
            stream.close()
            if not is_atomic:
                filesystem.move(place, path)

        is_left_behind = threading.Event()
        try:
            self._at(uri, sent)
        except BaseException:
            is_left_behind.set()  # by an interrupt, which ends this process soon
            raise

    def _with_store(self, name: str, call: Callable[[Any, str], T]) -> T:
        return self._at(f"{self.name}/{name}".rstrip("/"), call)

    def _at(self, uri: str, call: Callable[[Any, str], T]) -> T:
        with store_errors(uri, OutputError(f"{uri}: it is not there any more")):
            return interruptible(lambda: call(*self._stores.place(uri)))


def _removed(filesystem: Any, path: str) -> None:
    with suppress(FileNotFoundError):
        filesystem.delete_file(path)


def _read_whole(file: Any, size: int, name: object) -> Iterator[bytes]:
    """Yield what is in an open file; OutputError where that is not `size` bytes."""
    left = size
    while chunk := file.read(COPY_BYTES):
        left -= len(chunk)
        yield chunk
    if left:
        raise OutputError(f"{name} has changed while it was read", hint="run again with --resume")


def _never_close(stream: Any) -> None:
    """Keep a stream for as long as the process lives.

    Closing it, which its destructor does too, would put under its name what it was given, as if
    that were all; Arrow has no way to give it up.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))


def _directory_removed(filesystem: Any, path: str) -> None:
    with suppress(FileNotFoundError):
        filesystem.delete_dir(path)


def _holder(content: bytes | None) -> tuple[str, int] | None:
    """Return the host and process that a lock names, None where nobody holds it."""
    try:
        lock = orjson.loads(content or b"")
        return str(lock["host"]), int(lock["process"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _temporary_prefix() -> str:
    """Return how this machine's directories begin: others may have the same one for such files."""
    return f"fnet-parts-{socket.gethostname()}-"


def _sweep() -> None:
    """Remove what processes that were killed have left on this machine."""
    prefix = _temporary_prefix()
    for path in Path(tempfile.gettempdir()).iterdir():
        process = path.name.removeprefix(prefix).partition("-")[0]
        if path.name.startswith(prefix) and process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is someone else's
        return True
    return True
