"""Waiting for calls that do not come back to Python while they wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.2


def interruptible(call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise what it raises; KeyboardInterrupt gets through at once.

    The call runs in a thread of its own, which an interrupt leaves behind: it is a daemon, so
    that it keeps no process from ending. (Arrow itself, where the interpreter is torn down, waits
    for its requests to S3, whose timeouts bound it.) What the call uses must not be closed then.
    """
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        with outcome:
            outcome.values.append(call())

    threading.Thread(target=run, name="fnet-waiting", daemon=True).start()
    while not outcome.settled.wait(_POLL_SECONDS):
        pass
    if outcome.error is not None:
        raise outcome.error
    return outcome.values[0]


class _Outcome(Generic[T]):
    """What a call came to: one value, or the error that its thread has left here."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self.error: BaseException | None = None
        self.settled = threading.Event()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = error
        self.settled.set()
        return True
