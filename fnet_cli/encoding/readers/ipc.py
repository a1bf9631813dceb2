"""Arrow IPC input: the file format, which Feather is, and the stream format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from fnet_cli.encoding.readers.base import RowBatch, UniformColumns, from_row
from fnet_cli.errors import InputDataError

_FILE_MAGIC = b"ARROW1"
# Names may be no text; a file may name a column or a dictionary that is not there.
_READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, KeyError, IndexError)


class ArrowSource(UniformColumns):
    """An Arrow IPC file.

    Opening it reads its first column through, for its row count, or all where damage is tolerated.
    Raises InputDataError where it cannot be read. Every batch is checked before it is used: the
    format has no checksums, and offsets that are wrong would lead anywhere.
    """

    def __init__(self, path: str, *, tolerant: bool = False) -> None:
        self.name = path
        self._tolerant = tolerant
        self.schema = pa.schema([])
        self.rows: int | None = 0
        with self._errors(), self._opened([]) as (schema, _):
            if len(schema.names) > 0:  # reads the names, which may be no text
                self.schema = schema
        with (
            self._up_to_damage(tolerant=tolerant),
            self._errors(),
            # What is damaged must be found here, where it is tolerated.
            self._opened([] if tolerant else [0]) as (_, batches),
        ):
            for batch in batches:
                if tolerant:
                    batch.validate(full=True)
                self.rows += batch.num_rows

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows in file order; InputDataError at a damaged batch, after the good rows."""
        yield from from_row(self._rows(columns, max_rows), start)

    def _rows(self, columns: Sequence[str], max_rows: int) -> Iterator[RowBatch]:
        names, row = list(columns), 0
        fields = [self.schema.get_field_index(name) for name in names]
        with self._errors(), self._opened(fields) as (schema, batches):
            if [schema.field(name) for name in names] != [self.schema.field(at) for at in fields]:
                raise InputDataError(f"{self.name}: it changed while it was read")
            for batch in batches:
                if row == self.rows:  # what is behind has a damaged column
                    return
                batch.validate(full=True)
                numbers = np.arange(row, row + batch.num_rows)
                row += batch.num_rows
                rows = RowBatch(batch.select(names), self.name, "row", numbers)
                yield from rows.pieces(max_rows)

    @contextmanager
    def _opened(self, fields: list[int]) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """Give the schema and the batches, both with the columns at `fields`, or all without."""
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        # Not Python's file: it would make room for whatever length a header states.
        with pa.OSFile(self.name) as file:
            is_file = file.read(len(_FILE_MAGIC)) == _FILE_MAGIC
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
        except _READ_ERRORS as error:
            reason = " ".join(str(error).split())
            raise InputDataError(
                f"{self.name}: not a complete Arrow IPC file: {reason:.200}"
            ) from error
