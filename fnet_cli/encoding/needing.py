"""What memory a job takes, by about, so that one that does not fit is refused before it starts.

What is chosen here changes no result: how many batches are in work at once, and of what size. Where
a window of rows ends does not depend on memory, or a job could not be gone on with by another.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.constants import TYPICAL_TOKENS
from fnet_cli.encoding.engine.devices import usable_cores
from fnet_cli.encoding.options import EncodeOptions, Executor
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.errors import OutOfMemoryError

_MB = 10**6
_STEP = 10 * _MB
# Shares of a limit: where a job begins to give way, and where it ends. The rest is room for what
# grows between two looks, and for writing what is done.
NEAR, FULL = 0.9, 0.95
# Beside the process that embeds: the one that guards it; the job's own where others embed.
_GUARD_BYTES = 35 * _MB
_JOB_BYTES = {Executor.LOCAL: 140 * _MB, Executor.RAY: 240 * _MB}
# Windows of vectors that are read, embedded, finished, waiting for a row group, and compressed.
_WINDOWS = 6
# Bytes of a token of the windows that are read ahead.
_WINDOW_TOKEN_BYTES = 48
# A batch for a worker is of so many tokens, where there is room; more would be little faster.
_GOOD_BATCH_TOKENS = 1024
# While weights are read, and when they have been.
_READING_COPIES, _READ_COPIES = 2.0, 1.4


@dataclass(frozen=True)
class _Backend:
    """What a backend takes once it is imported, for its first graph, and times a batch's sizes."""

    imported: int
    graph: int
    copies: int


# Single trials on a CPU, rounded up; how much a whole job takes is in
# docs/performance.md#memory-and-start-up.
_BACKENDS = {
    "tensorflow": _Backend(740 * _MB, 115 * _MB, 1),
    "jax": _Backend(400 * _MB, 60 * _MB, 1),
    "torch": _Backend(520 * _MB, 50 * _MB, 10),
}


@dataclass(frozen=True)
class Fit:
    """How a process works within its limit: batches at once, and tokens of each, at most."""

    workers: int | None = None
    tokens: int | None = None


def own_limit(limit: int) -> int:
    """Return the bytes of a limit that the job's own process has, where no others do."""
    return max(0, limit - _GUARD_BYTES)


def share_of(limit: int, options: EncodeOptions, workers: int) -> int:
    """Return the bytes of a limit that each process has that embeds, where so many do."""
    beside = _JOB_BYTES[options.executor] if options.is_shared_out else 0
    return max(0, own_limit(limit) - beside) // workers


def check_memory(plan: JobPlan) -> None:
    """Raise OutOfMemoryError where a job does not fit its limit."""
    limit, options = plan.options.memory_limit, plan.options
    if limit is None:
        return
    each = share_of(limit, options, options.workers)
    needed = _needed(plan) / FULL
    if needed <= each:
        return
    beside = limit - share_of(limit, options, 1)
    # Rounded up, so that what is named is enough.
    whole = _shown(math.ceil((beside + options.workers * needed) / _STEP) * _STEP)
    of = f" for {options.workers} workers" if options.workers > 1 else ""
    raise OutOfMemoryError(
        f"the job takes about {whole}{of}, and --memory-limit is {_shown(limit)}",
        hint=f"give at least {whole}" + (", or fewer --workers" if options.workers > 1 else ""),
    )


def _shown(size: int) -> str:
    """Show a number of bytes as the option takes it."""
    return f"{size // _MB}MB"


def fit(plan: JobPlan, limit: int) -> Fit:
    """Return how a process embeds in `limit` bytes; in the smallest steps where it hardly does."""
    token = _token_bytes(plan)
    room = int(limit * FULL) - _fixed_bytes(plan)
    workers = max(1, min(usable_cores(), room // (_GOOD_BATCH_TOKENS * token)))
    return Fit(workers, max(plan.typical_width, room // (workers * token)))


def _needed(plan: JobPlan) -> int:
    """Return what a process takes that embeds row by row."""
    return _fixed_bytes(plan) + plan.typical_width * _token_bytes(plan)


def _fixed_bytes(plan: JobPlan) -> int:
    """Return what a process takes without its batches."""
    backend, weights = _backend(), 4 * parameter_count(plan.preset.config)
    reading = int(_READING_COPIES * weights)
    working = int(_READ_COPIES * weights) + backend.graph + _windows_bytes(plan)
    return backend.imported + max(reading, working)


def _windows_bytes(plan: JobPlan) -> int:
    rows = plan.window_rows if plan.rows is None else min(plan.rows, plan.window_rows)
    whole = plan.part_of or plan
    mean = whole.tokens // whole.rows if whole.tokens and whole.rows else TYPICAL_TOKENS
    tokens = min(plan.window_tokens, rows * max(1, mean))
    return _WINDOWS * rows * plan.vector_bytes + _WINDOW_TOKEN_BYTES * tokens


def _token_bytes(plan: JobPlan) -> int:
    """Return what a token of a batch takes while it goes through the model."""
    config = plan.preset.config
    return 4 * (6 * config.hidden_dim + config.intermediate_dim) * _backend().copies


def _backend() -> _Backend:
    return _BACKENDS.get(os.environ.get("KERAS_BACKEND") or "tensorflow", _BACKENDS["tensorflow"])
