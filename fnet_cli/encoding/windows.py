"""The rows of a job, in order, in the pieces that are encoded and written together.

Where a window ends depends on the rows alone: neither on how a reader gives them, so that texts and
their tokens stand in the same windows, nor on where a job that was left goes on. Which rows stand
together decides how a long job computes the last of each length.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.constants import MAX_READ_BYTES
from fnet_cli.encoding.options import Padding
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.readers.base import RowBatch
from fnet_cli.encoding.readers.opening import STANDARD_STREAM


def windows(plan: JobPlan, done: int = 0) -> Iterator[RowBatch]:
    """Yield the rows of all inputs after the first `done`, up to the limit, in windows.

    A window has the passed-through columns and the id columns of its source; none is empty. A
    source of texts keeps to the limit itself: it is of texts, not of their chunks.
    """
    limit = None if plan.text else plan.options.limit
    left = sys.maxsize if limit is None else limit - done
    for window in _windows(plan, done):
        taken = window.slice(0, min(left, len(window.numbers)))
        if len(taken.numbers):
            yield taken
        left -= len(taken.numbers)
        if left <= 0:
            return


def _windows(plan: JobPlan, done: int) -> Iterator[RowBatch]:
    # Rows that are made of texts are counted, and numbered, by making them again.
    made = plan.text is not None and plan.text.makes_rows
    for name, source, has_segments in zip(
        plan.options.inputs, plan.sources, plan.segments, strict=True
    ):
        if not source.schema.names:  # an empty JSON lines file
            continue
        start = 0 if made else min(done, source.rows or 0)
        rows = source.batches(_columns(plan, has_segments), plan.window_rows, start)
        done -= start
        # Rows on a pipe do not wait for those that fill a window.
        arriving = name == STANDARD_STREAM and source.rows is None
        for window in rows if arriving else _filled(rows, plan):
            if done:
                done -= len(window.numbers)
                continue
            yield window


def _filled(batches: Iterator[RowBatch], plan: JobPlan) -> Iterator[RowBatch]:
    """Yield full windows: by their rows, by their tokens, or where the rows are large by bytes."""
    waiting: list[RowBatch] = []
    rows = tokens = size = 0
    for batch in batches:
        upto = np.concatenate([[0], np.cumsum(_tokens(batch, plan))])
        taken = 0
        while taken < len(batch.numbers):
            most = np.searchsorted(upto, upto[taken] + plan.window_tokens - tokens, side="right")
            count = min(
                max(int(most) - 1 - taken, 0 if waiting else 1),
                plan.window_rows - rows,
                len(batch.numbers) - taken,
            )
            if count:
                waiting.append(batch.slice(taken, count))
                rows, size = rows + count, size + waiting[-1].batch.nbytes
                tokens += int(upto[taken + count] - upto[taken])
                taken += count
            if rows == plan.window_rows or size >= MAX_READ_BYTES or taken < len(batch.numbers):
                yield RowBatch.joined(waiting)
                waiting, rows, tokens, size = [], 0, 0, 0
    if waiting:
        yield RowBatch.joined(waiting)


def _tokens(batch: RowBatch, plan: JobPlan) -> np.ndarray:
    """Return how many tokens of each row the model is given, at most."""
    most = plan.shape.sequence_length
    if plan.in_force.padding is Padding.MAX:
        return np.full(len(batch.numbers), most)
    ids = batch.batch.column(plan.options.token_column)
    if pa.types.is_null(ids.type):  # refused later, with its place
        return np.zeros(len(ids), np.int64)
    lengths = pc.list_value_length(ids)
    counts: np.ndarray = np.minimum(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False), most)
    return counts


def _columns(plan: JobPlan, has_segments: bool) -> list[str]:
    ids = [plan.options.token_column, *([plan.segment_column] if has_segments else [])]
    return list(dict.fromkeys([*plan.passthrough, *ids]))
