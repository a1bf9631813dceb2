"""Parquet input, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.constants import MAX_READ_BYTES
from fnet_cli.encoding.readers.base import Fault, Readable, RowBatch, TypeCheck, from_row
from fnet_cli.errors import InputDataError

# Pages are read in pieces of this size instead of whole column chunks, so that a file of one
# huge row group streams too.
_BUFFER_BYTES = 1 << 20


class ParquetSource(Readable):
    """A Parquet file. Raises InputDataError where its footer cannot be read."""

    def __init__(self, path: str, *, tolerant: bool = False) -> None:
        self.name = path
        self._tolerant = tolerant
        try:
            # Closed when the program ends or the object goes: a job reads each file once.
            self._file = pq.ParquetFile(
                Path(path),
                buffer_size=_BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,  # where the writer stored them
            )
            self.schema: pa.Schema = self._file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self.rows: int | None = self._file.metadata.num_rows

    def token_count(self, column: str) -> int | None:
        """Return the values the footer states for `column`; a null or empty list counts one."""
        metadata = self._file.metadata
        total = 0
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for index in range(row_group.num_columns):
                chunk = row_group.column(index)
                if chunk.path_in_schema.split(".", 1)[0] == column:
                    total += chunk.num_values
        return total

    def first_other(self, column: str, accept: TypeCheck) -> str:  # noqa: ARG002 - the interface's
        """Return nothing: a Parquet column has one type."""
        return ""

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows in file order; InputDataError on a damaged page, after the good rows.

        Rows that are large by the footer's account come fewer at a time. Row groups before the
        `start`-th row are not read.
        """
        groups, row = self._groups_from(start)
        if self._tolerant:
            yield from from_row(self._group_by_group(groups, row, columns, max_rows), start - row)
            return
        try:
            for batch in from_row(self._read(groups, row, columns, max_rows), start - row):
                yield batch
                row = int(batch.numbers[-1]) + 1
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error, f" after row {row - 1}" if row else "") from error
        if row != self.rows:
            raise InputDataError(f"{self.name}: its footer states {self.rows} rows, it has {row}")

    def _group_by_group(
        self, groups: list[int], row: int, columns: Sequence[str], max_rows: int
    ) -> Iterator[RowBatch]:
        """Yield all rows; where a row group is damaged, the rest of it as faults."""
        for group in groups:
            end = row + self._file.metadata.row_group(group).num_rows
            try:
                for batch in self._read([group], row, columns, max_rows):
                    taken = batch.slice(0, min(len(batch.numbers), end - row))
                    row += len(taken.numbers)
                    yield taken
                reason = f"row group {group} has fewer rows than the footer states"
            except (pa.ArrowException, OSError) as error:
                reason = f"row group {group} is damaged: {_one_line(error)}"
            yield from self._lost(columns, row, end, Fault(reason)).pieces(max_rows)
            row = end

    def _lost(self, columns: Sequence[str], row: int, end: int, fault: Fault) -> RowBatch:
        """Return the place of rows that cannot be read."""
        schema = pa.schema([self.schema.field(name).with_nullable(True) for name in columns])
        arrays = [pa.nulls(end - row, field.type) for field in schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        faults = dict.fromkeys(range(end - row), fault)
        return RowBatch(batch, self.name, "row", np.arange(row, end), faults=faults)

    def _read(
        self, groups: list[int], row: int, columns: Sequence[str], max_rows: int
    ) -> Iterator[RowBatch]:
        names = list(columns)
        size = min(max_rows, max(1, MAX_READ_BYTES // self._row_bytes()))
        for batch in self._file.iter_batches(batch_size=size, row_groups=groups, columns=names):
            numbers = np.arange(row, row + batch.num_rows)
            yield RowBatch(batch.select(names), self.name, "row", numbers)
            row += batch.num_rows

    def _groups_from(self, start: int) -> tuple[list[int], int]:
        """Return the row groups that hold the `start`-th row and those after, and the first row."""
        metadata = self._file.metadata
        first = row = 0
        while first < metadata.num_row_groups:
            rows = metadata.row_group(first).num_rows
            if row + rows > start:
                break
            first, row = first + 1, row + rows
        return list(range(first, metadata.num_row_groups)), row

    def _row_bytes(self) -> int:
        """Return the mean size of a row in memory, all columns together."""
        metadata = self._file.metadata
        groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
        total = sum(max(0, int(group.total_byte_size)) for group in groups)
        return max(1, total // max(1, int(metadata.num_rows)))

    def _damaged(self, error: Exception, place: str = "") -> InputDataError:
        if isinstance(error, FileNotFoundError):
            return InputDataError(f"{self.name}: no such file")
        if isinstance(error, PermissionError | IsADirectoryError):
            return InputDataError(f"{self.name}: {error.strerror}")
        return InputDataError(
            f"{self.name}: not a complete Parquet file{place}: {_one_line(error)}",
            hint="write the file again; --input-format jsonl if it is JSON lines",
        )


def _one_line(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.200}"
