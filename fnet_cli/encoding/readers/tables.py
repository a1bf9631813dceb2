"""Rows that are in memory already, as an Arrow table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.encoding.readers.base import RowBatch, UniformColumns


class TableRows(UniformColumns):
    """The rows of a table, under a `name` for messages; they are counted from 0."""

    def __init__(self, name: str, table: pa.Table) -> None:
        self.name = name
        self.schema: pa.Schema = table.schema
        self.rows: int | None = table.num_rows
        self._table = table

    def token_count(self, column: str) -> int | None:
        """Return the number of values in a list column; None for any other."""
        try:
            return int(pc.sum(pc.list_value_length(self._table.column(column))).as_py() or 0)
        except (KeyError, pa.ArrowNotImplementedError):
            return None

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows from the `start`-th on."""
        rest = self._table.select(list(columns)).slice(start)
        for batch in rest.to_batches(max_chunksize=max_rows):
            numbers = np.arange(start, start + batch.num_rows)
            yield RowBatch(batch, self.name, "row", numbers)
            start += batch.num_rows
