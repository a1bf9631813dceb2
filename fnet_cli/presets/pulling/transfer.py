"""One file from a source, whole and checked, in a partial file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fnet_cli.errors import IntegrityError, NetworkError, OutputError, PresetError
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.pulling.events import Advanced, EventCallback
from fnet_cli.presets.pulling.limits import check_beginning, largest
from fnet_cli.presets.pulling.partial import PartialFile
from fnet_cli.presets.pulling.retrying import with_retries
from fnet_cli.presets.sources.base import (
    ByteStream,
    Listing,
    RangeError,
    RemoteFile,
    RemoteSource,
    TransientError,
)
from fnet_cli.presets.store.manifest import FileRecord

_STATED = ("sha256", "md5", "git_sha1")
_TELL_SECONDS = 0.1
# Bytes a second that are too few, over so many seconds.
_SLOWEST, _SLOW_SECONDS = 1000, 60.0


@dataclass(frozen=True)
class Origin:
    """Where files come from: a source, and one revision of a preset there."""

    source: RemoteSource
    handle: Handle
    listing: Listing
    retries: int
    on_event: EventCallback

    @property
    def identity(self) -> str:
        """What tells this revision from every other one."""
        return f"{self.handle.unpinned} {self.listing.revision}"


def ask_about(origin: Origin, file: RemoteFile) -> RemoteFile:
    """Return `file` with what its source states when it is asked for the file."""

    def ask() -> RemoteFile:
        with origin.source.open(origin.handle, origin.listing, file, 0) as stream:
            return stream.file

    return with_retries(ask, origin.retries, origin.on_event)


class Transfer:
    """Fetches one file into a partial file under `home`.

    `parameters` is the size of the model, which bounds the weights'. After `run`, the partial
    file holds the whole file, and `record` says what it is.
    """

    def __init__(self, origin: Origin, file: RemoteFile, home: Path, parameters: int) -> None:
        self._origin = origin
        self._limit = largest(file.name, parameters)
        self.file = file
        self.partial = PartialFile(home, origin.identity, file)
        self._where = f"{origin.handle}: {file.name}"

    def run(self) -> FileRecord:
        """Fetch the file; what is already here of it is not fetched again.

        Raises NetworkError, IntegrityError for bytes that are not what the source states,
        PresetError for a file that is not what its name says, and OutputError.
        """
        with _disk(self.partial.path):
            self.partial.open()
        if self.partial.size:
            with suppress(IntegrityError):  # what an earlier try has left may be at fault
                return self._checked()
        return self._checked()

    def _checked(self) -> FileRecord:
        """Fetch and check; bytes that are wrong are not left for the next try."""
        try:
            return self._whole()
        except (IntegrityError, PresetError):
            self._drop()
            raise

    def _drop(self) -> None:
        with _disk(self.partial.path):
            self.partial.restart()

    def _whole(self) -> FileRecord:
        if self.file.size is None or self.partial.size != self.file.size or not self._stated():
            with_retries(
                self._attempt,
                self._origin.retries,
                self._origin.on_event,
                lambda: self.partial.size,
            )
        self._check()
        with _disk(self.partial.path):
            self.partial.finish()
            try:
                check_beginning(self.file.name, self.partial.path)
            except PresetError as error:
                raise IntegrityError(
                    f"{self._where} is not what it must be: "
                    f"{str(error).removeprefix(f'{self.partial.path}: ')}"
                ) from error
        sha256 = self.partial.hexdigest("sha256")
        assert sha256 is not None
        record = FileRecord(self.file.name, self.partial.size, sha256)
        self._origin.on_event(Advanced(record.name, record.size, record.size))
        return record

    def _stated(self) -> bool:
        """Whether the listing alone states a hash, so that no answer of the server is needed."""
        return bool(self.file.sha256 or self.file.git_sha1)

    def _attempt(self) -> None:
        """Ask for the rest of the file and take what comes."""
        origin = self._origin
        # Of a file that is here, only the hash is missing: no server has bytes beyond its end.
        offset = 0 if self.partial.size == self.file.size else self.partial.size
        try:
            with origin.source.open(origin.handle, origin.listing, self.file, offset) as stream:
                self._take_facts(stream)
                if self.partial.size != self.file.size:
                    self._take(stream)
        except RangeError:
            self._drop()
            if not offset:
                raise
            self._attempt()  # the whole file, which is no further try
        except TransientError as error:
            if self._where in str(error):
                raise
            raise TransientError(f"{self._where}: {error}", error.retry_after) from error
        if self.file.size is not None and self.partial.size < self.file.size:
            raise TransientError(f"{self._where}: the connection ended early")

    def _take(self, stream: ByteStream) -> None:
        if stream.offset != self.partial.size:
            self._drop()
        self._tell(self.partial.size)
        told = window = time.monotonic()
        before = self.partial.size
        for chunk in stream.read():
            with _disk(self.partial.path):
                self.partial.write(chunk)
            self._check_growth()
            now = time.monotonic()
            if now - told >= _TELL_SECONDS:
                told = now
                self._tell(0)
            if now - window >= _SLOW_SECONDS:
                self._check_pace(self.partial.size - before, now - window)
                window, before = now, self.partial.size

    def _check_pace(self, count: int, seconds: float) -> None:
        """Give up on a server that drips: it would keep a job waiting for days."""
        if count < _SLOWEST * seconds:
            raise NetworkError(
                f"{self._where}: only {count:,} bytes came in {seconds:.0f} s",
                hint="try again: what has been fetched is kept",
            )

    def _take_facts(self, stream: ByteStream) -> None:
        """Learn what the answer states; refuse an answer that is a page, or of another size."""
        facts = stream.file
        if stream.is_page:
            raise NetworkError(
                f"{self._where}: the server sends a web page instead",
                hint="is there a proxy or a login page on the way?",
            )
        self._check_limit(facts.size)
        hashed = facts.sha256 or facts.git_sha1 or facts.md5
        if facts.size is None and not hashed and not stream.is_framed:
            raise NetworkError(
                f"{self._where}: the server states neither size nor hash, so that a cut file "
                "would look whole",
                hint="serve it with a Content-Length",
            )
        self.file = facts

    def _check_limit(self, size: int | None) -> None:
        if size is not None and size > self._limit:
            raise PresetError(
                f"{self._where} has {size:,} bytes, over the limit of {self._limit:,}"
            )

    def _check_growth(self) -> None:
        if self.file.size is not None and self.partial.size > self.file.size:
            raise IntegrityError(
                f"{self._where}: more bytes came than the {self.file.size:,} stated"
            )
        self._check_limit(self.partial.size)

    def _check(self) -> None:
        """Hold the bytes against every hash that the source states."""
        for name in _STATED:
            stated, found = getattr(self.file, name), self.partial.hexdigest(name)
            if stated and found and stated != found:
                raise IntegrityError(
                    f"{self._where}: its {name} is {found}, the source states {stated}",
                    hint="try again; if it stays so, the source is damaged",
                )

    def _tell(self, resumed: int) -> None:
        self._origin.on_event(Advanced(self.file.name, self.partial.size, self.file.size, resumed))


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Make an OutputError of what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write to {path.parent}: {error.strerror or error}",
            hint="free some space or choose another cache directory; what has been fetched is kept",
        ) from error
