"""Hashes of bytes as they arrive, computed beside the transfer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fnet_cli.presets.sources.base import RemoteFile

# Below this, handing bytes to a thread costs more than hashing them.
_SMALL = 128 * 1024


class Digests:
    """The sha256 of a file, and those hashes that a source may state of it.

    Each hash has a thread, which works while the next bytes are received and written: hashing
    takes longer than a fast network does.
    """

    def __init__(self, file: RemoteFile) -> None:
        self._hashes: dict[str, Any] = {"sha256": hashlib.sha256()}
        if file.git_sha1:  # which starts with the size
            header = f"blob {file.size}\0".encode()
            self._hashes["git_sha1"] = hashlib.sha1(header, usedforsecurity=False)
        if not file.sha256:  # an answer may state an md5
            self._hashes["md5"] = hashlib.md5(usedforsecurity=False)
        self._threads: ThreadPoolExecutor | None = None
        self._running: Iterable[Future[None]] = ()

    def update(self, data: bytes) -> None:
        """Add bytes, which must not change afterwards."""
        self._wait()
        if len(data) < _SMALL:
            for digest in self._hashes.values():
                digest.update(data)
            return
        threads = self._threads = self._threads or ThreadPoolExecutor(len(self._hashes))
        self._running = [threads.submit(digest.update, data) for digest in self._hashes.values()]

    def hexdigest(self, name: str) -> str | None:
        """Return a hash of all bytes, or None where it is not kept."""
        self._wait()
        digest = self._hashes.get(name)
        return digest.hexdigest() if digest else None

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()

    def _wait(self) -> None:
        for update in self._running:
            update.result()
        self._running = ()
