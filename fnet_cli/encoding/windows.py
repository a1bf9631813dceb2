"""The rows of a job, in order, in the pieces that are encoded and written together."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from fnet_cli.constants import MAX_READ_BYTES
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.readers.base import RowBatch
from fnet_cli.encoding.readers.opening import STANDARD_STREAM


def windows(plan: JobPlan) -> Iterator[RowBatch]:
    """Yield the rows of all inputs up to the limit, at most `plan.window_rows` at a time.

    A window has the passed-through columns and the id columns of its source; none is empty. A
    source of texts keeps to the limit itself: it is of texts, not of their chunks.
    """
    limit = None if plan.text else plan.options.limit
    left = sys.maxsize if limit is None else limit
    for name, source, has_segments in zip(
        plan.options.inputs, plan.sources, plan.segments, strict=True
    ):
        if not source.schema.names:  # an empty JSON lines file
            continue
        rows = source.batches(_columns(plan, has_segments), plan.window_rows)
        # Rows on a pipe do not wait for those that fill a window.
        for window in rows if name == STANDARD_STREAM else _filled(rows, plan.window_rows):
            taken = window.slice(0, min(left, len(window.numbers)))
            if len(taken.numbers):
                yield taken
            left -= len(taken.numbers)
            if not left:
                return


def _filled(batches: Iterator[RowBatch], rows: int) -> Iterator[RowBatch]:
    """Yield `rows` rows at a time, and fewer at the end or where they are large.

    A reader gives what its format has at a time. Which rows stand together decides how a long job
    computes the last of each length, and must be the same for texts and for their tokens.
    """
    waiting: list[RowBatch] = []
    held = size = 0
    for batch in batches:
        taken = 0
        while taken < len(batch.numbers):
            part = batch.slice(taken, min(rows - held, len(batch.numbers) - taken))
            waiting.append(part)
            taken += len(part.numbers)
            held, size = held + len(part.numbers), size + part.batch.nbytes
            if held == rows or size >= MAX_READ_BYTES:
                yield RowBatch.joined(waiting)
                waiting, held, size = [], 0, 0
    if waiting:
        yield RowBatch.joined(waiting)


def _columns(plan: JobPlan, has_segments: bool) -> list[str]:
    ids = [plan.options.token_column, *([plan.segment_column] if has_segments else [])]
    return list(dict.fromkeys([*plan.passthrough, *ids]))
