"""Bytes of a file that is not complete yet, kept from one try, and one process, to the next."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import socket
import time
from pathlib import Path
from typing import IO

from fnet_cli.presets.pulling.digests import Digests
from fnet_cli.presets.pulling.syncing import BackgroundSync
from fnet_cli.presets.sources.base import RemoteFile
from fnet_cli.presets.store.caches import OWN_DIRECTORY

PARTIAL_DIRECTORY = "partial"
_NAME = re.compile(r"(?P<key>[0-9a-f]{24})\.(?P<host>[0-9a-f]{8})\.(?P<pid>\d+)\.[0-9a-f]+\.part")
# The process id in the name of a file that its writer is done with.
_NOBODY = 0
_COPY_BYTES = 4 * 1024 * 1024
# How long a file of another machine must have been still before it counts as left behind.
_QUIET_SECONDS = 24 * 3600.0


class PartialFile:
    """A file of this process's own that grows to be `file`, and its hashes as it grows.

    No two processes ever write to one partial file. One whose process is gone is taken over,
    by renaming it, so that bytes never need twice their space; those of one that may still grow
    are copied. Methods raise OSError.
    """

    def __init__(self, home: Path, identity: str, file: RemoteFile) -> None:
        self._directory = home / OWN_DIRECTORY / PARTIAL_DIRECTORY
        # Bytes are only ever joined to bytes of the same file in the same state.
        facts = (identity, file.name, file.size, file.sha256, file.git_sha1, file.tag)
        self._key = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        self._file = file
        self.path = self._directory / self._name(os.getpid())
        self._digests = Digests(file)
        self._stream: IO[bytes] | None = None
        self._syncs = BackgroundSync()
        self.size = 0

    def open(self) -> None:
        """Create the file, or go on with the longest that an earlier try has left."""
        self._directory.mkdir(parents=True, exist_ok=True)
        left = sorted(self._directory.glob(f"{self._key}.*.part"), key=size_of, reverse=True)
        gone = [path for path in left if is_abandoned(path)]
        taken = next((path for path in gone if self._take(path)), None)
        self._stream = self.path.open("xb" if taken is None else "r+b")
        if taken is not None:
            self._digest_own()
            for path in gone:
                path.unlink(missing_ok=True)
            return
        self.restart()
        for path in left:
            if self.size == 0:
                self._copy(path)

    def restart(self) -> None:
        """Drop all bytes."""
        assert self._stream is not None
        self._stream.seek(0)
        self._stream.truncate()
        self._digests.close()
        self._digests = Digests(self._file)
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add bytes."""
        assert self._stream is not None
        self._digests.update(data)
        self._stream.write(data)
        self._syncs.wrote(self._stream, len(data))
        self.size += len(data)

    def hexdigest(self, name: str) -> str | None:
        """Return a hash of all bytes, or None where it was not kept."""
        return self._digests.hexdigest(name)

    def finish(self) -> None:
        """Bring all bytes to the disk."""
        assert self._stream is not None
        self._syncs.wait()
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file and leave it for the next try, whoever's; an empty one goes.

        Harmless where the file has been moved to its place.
        """
        self._digests.close()
        self._syncs.close()
        if self._stream is None:
            return
        with contextlib.suppress(OSError):  # a full disk: what is written is written
            self._stream.close()
        with contextlib.suppress(OSError):
            if self.path.stat().st_size == 0:
                self.path.unlink()
            else:
                self.path.rename(self.path.with_name(self._name(_NOBODY)))

    def _name(self, pid: int) -> str:
        return f"{self._key}.{_host()}.{pid}.{secrets.token_hex(4)}.part"

    def _take(self, path: Path) -> bool:
        """Make another's file this one; False where somebody else was faster."""
        if not os.access(path, os.R_OK | os.W_OK):  # another user's
            return False
        try:
            path.rename(self.path)
        except FileNotFoundError:
            return False
        return True

    def _digest_own(self) -> None:
        assert self._stream is not None
        while data := self._stream.read(_COPY_BYTES):
            self._digests.update(data)
            self.size += len(data)

    def _copy(self, path: Path) -> None:
        try:
            with path.open("rb") as old:
                while data := old.read(_COPY_BYTES):
                    self.write(data)
        except FileNotFoundError:  # its owner has completed it
            self.restart()


def partial_files(home: Path) -> list[Path]:
    """List the partial files of a preset's home."""
    directory = home / OWN_DIRECTORY / PARTIAL_DIRECTORY
    return sorted(path for path in directory.glob("*.part") if _NAME.fullmatch(path.name))


def abandoned_bytes(home: Path) -> int:
    """Return how many bytes the partial files have that the next pull may go on with."""
    return sum(size_of(path) for path in partial_files(home) if is_abandoned(path))


def is_abandoned(path: Path) -> bool:
    """Whether the process that wrote a partial file is gone, as far as can be told."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return False
    pid = int(found["pid"])
    if pid == _NOBODY:
        return True
    if found["host"] == _host():
        return not _is_running(pid)
    try:
        return time.time() - path.stat().st_mtime > _QUIET_SECONDS
    except FileNotFoundError:
        return False


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _host() -> str:
    """Return what process ids are unique in: a machine and, of its containers, this one."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def size_of(path: Path) -> int:
    """Return a file's size, 0 for one that is gone: others come and go in the same cache."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
