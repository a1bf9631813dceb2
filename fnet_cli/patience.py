"""Waiting for calls that do not come back to Python while they wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from fnet_cli.outcomes import Outcome

T = TypeVar("T")
_POLL_SECONDS = 0.2


def interruptible(call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise what it raises; KeyboardInterrupt gets through at once.

    The call runs in a thread of its own, which an interrupt leaves behind: it is a daemon, so
    that it keeps no process from ending. (Arrow itself, where the interpreter is torn down, waits
    for its requests to S3, whose timeouts bound it.) What the call uses must not be closed then.
    """
    outcome = Outcome[T]()
    settled = threading.Event()

    def run() -> None:
        with outcome:
            outcome.values.append(call())
        settled.set()

    threading.Thread(target=run, name="fnet-waiting", daemon=True).start()
    while not settled.wait(_POLL_SECONDS):
        pass
    return outcome.take()
