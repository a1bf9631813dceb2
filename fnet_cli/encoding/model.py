"""The model of a process: loaded for the first rows, and kept for all parts that follow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fnet_cli.constants import TUNING_PAYS_OPERATIONS
from fnet_cli.encoding.batching import BatchSize
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.tuning import tuned_batch_tokens
from fnet_cli.encoding.needing import Fit, fit
from fnet_cli.encoding.options import Padding
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.watching import MemoryWatch

# The batch size that rows of the same job were made with on a device, None where there were none.
KnownTokens = Callable[[str], int | None]


@dataclass(frozen=True)
class RanAs:
    """How an engine worked: what changes the speed and the last digits, not the result."""

    backend: str
    device: str
    batch_tokens: int | None
    mixing: str
    workers: int

    def recorded(self) -> dict[str, Any]:
        """Return what the closing record says among the settings."""
        return {"batch_tokens": self.batch_tokens, "mixing": self.mixing, "workers": self.workers}


class Model:
    """An engine and its size of batches. `ready_at` is the time of the clock when it was there."""

    def __init__(self, context: JobContext) -> None:
        self.ready_at: float | None = None
        self._context = context
        self._lock = threading.Lock()  # an encoder's rows may come from several threads
        self._loaded: tuple[Engine, BatchSize] | None = None

    @property
    def ran_as(self) -> RanAs | None:
        """How it works, or None where it was not needed yet."""
        if self._loaded is None:
            return None
        engine, size = self._loaded
        tokens = None if size.rows else size.tokens
        return RanAs(engine.backend, engine.device, tokens, engine.mixing, engine.workers)

    def load(self, plan: JobPlan, known: KnownTokens) -> tuple[Engine, BatchSize]:
        """Return engine and size of batches: those that were loaded, else for this plan."""
        with self._lock:
            if self._loaded is None:
                memory = self._context.memory
                engine = self._context.engine_loader(_request(plan, memory))
                if memory is not None:
                    memory.let_give_way(engine)
                self._loaded = engine, _batch_size(engine, plan, known(engine.device))
                self.ready_at = self._context.clock()
            return self._loaded

    def check_memory(self) -> None:
        """Raise OutOfMemoryError where this process has reached its limit."""
        if self._context.memory is not None:
            self._context.memory.check()


def _request(plan: JobPlan, memory: MemoryWatch | None) -> EngineRequest:
    within = Fit() if memory is None else fit(plan, memory.limit)
    return EngineRequest(
        plan.preset,
        plan.in_force.pooling,
        plan.options.dtype,
        plan.options.device,
        fixed_shapes=plan.is_worth_compiling,
        one_shape=plan.in_force.padding is Padding.MAX,
        most_workers=within.workers,
        most_tokens=within.tokens,
    )


def _batch_size(engine: Engine, plan: JobPlan, known: int | None) -> BatchSize:
    if plan.options.batch_size is not None:
        return BatchSize(engine.batch_tokens, plan.options.batch_size)
    if known is not None:
        return BatchSize(known)
    kind = engine.device.partition(":")[0]
    if (plan.operations or 0) >= TUNING_PAYS_OPERATIONS[kind]:
        return BatchSize(tuned_batch_tokens(engine, plan.typical_width))
    return BatchSize(engine.batch_tokens)
