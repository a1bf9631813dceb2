"""Ctrl-C, SIGTERM and SIGHUP: one way to stop, that cannot get lost."""

from __future__ import annotations

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_asked = False


def install_handlers() -> None:
    """Let each signal raise KeyboardInterrupt; one that is ignored, as by nohup, stays so."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt where a signal came whose exception somebody swallowed.

    Frameworks try one thing and then another while they are imported, under an `except` that
    catches all; a signal in such a moment would be forgotten.
    """
    if _asked:
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
