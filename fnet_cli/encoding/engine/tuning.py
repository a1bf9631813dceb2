"""How large a batch should be, found by measuring."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.engine.base import Engine
from fnet_cli.encoding.stages import Workers
from fnet_cli.errors import DeviceMemoryError

# A larger batch must be this much faster: it holds more memory, and results come later.
_WORTH_IT = 1.03
_MOST_TOKENS = 1 << 20


def tuned_batch_tokens(
    engine: Engine, width: int, clock: Callable[[], float] = time.perf_counter
) -> int:
    """Return how many tokens a batch of rows of `width` tokens should have on this machine.

    Starts at what the engine recommends and doubles while that is faster, else halves while that
    is. What does not fit the device's memory is not tried again: the engine runs it in parts,
    and halves are not faster than themselves.
    """
    measured = {}

    def rate(tokens: int) -> float:
        if tokens not in measured:
            measured[tokens] = _rate(engine, width, tokens, clock)
        return measured[tokens]

    best = engine.batch_tokens
    for factor in (2.0, 0.5):
        start = best
        while width <= best * factor <= _MOST_TOKENS and rate(int(best * factor)) > (
            rate(best) * (_WORTH_IT if factor > 1 else 1.0)
        ):
            best = int(best * factor)
        if best != start:
            break
    return best


def _rate(engine: Engine, width: int, tokens: int, clock: Callable[[], float]) -> float:
    """Return tokens per second with batches of `tokens`, all workers busy; 0 without memory."""
    batch = _batch(width, max(1, tokens // width))
    seconds = []
    try:
        for _ in range(3):  # the first one compiles
            started = clock()
            with Workers[np.ndarray](engine.workers) as working:
                for _ in range(engine.workers):
                    working.submit(partial(engine.embed, batch))
                while len(working):
                    working.result()
            seconds.append(clock() - started)
    except DeviceMemoryError:
        return 0.0
    return engine.workers * batch.token_ids.size / max(min(seconds[1:]), 1e-9)


def _batch(width: int, rows: int) -> Batch:
    """Return a full batch; which ids it holds does not matter to the time."""
    zeros = np.zeros((rows, width), np.int32)
    return Batch(np.arange(rows), zeros, zeros, np.full(rows, width, np.int32), capacity=rows)
