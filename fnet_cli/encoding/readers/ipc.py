"""Arrow IPC input: the file format, which Feather is, and the stream format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import pyarrow as pa

from fnet_cli.encoding.readers.base import (
    MOST_ROWS_PER_BYTE,
    RowBatch,
    UniformColumns,
    checked_names,
    from_row,
)
from fnet_cli.encoding.readers.ipc_messages import FILE_MAGIC, IpcError, Stated, stated_batches
from fnet_cli.encoding.readers.places import InputFile, as_file, refuse_changed
from fnet_cli.errors import InputDataError

# Names may be no text; a file may name a column or a dictionary that is not there.
_READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, KeyError, IndexError, IpcError)
# pyarrow makes room for what a compressed buffer states, and zstd makes gigabytes of zeros out of
# kilobytes. So much is let pass as it is, and of more so much a byte: ids come nowhere near it.
_FREE_BYTES = 1 << 30
_MOST_DECOMPRESSED_PER_BYTE = 1000


class ArrowSource(UniformColumns):
    """An Arrow IPC file.

    Opening it reads what its batches state of themselves; where damage is tolerated, all of them,
    since it must be known what can be read. Raises InputDataError where it cannot be read, or
    states what cannot be. Every batch is checked before it is used: the format has no checksums,
    and offsets that are wrong would lead anywhere.
    """

    def __init__(self, place: str | InputFile, *, tolerant: bool = False) -> None:
        self._file = as_file(place)
        self.name = self._file.name
        self.schema: pa.Schema = pa.schema([])
        with self._errors(), self._opened([]) as (schema, _):
            self.schema = checked_names(schema)
        self._batch_rows: list[int] = []
        with self._up_to_damage(tolerant=tolerant), self._errors():
            self._read_stated()
        if tolerant:
            with self._up_to_damage(tolerant=True):
                self._read_what_is_good()
        self.rows: int | None = sum(self._batch_rows)

    def _read_stated(self) -> None:
        """Note the rows of the batches up to one that states what cannot be; raises IpcError."""
        rows, size = 0, self._file.stamp().size
        with self._file.opened() as file:
            for stated in stated_batches(file):
                _check(stated)
                if stated.is_dictionary:
                    continue
                rows += stated.rows
                if rows > size * MOST_ROWS_PER_BYTE:
                    raise IpcError(f"it states {rows} rows in {size} bytes")
                self._batch_rows.append(stated.rows)

    def _read_what_is_good(self) -> None:
        """Read all batches, and keep to those before the first that is damaged."""
        stated, self._batch_rows = self._batch_rows, []
        with self._errors(), self._opened([]) as (_, batches):
            for batch in islice(batches, len(stated)):
                batch.validate(full=True)
                self._batch_rows.append(batch.num_rows)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows in file order; InputDataError at a damaged batch, after the good rows."""
        yield from from_row(self._rows(columns, max_rows), start)

    def _rows(self, columns: Sequence[str], max_rows: int) -> Iterator[RowBatch]:
        names, row = list(columns), 0
        fields = [self.schema.get_field_index(name) for name in names]
        with self._errors(), self._opened(fields) as (schema, batches):
            is_other = [schema.field(name) for name in names] != [
                self.schema.field(at) for at in fields
            ]
            refuse_changed(self.name, changed=is_other)
            for rows in self._batch_rows:
                batch = next(batches, None)
                if batch is None or batch.num_rows != rows:
                    raise IpcError(f"it has no {rows} rows after row {row - 1}")
                batch.validate(full=True)
                # Not of the whole batch at once: rows without values take no room, numbers do.
                for at in range(0, rows, max_rows):
                    piece = batch.select(names).slice(at, max_rows)
                    numbers = np.arange(row + at, row + at + piece.num_rows)
                    yield RowBatch(piece, self.name, "row", numbers)
                row += rows

    @contextmanager
    def _opened(self, fields: list[int]) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """Give the schema and the batches, both with the columns at `fields`, or all without."""
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        with self._file.for_arrow() as file:
            is_file = file.read(len(FILE_MAGIC)) == FILE_MAGIC
            file.seek(0)
            opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
            with opened(file, options=options) as reader:
                count = reader.num_record_batches if is_file else 0
                batches = map(reader.get_batch, range(count)) if is_file else iter(reader)
                yield reader.schema, batches

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except MemoryError:  # one of pyarrow's, and says nothing of the file
            raise
        except _READ_ERRORS as error:
            reason = " ".join(str(error).split())
            raise InputDataError(
                f"{self.name}: not a complete Arrow IPC file: {reason:.200}"
            ) from error


def _check(stated: Stated) -> None:
    """Raise IpcError for a batch that memory cannot be trusted to."""
    if stated.rows < 0:
        raise IpcError(f"a batch states {stated.rows} rows")
    most = max(_FREE_BYTES, stated.stored * _MOST_DECOMPRESSED_PER_BYTE)
    if stated.decompressed > most:
        raise IpcError(f"{stated.stored} bytes are stated to be {stated.decompressed}, compressed")
