"""From checked rows to dense batches: padded lengths, grouping, and the fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fnet_cli.constants import BUCKETS_PER_DOUBLING, SMALLEST_BUCKET
from fnet_cli.encoding.options import Padding
from fnet_cli.encoding.rows import TokenRows
from fnet_cli.errors import UsageError


@dataclass(frozen=True)
class BatchShape:
    """How rows are padded.

    `pad_id` is None where the preset has no tokenizer and none was given; ids are then only
    padded never. `sequence_length` is the most tokens of a row that are used.
    """

    padding: Padding
    sequence_length: int
    pad_id: int | None


@dataclass(frozen=True)
class BatchSize:
    """How much goes into a batch: as many rows as `tokens` allow, padding included, or `rows`."""

    tokens: int
    rows: int | None = None

    def rows_of(self, width: int) -> int:
        """Return how many rows of `width` tokens a batch takes, at least one."""
        return self.rows or max(1, self.tokens // width)


@dataclass(frozen=True)
class Batch:
    """A dense batch: which rows of the window it holds, and their ids, right-padded.

    `token_ids` and `segment_ids` are (B, S) int32, `lengths` (B,) int32 counts real tokens.
    `capacity` is how many rows a full batch of this width has.
    """

    rows: np.ndarray
    token_ids: np.ndarray
    segment_ids: np.ndarray
    lengths: np.ndarray
    capacity: int

    def halves(self) -> list[Batch]:
        """Return the rows as one or two batches of half the capacity."""
        capacity = (self.capacity + 1) // 2
        parts = (slice(start, start + capacity) for start in range(0, len(self.rows), capacity))
        return [
            Batch(
                self.rows[part],
                self.token_ids[part],
                self.segment_ids[part],
                self.lengths[part],
                capacity,
            )
            for part in parts
        ]


def padded_lengths(lengths: np.ndarray, shape: BatchShape) -> np.ndarray:
    """Return the length to which a row of each length is padded, after truncation.

    It depends on the row's own length alone. FNet mixes padding into every position, so a
    length taken from a row's neighbours would make its embedding depend on them.
    """
    limit = shape.sequence_length
    taken: np.ndarray = np.minimum(lengths, limit)
    if shape.padding is Padding.MAX:
        return np.full_like(lengths, limit)
    if shape.padding is Padding.NONE:
        return taken
    buckets = np.array(bucket_lengths(limit))
    padded: np.ndarray = buckets[np.searchsorted(buckets, taken)]
    return padded


def bucket_lengths(limit: int) -> list[int]:
    """Return the lengths of bucket padding up to `limit`: 8, 16 ... 64, 80 ... 128, 160 ...

    Few enough that rows of one length fill batches, and close enough that little is padding:
    the steps are of 8, and above 64 of a quarter of the power of two below.
    """
    lengths, length = [], SMALLEST_BUCKET
    while length < limit:
        lengths.append(length)
        power = 1 << (length.bit_length() - 1)
        length += max(SMALLEST_BUCKET, power // BUCKETS_PER_DOUBLING)
    return [*lengths, limit]


def check_padding(tokens: TokenRows, shape: BatchShape) -> None:
    """Raise UsageError where a row must be padded and there is no pad id."""
    if shape.pad_id is not None:
        return
    lengths = np.minimum(tokens.lengths, shape.sequence_length)
    if (lengths < padded_lengths(tokens.lengths, shape)).any():
        raise UsageError(
            "rows must be padded, and the preset has no tokenizer that says with which id",
            hint="give --pad-id N, or --padding none",
        )


def batches(
    tokens: TokenRows, segments: TokenRows | None, shape: BatchShape, size: BatchSize
) -> Iterator[Batch]:
    """Yield every row once, rows of one padded length together, `size` at a time.

    Rows that `check_padding` refuses are padded with 0.
    """
    lengths = np.minimum(tokens.lengths, shape.sequence_length)
    targets = padded_lengths(tokens.lengths, shape)
    order = np.argsort(targets, kind="stable")
    bounds = np.flatnonzero(np.diff(targets[order])) + 1
    for group in np.split(order, bounds):
        width = int(targets[group[0]]) if len(group) else 0
        capacity = size.rows_of(width) if width else 1
        for start in range(0, len(group), capacity):
            rows = group[start : start + capacity]
            taken = lengths[rows]
            yield Batch(
                rows=rows,
                token_ids=_dense(tokens, rows, taken, width, shape.pad_id or 0),
                segment_ids=(
                    np.zeros((len(rows), width), np.int32)
                    if segments is None
                    else _dense(segments, rows, taken, width, 0)
                ),
                lengths=taken.astype(np.int32),
                capacity=capacity,
            )


def _dense(
    ragged: TokenRows, rows: np.ndarray, lengths: np.ndarray, width: int, fill: int
) -> np.ndarray:
    """Return the first `lengths` ids of `rows` as (B, width), the rest `fill`."""
    dense = np.full((len(rows), width), fill, np.int32)
    columns = np.arange(width)
    real = columns < lengths[:, None]
    dense[real] = ragged.values[(ragged.starts[rows][:, None] + columns)[real]]
    return dense
