"""A window of rows, checked and measured: all that is done before the model sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from fnet_cli.encoding.batching import Batch, BatchSize, batches, check_padding
from fnet_cli.encoding.options import Pooling, Truncate
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.readers.base import Fault, FaultyRowsError, RowBatch
from fnet_cli.encoding.rejecting import Rejected, without
from fnet_cli.encoding.rows import (
    IdColumn,
    TokenRows,
    check_not_longer,
    check_same_lengths,
    read_ids,
)
from fnet_cli.encoding.windows import windows


@dataclass(frozen=True)
class PreparedWindow:
    """Rows with their checked ids.

    `lengths` (N,) counts the tokens that are used of each row, `lost` (N,) those that are not,
    also of its text. The vectors of row r are
    `starts[r]` to `ends[r]` of the window's: one, or one a token. `rejected` are rows of the window
    that are not among them, where the job tolerates such.
    """

    window: RowBatch
    tokens: TokenRows
    segments: TokenRows | None
    lengths: np.ndarray
    lost: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    rejected: tuple[Rejected, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.lengths)

    @property
    def rows_rejected(self) -> int:
        """How many rows were rejected."""
        return sum(rejected.rows for rejected in self.rejected)

    @property
    def vectors(self) -> int:
        """How many vectors the rows have together."""
        return int(self.ends[-1]) if len(self.ends) else 0


def prepared_windows(plan: JobPlan, done: int = 0) -> Iterator[PreparedWindow]:
    """Yield the job's windows after the first `done` rows in order, every id checked.

    Raises InputDataError naming the first row that cannot be used, where the job does not tolerate
    that, and UsageError where a pad id lacks.
    """
    config = plan.preset.config
    columns = (
        IdColumn(plan.options.token_column, config.vocabulary_size, "the vocabulary"),
        IdColumn(plan.segment_column, config.num_segments, "the number of segments"),
    )
    for window in windows(plan, done):
        if plan.options.tolerates:
            yield _prepare_good(plan, window, *columns)
            continue
        try:
            yield _prepare(plan, window, *columns)
        except FaultyRowsError as error:
            error.hint = error.hint or "--on-error skip or quarantine goes on without such rows"
            raise


def _prepare_good(
    plan: JobPlan, window: RowBatch, token_column: IdColumn, segment_column: IdColumn
) -> PreparedWindow:
    """Prepare the rows that can be used; the others are rejected, kind after kind."""
    # Of a text, the ids are none of the user's.
    shown = plan.passthrough if plan.text else window.batch.schema.names
    good, rejected = without(window, window.faults, shown)
    while True:
        try:
            prepared = _prepare(plan, good, token_column, segment_column)
            break
        except FaultyRowsError as error:
            faults = {row: Fault(reason) for row, reason in error.faults.items()}
            good, more = without(good, faults, shown)
            rejected += more
    return replace(prepared, rejected=tuple(sorted(rejected, key=attrgetter("row"))))


def _prepare(
    plan: JobPlan, window: RowBatch, token_column: IdColumn, segment_column: IdColumn
) -> PreparedWindow:
    tokens = read_ids(window, token_column)
    whole = tokens.lengths if window.cut is None else tokens.lengths + window.cut
    if plan.options.truncate is Truncate.ERROR:
        name = plan.text.column if plan.text else token_column.name
        check_not_longer(window, whole, plan.shape.sequence_length, name)
    check_padding(tokens, plan.shape)
    segments = None
    if segment_column.name in window.batch.schema.names:
        segments = read_ids(window, segment_column)
        check_same_lengths(window, tokens, segments, (token_column.name, segment_column.name))
    lengths = np.minimum(tokens.lengths, plan.shape.sequence_length)
    per_token = plan.in_force.pooling is Pooling.TOKENS
    ends = np.cumsum(lengths) if per_token else np.arange(1, len(lengths) + 1)
    starts = ends - lengths if per_token else ends - 1
    return PreparedWindow(window, tokens, segments, lengths, whole - lengths, starts, ends)


def window_batches(plan: JobPlan, prepared: PreparedWindow, size: BatchSize) -> Iterator[Batch]:
    """Yield the window's rows as dense batches."""
    return batches(prepared.tokens, prepared.segments, plan.shape, size)
