"""What a place that presets are fetched from must offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from fnet_cli.presets.handles import Handle


@dataclass(frozen=True)
class RemoteFile:
    """A file at a source, with all that the source states about it.

    Hashes are in lower-case hex; `git_sha1` is that of a Git blob. `tag` changes when the bytes
    do, and need not be a hash.
    """

    name: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    git_sha1: str | None = None
    tag: str = ""


@dataclass(frozen=True)
class Listing:
    """One revision of a preset at its source: the exact `revision`, and its files by name."""

    revision: str
    files: Mapping[str, RemoteFile] = field(default_factory=dict)


@dataclass(frozen=True)
class ByteStream:
    """The bytes of a file from `offset` on, on their way; `read` yields them as they arrive.

    `file` has what the answer states. A source may ignore the offset it was asked for, and then
    `offset` is 0. `content_type` is empty where the source has no such thing. `read` raises
    TransientError where the connection fails. `is_framed` is False where the end of the bytes and
    the end of a connection that was cut look the same.
    """

    file: RemoteFile
    offset: int
    content_type: str
    read: Callable[[], Iterator[bytes]]
    is_framed: bool = True

    @property
    def is_page(self) -> bool:
        """Whether the answer is a page for people: an error's, a login's, a proxy's."""
        return self.content_type.partition(";")[0].strip().lower() == "text/html"


class RemoteSource(Protocol):
    """One place that presets are fetched from.

    Every method raises TransientError for what may go away by itself, and otherwise
    NetworkError, or PresetNotFoundError for what is not there.
    """

    def list(self, handle: Handle) -> Listing:
        """Return the revision that `handle` means now, and its files."""

    def find(self, handle: Handle, listing: Listing, name: str) -> RemoteFile | None:
        """Return a file of the revision, or None where it has none of that name."""

    def open(
        self, handle: Handle, listing: Listing, file: RemoteFile, offset: int
    ) -> AbstractContextManager[ByteStream]:
        """Ask for a file's bytes from `offset` on."""


class TransientError(Exception):
    """A failure that may go away: `retry_after` is how long the source asks to wait, in seconds.

    Never leaves the package: who gives up makes a NetworkError of it.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RangeError(TransientError):
    """The source does not go on from the byte it was asked to: the whole file may still come."""
