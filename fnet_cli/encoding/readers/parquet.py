"""Parquet input, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.constants import MAX_READ_BYTES
from fnet_cli.encoding.readers.base import RowBatch, TypeCheck, from_row
from fnet_cli.errors import InputDataError

# Pages are read in pieces of this size instead of whole column chunks, so that a file of one
# huge row group streams too.
_BUFFER_BYTES = 1 << 20


class ParquetSource:
    """A Parquet file. Raises InputDataError where its footer cannot be read."""

    def __init__(self, path: str) -> None:
        self.name = path
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
        try:
            for batch in from_row(self._read(groups, row, columns, max_rows), start - row):
                yield batch
                row = int(batch.numbers[-1]) + 1
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error, f" after row {row - 1}" if row else "") from error
        if row != self.rows:
            raise InputDataError(f"{self.name}: its footer states {self.rows} rows, it has {row}")

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
        reason = " ".join(str(error).split())
        return InputDataError(
            f"{self.name}: not a complete Parquet file{place}: {reason:.200}",
            hint="write the file again; --input-format jsonl if it is JSON lines",
        )
