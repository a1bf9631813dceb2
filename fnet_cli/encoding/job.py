"""The encode job: windows of rows in, embeddings out, every row counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from fnet_cli.config import Settings
from fnet_cli.constants import EMBEDDING_COLUMN, __version__
from fnet_cli.encoding.batching import Batch, batches
from fnet_cli.encoding.engine import Engine, EngineRequest, load_engine
from fnet_cli.encoding.options import EncodeOptions, OutputDtype, Pooling, Truncate
from fnet_cli.encoding.plan import JobPlan, make_plan
from fnet_cli.encoding.readers.base import RowBatch
from fnet_cli.encoding.report import EncodeReport, Progress, ProgressCallback
from fnet_cli.encoding.rows import (
    IdColumn,
    TokenRows,
    check_not_longer,
    check_same_lengths,
    read_ids,
)
from fnet_cli.encoding.windows import windows
from fnet_cli.encoding.writer import check_counts, open_sink
from fnet_cli.errors import IntegrityError
from fnet_cli.presets.pulling.events import EventCallback, ignore

EngineLoader = Callable[[EngineRequest], Engine]


@dataclass(frozen=True)
class JobContext:
    """The world around a job: streams, environment, clock, how a model is loaded, who listens.

    A stream that is None is the process's own, looked at only where the job names it as `-`: in
    a notebook or a daemon there may be none.
    """

    settings: Settings = field(default_factory=lambda: Settings.from_env(os.environ))
    stdin: BinaryIO | None = None
    stdout: BinaryIO | None = None
    clock: Callable[[], float] = time.monotonic
    engine_loader: EngineLoader = load_engine
    on_progress: ProgressCallback = lambda _progress: None
    on_pull: EventCallback = ignore


def encode_files(options: EncodeOptions, context: JobContext | None = None) -> EncodeReport:
    """Encode the rows of `options.inputs` and write them to `options.output`.

    The output appears under its name only when it is complete; on any error nothing does.
    Raises the errors of `fnet_cli.errors`; the message names file, row or line, and column.
    """
    context = context or JobContext()
    started = context.clock()
    plan = make_plan(options, context.settings, context.stdin, context.on_pull)
    job = _Job(plan, context, started)
    with open_sink(plan.target, context.stdout) as sink:
        for window in windows(plan):
            sink.write(job.encode(window))
        rows_out = sink.close()
        check_counts(job.expected_rows(), rows_out, 0)
    return job.report(rows_out)


@dataclass(frozen=True)
class Estimate:
    """What a dry run measured: seconds to load the model, and a batch's rate afterwards."""

    startup_seconds: float
    rows_per_second: float
    encode_seconds: float | None


def estimate(plan: JobPlan, context: JobContext) -> Estimate | None:
    """Time a small sample, at most two batches of the input; None where there are no rows."""
    job = _Job(plan, context, context.clock())
    window = next(windows(plan), None)
    if window is None:
        return None
    sample = window.slice(0, min(len(window.numbers), plan.options.batch_size))
    job.encode(sample)  # loads, compiles and warms up
    startup = context.clock() - job.started
    begun = context.clock()
    job.encode(sample)
    rate = len(sample.numbers) / max(context.clock() - begun, 1e-9)
    return Estimate(startup, rate, None if plan.rows is None else plan.rows / rate)


class _Job:
    """A running job: its engine once loaded, and its counts."""

    def __init__(self, plan: JobPlan, context: JobContext, started: float) -> None:
        self.plan = plan
        self.started = started
        self._context = context
        self._engine: Engine | None = None
        self._first_batch = started
        self._rows_read = 0
        self._rows_done = 0
        self._tokens = 0
        self._rows_truncated = 0
        self._tokens_lost = 0
        config = plan.preset.config
        self._token_column = IdColumn(
            plan.options.token_column, config.vocabulary_size, "the vocabulary"
        )
        self._segment_column = IdColumn(
            plan.segment_column, config.num_segments, "the number of segments"
        )

    def expected_rows(self) -> int:
        """Return the rows that must have come out: as the inputs state, else as were read."""
        return self._rows_read if self.plan.rows is None else self.plan.rows

    def encode(self, window: RowBatch) -> pa.RecordBatch:
        """Return the window's passed-through columns and its embeddings."""
        self._rows_read += len(window.numbers)
        tokens, segments = self._ids(window)
        lengths = np.minimum(tokens.lengths, self.plan.shape.sequence_length)
        per_token = self.plan.options.pooling is Pooling.TOKENS
        ends = np.cumsum(lengths) if per_token else np.arange(1, len(lengths) + 1)
        starts = ends - lengths if per_token else ends - 1
        dim = self.plan.preset.config.hidden_dim
        vectors = np.empty((int(ends[-1]), dim), np.float32)
        for batch in batches(tokens, segments, self.plan.shape):
            result = self._embed(batch)
            if per_token:
                columns = np.arange(batch.token_ids.shape[1])
                real = columns < batch.lengths[:, None]
                vectors[(starts[batch.rows][:, None] + columns)[real]] = result[real]
            else:
                vectors[batch.rows] = result
            self._advance(batch)
        self._count_truncated(tokens.lengths, lengths)
        return self._assemble(window, self._finished(vectors, starts, window), ends)

    def _ids(self, window: RowBatch) -> tuple[TokenRows, TokenRows | None]:
        options = self.plan.options
        tokens = read_ids(window, self._token_column)
        if options.truncate is Truncate.ERROR:
            check_not_longer(
                window, tokens, self.plan.shape.sequence_length, self._token_column.name
            )
        if self._segment_column.name not in window.batch.schema.names:
            return tokens, None
        segments = read_ids(window, self._segment_column)
        check_same_lengths(
            window, tokens, segments, (self._token_column.name, self._segment_column.name)
        )
        return tokens, segments

    def _embed(self, batch: Batch) -> np.ndarray:
        if self._engine is None:
            options = self.plan.options
            self._engine = self._context.engine_loader(
                EngineRequest(
                    self.plan.preset,
                    options.pooling,
                    options.dtype,
                    options.device,
                    options.batch_size,
                )
            )
            self._first_batch = self._context.clock()
        return self._engine.embed(batch)

    def _advance(self, batch: Batch) -> None:
        self._rows_done += len(batch.rows)
        self._tokens += int(batch.lengths.sum())
        seconds = self._context.clock() - self._first_batch
        self._context.on_progress(Progress(self._rows_done, self._tokens, seconds, self.plan.rows))

    def _count_truncated(self, before: np.ndarray, after: np.ndarray) -> None:
        self._rows_truncated += int((before > after).sum())
        self._tokens_lost += int((before - after).sum())

    def _finished(self, vectors: np.ndarray, starts: np.ndarray, window: RowBatch) -> np.ndarray:
        """Return the vectors normalised and narrowed as asked, each finite."""
        options = self.plan.options
        if options.normalize:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        if options.output_dtype is OutputDtype.FLOAT16:
            with np.errstate(over="ignore"):  # what overflows is found and named below
                vectors = vectors.astype(np.float16)
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            row = int(np.searchsorted(starts, int(bad.argmax()), side="right")) - 1
            raise IntegrityError(
                f"{window.where(row)}: its embedding has a NaN or infinite number",
                hint="the weights may be damaged, or the numbers do not fit: try --dtype float32 "
                "--output-dtype float32",
            )
        return vectors

    def _assemble(self, window: RowBatch, vectors: np.ndarray, ends: np.ndarray) -> pa.RecordBatch:
        schema = self.plan.target.schema
        kind = schema.field(EMBEDDING_COLUMN).type
        flat = pa.array(vectors.reshape(-1))
        if self.plan.options.pooling is Pooling.TOKENS:
            inner = pa.FixedSizeListArray.from_arrays(flat, type=kind.value_type)
            offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
            embedding = pa.ListArray.from_arrays(offsets, inner, type=kind)
        else:
            embedding = pa.FixedSizeListArray.from_arrays(flat, type=kind)
        columns = [window.batch.column(name) for name in self.plan.passthrough]
        return pa.RecordBatch.from_arrays([*columns, embedding], schema=schema)

    def report(self, rows_out: int) -> EncodeReport:
        """Return the closing record."""
        plan, engine = self.plan, self._engine
        seconds = self._context.clock() - self.started
        return EncodeReport(
            rows_in=self.expected_rows(),
            rows_out=rows_out,
            rows_rejected=0,
            rows_truncated=self._rows_truncated,
            tokens=self._tokens,
            tokens_lost=self._tokens_lost,
            seconds=seconds,
            startup_seconds=self._first_batch - self.started if engine else seconds,
            output=plan.options.output,
            preset=plan.preset.handle,
            weights_sha256=plan.weights_sha256,
            backend=engine.backend if engine else "",
            device=engine.device if engine else "",
            settings={
                **plan.options.recorded(),
                "sequence_length": plan.shape.sequence_length,
                "batch_size": plan.options.batch_size,
                "pad_id": plan.shape.pad_id,
            },
            version=__version__,
        )
