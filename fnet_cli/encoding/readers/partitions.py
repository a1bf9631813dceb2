"""A file of a partitioned directory: what its path states is a column of each of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from fnet_cli.encoding.readers.base import RowBatch, RowSource, TypeCheck
from fnet_cli.errors import InputDataError


class PartitionedSource:
    """A source with constant columns behind its own; InputDataError where one has such a name."""

    def __init__(self, inner: RowSource, values: Mapping[str, pa.Scalar]) -> None:
        self.name = inner.name
        self.rows = inner.rows
        self.damage = inner.damage
        self.schema = inner.schema
        self.row_ends = inner.row_ends
        self.inner, self._values = inner, values
        for key, value in values.items():
            if key in inner.schema.names:
                raise InputDataError(
                    f"{self.name}: there is a column {key}, and the path states {key}={value}",
                    hint="rename the column, or the directories",
                )
            if inner.schema.names:  # an empty JSON lines file keeps none
                self.schema = self.schema.append(pa.field(key, value.type))

    def token_count(self, column: str) -> int | None:
        """Return what the inner source states."""
        return self.inner.token_count(column)

    def first_other(self, column: str, accept: TypeCheck) -> str:
        """Return what the inner source says; a constant column has one type."""
        return "" if column in self._values else self.inner.first_other(column, accept)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the inner source's rows with what the path states."""
        own = [name for name in columns if name not in self._values]
        # A batch without columns would not know how many rows it has.
        wanted = own or self.inner.schema.names[:1]
        for rows in self.inner.batches(wanted, max_rows, start):
            count = rows.batch.num_rows
            arrays = [
                pa.repeat(self._values[name], count)
                if name in self._values
                else rows.batch.column(name)
                for name in columns
            ]
            schema = pa.schema([self.schema.field(name) for name in columns])
            yield replace(rows, batch=pa.RecordBatch.from_arrays(arrays, schema=schema))
