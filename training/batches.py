"""Training batches: texts of one padded length together, in a new order every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sentencepiece

from fnet_cli.encoding.batching import bucket_lengths

TOKENS_A_BATCH = 12_288
MOST_ROWS = 768


@dataclass(frozen=True)
class TokenTexts:
    """Tokenised texts, each packed as `[CLS] text [SEP]` and cut to the sequence length.

    `ids` (N,) holds them end to end; text r is `ids[starts[r] : starts[r] + lengths[r]]` and is
    padded to `widths[r]`.
    """

    ids: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    widths: np.ndarray

    def dense(self, rows: np.ndarray, pad_id: int) -> np.ndarray:
        """Return rows of one width as (B, S) int32."""
        columns = np.arange(int(self.widths[rows[0]]))
        real = columns < self.lengths[rows][:, None]
        places = np.where(real, self.starts[rows][:, None] + columns, 0)
        dense: np.ndarray = np.where(real, self.ids[places], pad_id).astype(np.int32)
        return dense


def tokenize(
    processor: sentencepiece.SentencePieceProcessor, texts: Sequence[str], most: int
) -> TokenTexts:
    """Tokenise the texts as encode will, with its bucket padding."""
    cls, sep = processor.piece_to_id("[CLS]"), processor.piece_to_id("[SEP]")
    rows = [[cls, *ids[: most - 2], sep] for ids in processor.encode(list(texts))]
    lengths = np.array([len(row) for row in rows])
    buckets = np.array(bucket_lengths(most))
    ends = np.cumsum(lengths)
    return TokenTexts(
        ids=np.fromiter((token for row in rows for token in row), np.int32, int(ends[-1])),
        starts=ends - lengths,
        lengths=lengths,
        widths=buckets[np.searchsorted(buckets, lengths)],
    )


def epoch_order(widths: np.ndarray, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield every row once, in batches of one width, batches and rows in random order."""
    found = []
    for width in np.unique(widths):
        rows = generator.permutation(np.flatnonzero(widths == width))
        size = min(MOST_ROWS, max(1, TOKENS_A_BATCH // int(width)))
        found += [rows[start : start + size] for start in range(0, len(rows), size)]
    for index in generator.permutation(len(found)):
        yield found[index]


def steps_an_epoch(widths: np.ndarray) -> int:
    """Return how many batches `epoch_order` yields."""
    return sum(1 for _ in epoch_order(widths, np.random.default_rng(0)))
