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
from typing import IO, Any

from fnet_cli.presets.sources.base import RemoteFile
from fnet_cli.presets.store.caches import OWN_DIRECTORY

PARTIAL_DIRECTORY = "partial"
_NAME = re.compile(r"(?P<key>[0-9a-f]{24})\.(?P<host>[0-9a-f]{8})\.(?P<pid>\d+)\.[0-9a-f]+\.part")
_COPY_BYTES = 4 * 1024 * 1024
# How long a file of another machine must have been still before it counts as left behind.
_QUIET_SECONDS = 24 * 3600.0


class PartialFile:
    """A file of this process's own that grows to be `file`, and its hashes as it grows.

    No two processes ever write to one partial file: bytes that another one has left are copied.
    Methods raise OSError.
    """

    def __init__(self, home: Path, identity: str, file: RemoteFile) -> None:
        self._directory = home / OWN_DIRECTORY / PARTIAL_DIRECTORY
        # Bytes are only ever joined to bytes of the same file in the same state.
        facts = (identity, file.name, file.size, file.sha256, file.git_sha1, file.tag)
        self._key = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        self._file = file
        name = f"{self._key}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.part"
        self.path = self._directory / name
        self._hashes: dict[str, Any] = {}
        self._stream: IO[bytes] | None = None
        self.size = 0

    def open(self) -> None:
        """Create the file, and fill it with what an earlier try has left."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._stream = self.path.open("xb")
        self.restart()
        left = [path for path in self._directory.glob(f"{self._key}.*.part") if path != self.path]
        for path in sorted(left, key=_size_of, reverse=True):
            if self.size == 0:
                self._copy(path)
            if is_abandoned(path):
                path.unlink(missing_ok=True)

    def restart(self) -> None:
        """Drop all bytes."""
        assert self._stream is not None
        self._stream.seek(0)
        self._stream.truncate()
        self.size = 0
        self._hashes = {"sha256": hashlib.sha256()}
        if self._file.git_sha1:  # which starts with the size
            header = f"blob {self._file.size}\0".encode()
            self._hashes["git_sha1"] = hashlib.sha1(header, usedforsecurity=False)
        if not self._file.sha256:  # an answer may state an md5
            self._hashes["md5"] = hashlib.md5(usedforsecurity=False)

    def write(self, data: bytes) -> None:
        """Add bytes."""
        assert self._stream is not None
        self._stream.write(data)
        for digest in self._hashes.values():
            digest.update(data)
        self.size += len(data)

    def hexdigest(self, name: str) -> str | None:
        """Return a hash of all bytes, or None where it was not kept."""
        digest = self._hashes.get(name)
        return digest.hexdigest() if digest else None

    def finish(self) -> None:
        """Bring all bytes to the disk and close the file."""
        assert self._stream is not None
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def close(self) -> None:
        """Close the file and leave it for the next try; an empty one goes."""
        if self._stream is None:
            return
        with contextlib.suppress(OSError):  # a full disk: what is written is written
            self._stream.close()
        if self.size == 0:
            self.discard()

    def discard(self) -> None:
        """Remove the file; harmless where it has been moved to its place."""
        self.path.unlink(missing_ok=True)

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


def is_abandoned(path: Path) -> bool:
    """Whether the process that wrote a partial file is gone, as far as can be told."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return False
    if found["host"] == _host():
        return not Path(f"/proc/{found['pid']}").exists() and not _is_running(int(found["pid"]))
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
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
