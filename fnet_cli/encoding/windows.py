"""The rows of a job, in order, in the pieces that are encoded and written together."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.readers.base import RowBatch


def windows(plan: JobPlan) -> Iterator[RowBatch]:
    """Yield the rows of all inputs up to the limit, at most `plan.window_rows` at a time.

    A window has the passed-through columns and the id columns of its source; none is empty. A
    source of texts keeps to the limit itself: it is of texts, not of their chunks.
    """
    limit = None if plan.text else plan.options.limit
    left = sys.maxsize if limit is None else limit
    for source, has_segments in zip(plan.sources, plan.segments, strict=True):
        if not source.schema.names:  # an empty JSON lines file
            continue
        for window in source.batches(_columns(plan, has_segments), plan.window_rows):
            taken = window.slice(0, min(left, len(window.numbers)))
            if len(taken.numbers):
                yield taken
            left -= len(taken.numbers)
            if not left:
                return


def _columns(plan: JobPlan, has_segments: bool) -> list[str]:
    ids = [plan.options.token_column, *([plan.segment_column] if has_segments else [])]
    return list(dict.fromkeys([*plan.passthrough, *ids]))
