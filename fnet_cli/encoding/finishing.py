"""From a window's vectors to the rows of the output."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fnet_cli.constants import EMBEDDING_COLUMN
from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.options import OutputDtype, Pooling
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.preparing import PreparedWindow
from fnet_cli.errors import IntegrityError

# Of a window, for norms: their squares are an array as large.
_ROWS_AT_ONCE = 1024


class WindowVectors:
    """The vectors of a window while they come, batch by batch, in any order of rows.

    `counts` are the job's up to the end of the window.
    """

    def __init__(self, plan: JobPlan, prepared: PreparedWindow, counts: Counts) -> None:
        self.prepared = prepared
        self.counts = counts
        self._plan = plan
        self._rows_left = prepared.rows
        dim = plan.preset.config.hidden_dim
        self._vectors = np.empty((prepared.vectors, dim), np.float32)

    @property
    def is_complete(self) -> bool:
        """Whether every row has its vectors."""
        return not self._rows_left

    def place(self, batch: Batch, vectors: np.ndarray) -> None:
        """Take what the engine made of a batch."""
        if self._plan.in_force.pooling is Pooling.TOKENS:
            columns = np.arange(batch.token_ids.shape[1])
            real = columns < batch.lengths[:, None]
            places = self.prepared.starts[batch.rows][:, None] + columns
            self._vectors[places[real]] = vectors[real]
        else:
            self._vectors[batch.rows] = vectors
        self._rows_left -= len(batch.rows)

    def finish(self) -> pa.RecordBatch:
        """Return the passed-through columns and the embeddings, as the output has them.

        Raises IntegrityError where an embedding is not finite.
        """
        return _assemble(self._plan, self.prepared, _finished(self._plan, self))

    @property
    def vectors(self) -> np.ndarray:
        """All vectors, (N, H) float32."""
        return self._vectors


def _finished(plan: JobPlan, window: WindowVectors) -> np.ndarray:
    """Return the vectors normalised, in place, and narrowed as asked, each finite."""
    vectors = window.vectors
    if plan.in_force.normalize:
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            rows = vectors[start : start + _ROWS_AT_ONCE]
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            rows /= np.maximum(norms, np.finfo(np.float32).tiny)
    if plan.options.output_dtype is OutputDtype.FLOAT16:
        with np.errstate(over="ignore"):  # what overflows is found and named below
            vectors = vectors.astype(np.float16)
    _check_finite(vectors, window.prepared)
    return vectors


def _check_finite(vectors: np.ndarray, prepared: PreparedWindow) -> None:
    # A sum that is finite has only finite terms, and costs no array of its own.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(vectors.sum(dtype=np.float32)):
            return
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        row = int(np.searchsorted(prepared.starts, int(bad.argmax()), side="right")) - 1
        raise IntegrityError(
            f"{prepared.window.where(row)}: its embedding has a NaN or infinite number",
            hint="the weights may be damaged, or the numbers do not fit: try --dtype float32 "
            "--output-dtype float32",
        )


def _assemble(plan: JobPlan, prepared: PreparedWindow, vectors: np.ndarray) -> pa.RecordBatch:
    schema = plan.target.schema
    kind = schema.field(EMBEDDING_COLUMN).type
    flat = pa.array(vectors.reshape(-1))
    if plan.in_force.pooling is Pooling.TOKENS:
        inner = pa.FixedSizeListArray.from_arrays(flat, type=kind.value_type)
        offsets = pa.array(np.concatenate([[0], prepared.ends]), pa.int32())
        embedding = pa.ListArray.from_arrays(offsets, inner, type=kind)
    else:
        embedding = pa.FixedSizeListArray.from_arrays(flat, type=kind)
    columns = [prepared.window.batch.column(name) for name in plan.passthrough]
    return pa.RecordBatch.from_arrays([*columns, embedding], schema=schema)
