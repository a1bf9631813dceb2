"""Bringing a growing file to the disk while it grows."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

_EVERY_BYTES = 32 * 1024**2


class BackgroundSync:
    """Lets the system write to the disk what has come so far, while more comes.

    So that the end of a large file is not a long wait for all of it. An OSError of the disk is
    raised by the next call.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None
        self._count = 0

    def wrote(self, stream: IO[bytes], count: int) -> None:
        """Count bytes that were written to `stream`, and sync it from time to time."""
        self._count += count
        if self._count < _EVERY_BYTES or (self._running and not self._running.done()):
            return
        self.wait()
        self._count = 0
        thread = self._thread = self._thread or ThreadPoolExecutor(1)
        self._running = thread.submit(os.fdatasync, stream.fileno())

    def wait(self) -> None:
        """Wait for a sync that runs."""
        if self._running is not None:
            running, self._running = self._running, None
            running.result()

    def close(self) -> None:
        """End the thread; what it still does is waited for."""
        if self._thread is not None:
            self._thread.shutdown()
