"""Stages of a job that run side by side: each in a thread, with bounded room between them."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from fnet_cli.outcomes import Outcome

T = TypeVar("T")
# How often a thread that cannot go on looks whether it still should.
_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 1.0


class Ahead(Generic[T]):
    """The items of an iterator, made in a thread of its own before they are asked for.

    An error in the iterator is raised where its item would have come. The thread is a daemon:
    one that waits for a pipe keeps no program from ending, but for a second.
    """

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._ready: queue.Queue[Outcome[T]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(items,), name="fnet-ahead", daemon=True
        )
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether the next item, or the end, is there without waiting."""
        return not self._ready.empty()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._ready.get().take()

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        # A read of a file ends soon. Left running, it would come back into an interpreter that
        # is gone, which native code does not survive.
        self._thread.join(_LEAVE_SECONDS)

    def _run(self, items: Iterator[T]) -> None:
        last = False
        while not last and not self._stopped.is_set():
            with Outcome[T]() as made:  # the end of the iterator is an error, too
                made.values.append(next(items))
            last = made.error is not None
            self._put(made)

    def _put(self, made: Outcome[T]) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put(made, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return


class Workers(Generic[T]):
    """Calls in threads, whose results come back in the order of the calls.

    Leaving the `with` block by an error drops the calls that have not begun.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fnet-work")
        self._results: deque[Future[T]] = deque()

    def __len__(self) -> int:
        return len(self._results)

    def submit(self, call: Callable[[], T]) -> None:
        """Let a thread make the call when one is free."""
        self._results.append(self._pool.submit(call))

    def result(self) -> T:
        """Return what the oldest call returned, or raise what it raised."""
        return self._results.popleft().result()

    def __enter__(self) -> Workers[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
