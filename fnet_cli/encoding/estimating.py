"""How long a job will take, from a sample of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.base import Engine
from fnet_cli.encoding.model import Model
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.preparing import prepared_windows, window_batches
from fnet_cli.encoding.stages import Workers


@dataclass(frozen=True)
class Estimate:
    """What a dry run measured: seconds to load the model, and its rate afterwards."""

    startup_seconds: float
    rows_per_second: float
    encode_seconds: float | None


def estimate(plan: JobPlan, context: JobContext) -> Estimate | None:
    """Time a small sample, a batch for each worker; None where there are no rows."""
    started = context.clock()
    prepared = next(prepared_windows(plan), None)
    if prepared is None:
        return None
    engine, size = Model(context).load(plan, lambda _device: None)
    every = window_batches(plan, prepared, size)
    sample = [batch for batch, _ in zip(every, range(engine.workers), strict=False)]
    _embed_all(engine, sample)  # compiles and warms up
    startup = context.clock() - started
    begun = context.clock()
    _embed_all(engine, sample)
    rows = sum(len(batch.rows) for batch in sample)
    rate = rows / max(context.clock() - begun, 1e-9)
    return Estimate(startup, rate, None if plan.rows is None else plan.rows / rate)


def _embed_all(engine: Engine, batches: list[Batch]) -> None:
    """Embed some batches side by side."""
    with Workers[np.ndarray](engine.workers) as embedding:
        for batch in batches:
            embedding.submit(partial(engine.embed, batch))
        while len(embedding):
            embedding.result()
