"""The encode job: windows of rows in, embeddings out, every row counted.

Three stages run side by side: a thread reads and checks windows ahead, the engine's workers embed
batches, a thread finishes windows and writes them. The job's own thread cuts windows into batches
and keeps order, progress and counts; only it is interrupted by a signal.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from fnet_cli.config import Settings
from fnet_cli.constants import TUNING_PAYS_OPERATIONS, WINDOWS_AHEAD, __version__
from fnet_cli.encoding.batching import Batch, BatchSize
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.engine.tuning import tuned_batch_tokens
from fnet_cli.encoding.finishing import WindowVectors
from fnet_cli.encoding.identity import job_identity
from fnet_cli.encoding.options import EncodeOptions
from fnet_cli.encoding.output.journal import Checkpoint, Counts
from fnet_cli.encoding.output.opening import JobOutput, KeptCallback, open_output
from fnet_cli.encoding.output.target import check_counts
from fnet_cli.encoding.plan import JobPlan, make_plan
from fnet_cli.encoding.preparing import PreparedWindow, prepared_windows, window_batches
from fnet_cli.encoding.readers.opening import STANDARD_STREAM
from fnet_cli.encoding.rejecting import damages
from fnet_cli.encoding.report import EncodeReport, Progress, ProgressCallback
from fnet_cli.encoding.stages import Ahead, Workers
from fnet_cli.encoding.texts import documents_read, rejected_rows
from fnet_cli.errors import InputDataError, StoppedError
from fnet_cli.presets.pulling.events import EventCallback, ignore

# The share of errors in fewer rows says little.
_ROWS_TO_JUDGE = 1_000
EngineLoader = Callable[[EngineRequest], Engine]


@dataclass(frozen=True)
class JobContext:
    """The world around a job: streams, environment, clock, how a model is loaded, who listens.

    A stream that is None is the process's own, looked at only where the job names it as `-`: in
    a notebook or a daemon there may be none. Where `is_stopping` says so, the job stops after the
    rows that are under way; `on_kept` is told of rows that it can go on from, also after an error.
    """

    settings: Settings = field(default_factory=lambda: Settings.from_env(os.environ))
    stdin: BinaryIO | None = None
    stdout: BinaryIO | None = None
    clock: Callable[[], float] = time.monotonic
    engine_loader: EngineLoader = load_engine
    on_progress: ProgressCallback = lambda _progress: None
    on_pull: EventCallback = ignore
    on_kept: KeptCallback = lambda _kept: None
    is_stopping: Callable[[], bool] = lambda: False


def encode_files(options: EncodeOptions, context: JobContext | None = None) -> EncodeReport:
    """Encode the rows of `options.inputs` and write them to `options.output`.

    The output appears under its name only when it is complete. On any error nothing does, and what
    has been written stays in `<output>.fnet`, from where the same job with `resume` goes on.
    Raises the errors of `fnet_cli.errors`; the message names file, row or line, and column.
    """
    context = context or JobContext()
    started = context.clock()
    plan = make_plan(options, context.settings, context.stdin, context.on_pull)
    identity = None if STANDARD_STREAM in options.inputs else job_identity(plan)
    with open_output(
        plan.target, identity, options.restart, context.stdout, context.on_kept
    ) as output:
        job = _Job(plan, context, started, output.begun)
        job.run(output)
        rows_out = output.close(damages(plan.sources))
        check_counts(job.rows_in, rows_out, job.rows_rejected)
    return job.report(rows_out, output.rejected)


@dataclass(frozen=True)
class Estimate:
    """What a dry run measured: seconds to load the model, and its rate afterwards."""

    startup_seconds: float
    rows_per_second: float
    encode_seconds: float | None


def estimate(plan: JobPlan, context: JobContext) -> Estimate | None:
    """Time a small sample, a batch for each worker; None where there are no rows."""
    job = _Job(plan, context, context.clock())
    prepared = next(prepared_windows(plan), None)
    if prepared is None:
        return None
    sample = job.sample(prepared)
    job.embed_all(sample)  # compiles and warms up
    startup = context.clock() - job.started
    begun = context.clock()
    job.embed_all(sample)
    rows = sum(len(batch.rows) for batch in sample)
    rate = rows / max(context.clock() - begun, 1e-9)
    return Estimate(startup, rate, None if plan.rows is None else plan.rows / rate)


class _Job:
    """A running job: its engine once loaded, and its counts."""

    def __init__(
        self,
        plan: JobPlan,
        context: JobContext,
        started: float,
        begun: Checkpoint | None = None,
    ) -> None:
        self.plan = plan
        self.started = started
        self._context = context
        self._engine: Engine | None = None
        self._size = BatchSize(1)
        self._first_batch = started
        self._begun = begun
        self._resumed = begun.counts if begun else Counts()
        self._counts = self._resumed
        self._rows_done = self._resumed.rows
        self._stopped = False
        self._tokens_done = 0

    @property
    def rows_in(self) -> int:
        """The rows that came in: as the inputs state, else as were read, chunks for documents."""
        if self.plan.rows is None:
            return self._counts.rows + rejected_rows(self.plan.sources)
        return self.plan.rows

    @property
    def rows_rejected(self) -> int:
        """The rows that were left out, for an error or for their text."""
        return self._counts.rows_rejected + rejected_rows(self.plan.sources)

    @property
    def errors(self) -> int:
        """The rows that were rejected for an error, and the files that were damaged."""
        return self._counts.rows_rejected + len(damages(self.plan.sources))

    def run(self, output: JobOutput) -> None:
        """Encode every window and write it; StoppedError where it was to stop before the last."""
        with (
            Ahead(prepared_windows(self.plan, self._resumed.rows), WINDOWS_AHEAD) as prepared,
            Workers[None](1) as writing,
            closing(self._encoded(prepared, output)) as encoded,
        ):
            for window in encoded:
                # A pipe may not be read for long, and its reader may go: both are this thread's
                # to notice, which a signal interrupts.
                if self.plan.target.path is None:
                    _write(output, window)
                    continue
                if len(writing) == WINDOWS_AHEAD:
                    writing.result()
                writing.submit(partial(_write, output, window))
            while len(writing):
                writing.result()
        if self._stopped:
            raise StoppedError("interrupted")
        self._check_errors(ended=True)

    def _encoded(
        self, prepared: Ahead[PreparedWindow], output: JobOutput
    ) -> Generator[WindowVectors, None, None]:
        """Yield the windows in order, each when all its rows are embedded."""
        first = next(prepared, None)
        if first is None:
            return
        engine, size = self._load()
        output.ran_on(engine.device, None if size.rows else size.tokens)
        under_way: deque[tuple[WindowVectors, Batch | None]] = deque()
        with Workers[np.ndarray](engine.workers) as embedding:

            def settle(most: int) -> Generator[WindowVectors, None, None]:
                while len(under_way) > most:
                    window, batch = under_way.popleft()
                    if batch is not None:
                        window.place(batch, embedding.result())
                        self._advance(batch)
                    if window.is_complete:
                        yield window

            current: PreparedWindow | None = first
            while current is not None:
                self._count(current)
                window = WindowVectors(self.plan, current, self._counts)
                if window.is_complete:  # each of its rows was rejected
                    under_way.append((window, None))
                for batch in window_batches(self.plan, current, size):
                    under_way.append((window, batch))
                    embedding.submit(partial(engine.embed, batch))
                    # A batch for each worker, and as many that wait for one.
                    yield from settle(2 * engine.workers)
                if not prepared.is_ready:  # rows on a pipe do not wait for the next ones
                    yield from settle(0)
                current = next(prepared, None)
                self._stopped = current is not None and self._context.is_stopping()
                if self._stopped:
                    break
            yield from settle(0)

    def sample(self, prepared: PreparedWindow) -> list[Batch]:
        """Return the window's first batches, one for each worker."""
        engine, size = self._load()
        every = window_batches(self.plan, prepared, size)
        return [batch for batch, _ in zip(every, range(engine.workers), strict=False)]

    def embed_all(self, batches: list[Batch]) -> None:
        """Embed some batches side by side, for the time that it takes."""
        engine, _ = self._load()
        with Workers[np.ndarray](engine.workers) as embedding:
            for batch in batches:
                embedding.submit(partial(engine.embed, batch))
            while len(embedding):
                embedding.result()

    def _load(self) -> tuple[Engine, BatchSize]:
        options = self.plan.options
        if self._engine is None:
            self._engine = self._context.engine_loader(
                EngineRequest(
                    self.plan.preset,
                    self.plan.in_force.pooling,
                    options.dtype,
                    options.device,
                    fixed_shapes=self.plan.is_worth_compiling,
                )
            )
            self._size = self._batch_size(self._engine)
            self._first_batch = self._context.clock()
        return self._engine, self._size

    def _batch_size(self, engine: Engine) -> BatchSize:
        kind = engine.device.partition(":")[0]
        long = (self.plan.operations or 0) >= TUNING_PAYS_OPERATIONS[kind]
        begun = self._begun
        if self.plan.options.batch_size is None and begun and begun.device == engine.device:
            return BatchSize(begun.batch_tokens or engine.batch_tokens)
        if self.plan.options.batch_size is None and long:
            return BatchSize(tuned_batch_tokens(engine, self.plan.typical_width))
        return BatchSize(engine.batch_tokens, self.plan.options.batch_size)

    def _advance(self, batch: Batch) -> None:
        self._rows_done += len(batch.rows)
        self._tokens_done += int(batch.lengths.sum())
        seconds = self._context.clock() - self._first_batch
        self._context.on_progress(
            Progress(
                self._rows_done, self._tokens_done, seconds, self.plan.rows, self._resumed.rows
            )
        )

    def _count(self, prepared: PreparedWindow) -> None:
        counts = self._counts
        self._counts = Counts(
            rows=counts.rows + prepared.rows + prepared.rows_rejected,
            rows_rejected=counts.rows_rejected + prepared.rows_rejected,
            tokens=counts.tokens + int(prepared.lengths.sum()),
            rows_truncated=counts.rows_truncated + int((prepared.lost > 0).sum()),
            tokens_lost=counts.tokens_lost + int(prepared.lost.sum()),
        )
        self._rows_done += prepared.rows_rejected
        self._check_errors(ended=False)

    def _check_errors(self, *, ended: bool) -> None:
        """Raise InputDataError where there are more errors than the job is to take."""
        limit, errors = self.plan.options.max_errors, self.errors
        rows = self.plan.rows
        if rows is None and (ended or self._counts.rows >= _ROWS_TO_JUDGE):
            rows = self._counts.rows
        if limit is not None and limit.is_passed(errors, rows):
            raise InputDataError(
                f"{errors:,} errors in {self._counts.rows:,} rows, over --max-errors {limit}",
                hint="--resume goes on with a higher limit; --on-error quarantine says which",
            )

    def _ran_as(self) -> dict[str, Any]:
        """Return how the engine worked: settings that change the speed, not the result."""
        engine = self._engine
        if engine is None:
            return {}
        tokens = None if self._size.rows else self._size.tokens
        return {"batch_tokens": tokens, "mixing": engine.mixing, "workers": engine.workers}

    def report(self, rows_out: int, rejected: str | None) -> EncodeReport:
        """Return the closing record; `rejected` is where rejected rows were written."""
        plan, engine = self.plan, self._engine
        seconds = self._context.clock() - self.started
        return EncodeReport(
            rows_in=self.rows_in,
            rows_out=rows_out,
            rows_rejected=self.rows_rejected,
            files_damaged=len(damages(plan.sources)),
            rejected=rejected,
            documents=documents_read(plan.sources),
            rows_truncated=self._counts.rows_truncated,
            tokens=self._counts.tokens,
            tokens_lost=self._counts.tokens_lost,
            rows_resumed=self._resumed.rows_out,
            tokens_resumed=self._resumed.tokens,
            seconds=seconds,
            startup_seconds=self._first_batch - self.started if engine else seconds,
            output=plan.options.output,
            preset=plan.preset.handle,
            weights_sha256=plan.weights_sha256,
            backend=engine.backend if engine else "",
            device=engine.device if engine else "",
            settings={
                **plan.options.recorded(plan.in_force),
                "batch_size": plan.options.batch_size,
                "pad_id": plan.shape.pad_id,
                **plan.text_record,
                **self._ran_as(),
            },
            version=__version__,
        )


def _write(output: JobOutput, window: WindowVectors) -> None:
    output.write(window.finish(), window.counts, window.prepared.rejected)
