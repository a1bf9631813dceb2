"""Parquet input, read row group by row group."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.constants import MAX_READ_BYTES, MAX_WINDOW_ROWS
from fnet_cli.encoding.output.parquet_parts import footers_in, values_in
from fnet_cli.encoding.output.thrift_compact import ThriftError
from fnet_cli.encoding.readers.base import (
    MOST_ROWS_PER_BYTE,
    Fault,
    Readable,
    RowBatch,
    TypeCheck,
    checked_names,
    from_row,
)
from fnet_cli.encoding.readers.lines import STDIN_NAME
from fnet_cli.encoding.readers.places import InputFile, as_file, refuse_changed
from fnet_cli.errors import InputDataError, OutputError

# Pages are read in pieces of this size instead of whole column chunks, so that a file of one
# huge row group streams too.
_BUFFER_BYTES = 1 << 20
_MOST_FOOTER_BYTES = 1 << 20  # parsed in Python, in about a second
# The last: names in a footer may be no text.
# MemoryError, which one of pyarrow's is, says nothing of the file.
_READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)


class ParquetSource(Readable):
    """A Parquet file. Raises InputDataError where its footer cannot be read, or contradicts itself.

    It is open only while it is read: a job may have more files than a process may open.
    """

    def __init__(self, place: str | InputFile, *, name: str = "", tolerant: bool = False) -> None:
        self._file = as_file(place)
        self.name = name or self._file.name
        self._tolerant = tolerant
        with self._opened() as file:
            metadata = file.metadata
            self.schema: pa.Schema = checked_names(file.schema_arrow)
            self.rows: int | None = metadata.num_rows
            groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
            self._group_rows = [int(group.num_rows) for group in groups]
            self.row_ends = list(accumulate(self._group_rows))
            self._bytes = sum(max(0, int(group.total_byte_size)) for group in groups)
        self._check_rows(metadata.num_rows)

    @property
    def row_groups(self) -> int:
        """How many row groups the footer states."""
        return len(self._group_rows)

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with self._file.for_arrow() as opened:
                yield pq.ParquetFile(
                    opened,
                    buffer_size=_BUFFER_BYTES,
                    pre_buffer=False,
                    page_checksum_verification=True,  # where the writer stored them
                )
        except MemoryError:
            raise
        except _READ_ERRORS as error:
            raise self._damaged(error) from error

    def _check_rows(self, rows: int) -> None:
        """Raise InputDataError for numbers of rows that cannot be."""
        size = self._file.stamp().size
        if min(self._group_rows, default=0) < 0 or sum(self._group_rows) != rows:
            reason = f"its footer states {rows} rows, its row groups {sum(self._group_rows)}"
        elif rows > size * MOST_ROWS_PER_BYTE:
            reason = f"its footer states {rows} rows in {size} bytes"
        else:
            return
        raise InputDataError(f"{self.name}: not a complete Parquet file: {reason}")

    def token_count(self, column: str) -> int | None:
        """Return the values the footer states for `column`; a null or empty list counts one.

        None where the footer is too long to be looked through.
        """
        try:
            with self._file.opened() as file:
                end = file.seek(0, os.SEEK_END)
                (footer,) = footers_in(file, [end])
            if len(footer) > _MOST_FOOTER_BYTES:
                return None
            values = values_in(footer, column)
        except (ThriftError, OSError) as error:
            raise self._damaged(error) from error
        if not 0 <= values <= end * MOST_ROWS_PER_BYTE:
            reason = ValueError(f"its footer states {values} values of {column} in {end} bytes")
            raise self._damaged(reason)
        return values

    def first_other(self, column: str, accept: TypeCheck) -> str:  # noqa: ARG002 - the interface's
        """Return nothing: a Parquet column has one type."""
        return ""

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows in file order; InputDataError on a damaged page, after the good rows.

        Rows that are large by the footer's account come fewer at a time. Row groups before the
        `start`-th row are not read.
        """
        groups, row = self._groups_from(start)
        with self._opened() as file:
            is_other = file.metadata.num_rows != self.rows or file.schema_arrow != self.schema
            refuse_changed(self.name, changed=is_other)
            reading = _Reading(file, self.name, list(columns), self._batch_rows(max_rows))
            rows = self._in_one(reading, groups, row)
            if self._tolerant:
                rows = self._group_by_group(reading, groups, row)
            yield from from_row(rows, start - row)

    def batches_with(
        self, columns: Sequence[str], max_rows: int, rows: np.ndarray
    ) -> Iterator[RowBatch]:
        """Yield the row groups that hold any of the `rows`, (N,) in order, and read no other."""
        starts = [0, *self.row_ends]
        wanted = np.unique(np.searchsorted(self.row_ends, rows, side="right")).tolist()
        with self._opened() as file:
            reading = _Reading(file, self.name, list(columns), self._batch_rows(max_rows))
            for group in wanted:
                try:
                    yield from reading.rows_of([group], starts[group])
                except _READ_ERRORS as error:
                    raise self._damaged(error, f" in row group {group}") from error

    def _in_one(self, reading: _Reading, groups: list[int], row: int) -> Iterator[RowBatch]:
        """Yield all rows, up to what is damaged."""
        try:
            for batch in reading.rows_of(groups, row):
                yield batch
                row += len(batch.numbers)
        except MemoryError:
            raise
        except _READ_ERRORS as error:
            raise self._damaged(error, f" after row {row - 1}" if row else "") from error
        if row != self.rows:
            raise InputDataError(f"{self.name}: its footer states {self.rows} rows, it has {row}")

    def _group_by_group(self, reading: _Reading, groups: list[int], row: int) -> Iterator[RowBatch]:
        """Yield all rows; where a row group is damaged, the rest of it as faults."""
        for group in groups:
            end = row + self._group_rows[group]
            try:
                for batch in reading.rows_of([group], row):
                    taken = batch.slice(0, min(len(batch.numbers), end - row))
                    row += len(taken.numbers)
                    yield taken
                fault = Fault(f"row group {group} has fewer rows than the footer states")
            except MemoryError:
                raise
            except _READ_ERRORS as error:
                fault = Fault(f"row group {group} is damaged: {_one_line(error)}")
            for first in range(row, end, MAX_WINDOW_ROWS):
                yield self._lost(reading.columns, first, min(first + MAX_WINDOW_ROWS, end), fault)
            row = end

    def _lost(self, columns: Sequence[str], row: int, end: int, fault: Fault) -> RowBatch:
        """Return the place of rows that cannot be read."""
        schema = pa.schema([self.schema.field(name).with_nullable(True) for name in columns])
        arrays = [pa.nulls(end - row, field.type) for field in schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        faults = dict.fromkeys(range(end - row), fault)
        return RowBatch(batch, self.name, "row", np.arange(row, end), faults=faults)

    def _groups_from(self, start: int) -> tuple[list[int], int]:
        """Return the row groups that hold the `start`-th row and those after, and the first row."""
        first = row = 0
        while first < len(self._group_rows) and row + self._group_rows[first] <= start:
            row += self._group_rows[first]
            first += 1
        return list(range(first, len(self._group_rows))), row

    def _batch_rows(self, max_rows: int) -> int:
        """Return how many rows of the mean size, all columns together, are read at a time."""
        row_bytes = max(1, self._bytes // max(1, self.rows or 0))
        return min(max_rows, max(1, MAX_READ_BYTES // row_bytes))

    def _damaged(self, error: Exception, place: str = "") -> InputDataError:
        if isinstance(error, FileNotFoundError):
            return InputDataError(f"{self.name}: no such file")
        if isinstance(error, PermissionError | IsADirectoryError):
            return InputDataError(f"{self.name}: {error.strerror}")
        return InputDataError(
            f"{self.name}: not a complete Parquet file{place}: {_one_line(error)}",
            hint="write the file again; --input-format jsonl if it is JSON lines",
        )


class SpooledParquet(ParquetSource):
    """Parquet on a stream: it must be read from its end, so it is copied to a file without a name.

    Raises OutputError where the directory of temporary files cannot take it.
    """

    def __init__(self, stream: BinaryIO, name: str = STDIN_NAME, *, tolerant: bool = False) -> None:
        try:
            # Open as long as this object is there; gone when the process is, however it ends.
            spool = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, spool.close)
            shutil.copyfileobj(stream, spool, _BUFFER_BYTES)
            spool.flush()
        except OSError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: {error.strerror}: Parquet on standard input is copied "
                "there to be read",
                hint="name another directory with TMPDIR, or give the input as a file",
            ) from error
        super().__init__(f"/dev/fd/{spool.fileno()}", name=name, tolerant=tolerant)


@dataclass(frozen=True)
class _Reading:
    """How an open file is read."""

    file: pq.ParquetFile
    name: str
    columns: list[str]
    batch_rows: int

    def rows_of(self, groups: list[int], row: int) -> Iterator[RowBatch]:
        """Yield the rows of row groups, the first of which is the `row`-th of the file."""
        for batch in self.file.iter_batches(
            batch_size=self.batch_rows, row_groups=groups, columns=self.columns
        ):
            numbers = np.arange(row, row + batch.num_rows)
            yield RowBatch(batch.select(self.columns), self.name, "row", numbers)
            row += batch.num_rows


def _one_line(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.200}"
