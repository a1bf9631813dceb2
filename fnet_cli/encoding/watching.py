"""What this process has in memory, looked at while a job runs, so that it keeps to a limit.

Near the limit, what can be is given back, and batches become smaller. At the limit the job ends
with what it has written. In a process of the job's own, memory that is asked for in one piece and
would not fit is refused by the system, which is a MemoryError in place of the end.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol

from fnet_cli.encoding.needing import FULL, NEAR, own_limit
from fnet_cli.errors import OutOfMemoryError
from fnet_cli.memory import data_bytes, resident_bytes
from fnet_cli.units import show_bytes

_POLL_SECONDS = 0.05
# Batches that are under way keep what they have; what giving way brings is seen later. Where it
# has brought nothing so often, it is not batches that take the memory, and tiny ones are slow.
_EFFECT_SECONDS = 1.0
_MOST_TIMES = 3
# Beside what is free under the limit: native code that is refused a little memory may end the
# process, so that only what is far too much is refused.
_REFUSED_FROM = 256 * 1024**2
RAISE_THE_LIMIT = "give a higher --memory-limit; --resume goes on from what is kept"


def watch_of(limit: int | None, *, owns_process: bool = False) -> MemoryWatch | None:
    """Return what watches over a job's own process under a job's limit; None without one."""
    return None if limit is None else MemoryWatch(own_limit(limit), owns_process=owns_process)


class GivesWay(Protocol):
    """What can do with less memory."""

    def give_way(self) -> None:
        """Take less from now on."""


class MemoryWatch:
    """Looks at the memory of this process while its `with` block runs, in a thread.

    `limit` is in bytes. With `owns_process` the system is asked to refuse what is far over it;
    with `ends_process`, the process is ended where nothing else has helped.
    """

    def __init__(
        self,
        limit: int,
        resident: Callable[[], int | None] = resident_bytes,
        *,
        owns_process: bool = False,
        ends_process: bool = False,
    ) -> None:
        self.limit = limit
        self._resident = resident
        self._owns_process, self._ends_process = owns_process, ends_process
        self._engine: GivesWay | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fnet-memory", daemon=True)
        self._quiet_until = 0.0
        self._times_near = self._times_full = 0
        self._passed = 0

    def let_give_way(self, engine: GivesWay) -> None:
        """Have an engine take less where memory is short."""
        self._engine = engine

    def check(self) -> None:
        """Raise OutOfMemoryError where the limit was reached."""
        if self._passed:
            raise OutOfMemoryError(
                f"the job has {show_bytes(self._passed)} in memory, and may have "
                f"{show_bytes(self.limit)} in this process",
                hint=RAISE_THE_LIMIT,
            )

    def look(self) -> None:
        """Look once: give back, give way, or note that the limit was reached."""
        used = self._used()
        if used < self.limit * NEAR:
            self._times_full = 0
            return
        now = time.monotonic()
        is_time = now >= self._quiet_until
        if is_time or used >= self.limit * FULL:
            give_back()
            used = self._used()
        if is_time and used >= self.limit * NEAR:
            self._quiet_until = now + _EFFECT_SECONDS
            if self._engine is not None and self._times_near < _MOST_TIMES:
                self._engine.give_way()
                self._times_near += 1
        # Twice, for what was given back may be on its way.
        self._times_full = self._times_full + 1 if used >= self.limit * FULL else 0
        if self._times_full > 1:
            self._passed = max(self._passed, used)

    def _used(self) -> int:
        return self._resident() or 0

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self.look()
            if self._ends_process and self._used() > self.limit:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._owns_process:
                _refuse_more_than(max(0, self.limit - self._used()) + _REFUSED_FROM)


def give_back() -> None:
    """Give memory back to the system that is free in this process."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _refuse_more_than(size: int) -> None:
    """Let the system refuse memory that is more than `size` over what this process asked for."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data_bytes() + size
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))


@contextmanager
def watched(watch: MemoryWatch | None) -> Iterator[None]:
    """Watch, where there is something to watch; raise OutOfMemoryError in place of MemoryError."""
    with memory_errors_named():
        if watch is None:
            yield
            return
        with watch:
            yield


@contextmanager
def memory_errors_named() -> Iterator[None]:
    """Raise OutOfMemoryError in place of MemoryError, which also pyarrow and NumPy raise."""
    try:
        yield
    except MemoryError as error:
        said = f": {' '.join(str(error).split()):.200}" if str(error) else ""
        raise OutOfMemoryError(
            f"memory ran out{said}",
            hint="free some, or give a higher --memory-limit; --resume goes on from what is kept",
        ) from error
