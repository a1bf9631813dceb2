"""Ctrl-C, SIGTERM and SIGHUP: one way to stop, that cannot get lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fnet_cli.errors import StoppedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEAN_UP_SECONDS = 2.0
_SAME_MOMENT_SECONDS = 0.2
_asked = False
_asked_at = float("-inf")
_held = False
_waits = False


def install_handlers() -> None:
    """Let a signal raise KeyboardInterrupt; one that is ignored, as by nohup, stays so."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt where a signal came whose exception somebody swallowed.

    Frameworks try one thing and then another while they are imported, under an `except` that
    catches all; a signal in such a moment would be forgotten.
    """
    global _asked_at
    if _asked and not _waits:
        _asked_at = time.monotonic()  # the clean-up starts here
        raise KeyboardInterrupt


@contextmanager
def signals_held() -> Iterator[None]:
    """Let the first signal wait for the end of the body, which then raises KeyboardInterrupt.

    One that comes some seconds later gets through at once, for the body may hang.
    A native module that is interrupted while it is imported may crash the process, and a crash
    leaves temporary files behind.
    """
    global _held
    _held = True
    try:
        yield
    finally:
        _held = False
        stop_if_asked()


def let_first_signal_wait() -> None:
    """Let the first signal only be remembered from now on: `is_asked_to_stop` tells of it.

    A second one gets through at once. What comes in the same moment is the first again: programs
    such as `timeout` send to a process and to its group, and a guard passes on what it gets.
    """
    global _waits
    _waits = not _asked


def is_asked_to_stop() -> bool:
    """Whether a signal has come that waits."""
    return _asked and _waits


@contextmanager
def no_signal_waits() -> Iterator[None]:
    """End, when the body does, what `let_first_signal_wait` began in it."""
    global _waits
    try:
        yield
    finally:
        _waits = False


@contextmanager
def signals_first() -> Iterator[None]:
    """Raise KeyboardInterrupt in place of an error that came after a signal.

    A native module that is interrupted while it is imported may make an ImportError of it.
    """
    try:
        yield
    except StoppedError:
        raise
    except Exception:
        stop_if_asked()
        raise


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _asked, _asked_at, _waits
    now = time.monotonic()
    first, _asked = not _asked, True
    if first:
        _asked_at = now
        if _held or _waits:
            return
    elif _waits:
        if now - _asked_at <= _SAME_MOMENT_SECONDS:
            return
        _waits = False
    elif now - _asked_at <= _CLEAN_UP_SECONDS:
        return  # a second Ctrl-C right after the first would interrupt the clean-up
    # Whoever asks again later has seen that nothing happens: it was swallowed, or a load hangs.
    _asked_at = now
    raise KeyboardInterrupt
