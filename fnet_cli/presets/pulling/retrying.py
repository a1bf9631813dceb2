"""Trying again what may work the next time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from fnet_cli.constants import MAX_RETRY_AFTER_SECONDS
from fnet_cli.errors import NetworkError
from fnet_cli.presets.pulling.events import EventCallback, Retrying
from fnet_cli.presets.sources.base import TransientError

T = TypeVar("T")
_LONGEST_PAUSE = 30.0


def with_retries(
    call: Callable[[], T],
    retries: int,
    on_event: EventCallback,
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """Return what `call` returns, calling again after each TransientError.

    Pauses grow from one second, unless the source asks for a longer one. A call that made
    `progress` (a number that grows) starts the count anew, so that a long transfer over a poor
    line ends. Raises NetworkError after `retries` further tries in vain, or where the source
    asks to come back much later.
    """
    count = _Count(retries, progress)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=count.is_over,
        wait=count.pause,
        before_sleep=lambda state: on_event(Retrying(str(_error(state)), count.seconds)),
        sleep=time.sleep,
        reraise=True,
    )
    try:
        return retrying(call)
    except TransientError as error:
        seconds = error.retry_after or 0
        if seconds > MAX_RETRY_AFTER_SECONDS:
            raise NetworkError(
                f"{error}, and asks to come back in {seconds:,.0f} s", hint="try again then"
            ) from error
        raise NetworkError(
            f"{error}", hint="try again: what has been fetched is kept, and is not fetched again"
        ) from error


class _Count:
    """How often a call has failed since it last got anywhere."""

    def __init__(self, retries: int, progress: Callable[[], int]) -> None:
        self._retries = retries
        self._progress = progress
        self._reached = progress()
        self._failures = 0
        self.seconds = 0.0

    def pause(self, state: tenacity.RetryCallState) -> float:
        """Count a failure and return the seconds to wait; asked before `is_over`."""
        reached = self._progress()
        self._failures = 1 if reached > self._reached else self._failures + 1
        self._reached = max(reached, self._reached)
        backoff = min(2.0 ** (self._failures - 1), _LONGEST_PAUSE)
        # Many that were cut off together should not come back together.
        spread = backoff * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        self.seconds = max(spread, _error(state).retry_after or 0)
        return self.seconds

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether to give up."""
        asked = _error(state).retry_after or 0
        return self._failures > self._retries or asked > MAX_RETRY_AFTER_SECONDS


def _error(state: tenacity.RetryCallState) -> TransientError:
    error = state.outcome and state.outcome.exception()
    assert isinstance(error, TransientError)
    return error
