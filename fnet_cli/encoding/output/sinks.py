"""Files and streams of rows that grow: Parquet part by part, JSON lines line by line."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.constants import EMBEDDING_COLUMN, MAX_ROW_GROUP_BYTES
from fnet_cli.encoding.options import OutputFormat
from fnet_cli.encoding.output.parquet_parts import JoinedFooter, footers_in
from fnet_cli.encoding.output.target import OutputTarget, output_errors
from fnet_cli.files import Replacement


class Sink(Protocol):
    """An open output."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""

    def close(self) -> int:
        """Finish the output and return how many rows it holds."""


class FileSink(Sink, Protocol):
    """A file that grows. `ends` has the byte at which each part of it ends."""

    ends: list[int]

    @property
    def is_settled(self) -> bool:
        """Whether all rows that were written are in the file's parts, and none waits."""

    def settle(self) -> None:
        """Put the rows that wait into a part of their own."""


@contextmanager
def open_sink(target: OutputTarget, stdout: BinaryIO | None) -> Iterator[Sink]:
    """Open the output; on a clean exit a file takes its final name, otherwise nothing stays.

    Raises OutputError; BrokenPipeError passes, for it says that the reader is gone.
    """
    if target.path is None:
        yield JsonlSink(stdout or sys.stdout.buffer, target.vectors)
        return
    replacement = Replacement(target.path)
    try:
        with output_errors(target.path):
            replacement.create()
            file = replacement.temporary.open("r+b")
        with file:
            yield file_sink(file, target)
        with output_errors(target.path):
            replacement.publish()
    finally:
        replacement.discard()


def file_sink(
    file: BinaryIO, target: OutputTarget, ends: Sequence[int] = (), rows: int = 0
) -> FileSink:
    """Return the sink that appends to `file`, which has `rows` rows in the parts at `ends`.

    Raises ThriftError where they are no parts of such a file.
    """
    sink: FileSink
    if target.format is OutputFormat.JSONL:
        sink = JsonlFileSink(file, target, ends, rows)
    else:
        sink = ParquetSink(file, target, ends)
    file.seek(sink.ends[-1] if sink.ends else 0)
    return sink


class ParquetSink:
    """A Parquet file, appended part by part.

    Rows wait until they fill a row group: many tiny ones read slowly.
    """

    def __init__(self, file: BinaryIO, target: OutputTarget, ends: Sequence[int] = ()) -> None:
        self.ends = list(ends)
        self._file, self._target = file, target
        self._footer = JoinedFooter()
        for start, footer in zip([0, *ends], footers_in(file, self.ends), strict=False):
            self._footer.add(footer, start)
        self._waiting: list[pa.RecordBatch] = []
        # Kept, not counted at each write: of thousands of small files, thousands of batches wait.
        self._rows = self._bytes = 0

    @property
    def is_settled(self) -> bool:
        """Whether no row waits to fill a row group."""
        return not self._waiting

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= self._target.row_group_rows or self._bytes >= MAX_ROW_GROUP_BYTES:
            self._write_part()

    def settle(self) -> None:
        """Write what waits as a row group, however small."""
        if self._waiting:
            self._write_part()

    def _write_part(self) -> None:
        """Append what waits, as a file of one row group or, where nothing waits, of none."""
        start = self.ends[-1] if self.ends else 0
        with output_errors(self._target.path):
            part = _Appended(self._file)
            _write_parquet(part, self._waiting, self._target)
            self._file.flush()
            end = start + part.tell()
            (footer,) = footers_in(self._file, [end])
            self._file.seek(end)
        self._footer.add(footer, start)
        self.ends.append(end)
        self._waiting = []
        self._rows = self._bytes = 0

    def close(self) -> int:
        """Write what waits and the footer, then count the rows in it as a reader would."""
        if self._waiting or not self.ends:
            self._write_part()
        with output_errors(self._target.path):
            self._file.write(self._footer.dump())
            self._file.flush()
            return int(pq.read_metadata(self._file).num_rows)


class _Appended:
    """What is written behind an open file's bytes, as a file of its own for pyarrow.

    So a row group goes to the disk page by page, and is not held in memory a second time.
    """

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = 0

    def write(self, data: bytes) -> int:
        """Append bytes."""
        self._file.write(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def flush(self) -> None:
        """Leave that to who opened the file."""

    def close(self) -> None:
        """Leave that to them, too."""


def _write_parquet(
    stream: _Appended, batches: Sequence[pa.RecordBatch], target: OutputTarget
) -> None:
    """Write a Parquet file, its rows in one row group."""
    # Embeddings do not repeat: a dictionary and min/max of them only cost time and space.
    others = [name for name in target.schema.names if name != target.vectors]
    with pq.ParquetWriter(
        stream,
        target.schema,
        compression=target.compression.value,
        use_dictionary=others or False,
        write_statistics=others or False,
        write_page_checksum=True,
    ) as writer:
        if batches:
            table = pa.Table.from_batches(batches)
            writer.write_table(table, row_group_size=max(1, table.num_rows))


class JsonlSink:
    """JSON lines on a binary stream; an embedding, in column `vectors`, is a list of numbers."""

    def __init__(self, stream: BinaryIO, vectors: str | None = EMBEDDING_COLUMN) -> None:
        self._stream = stream
        self._vectors = vectors
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows, one line each."""
        others = [name for name in batch.schema.names if name != self._vectors]
        rows = batch.select(others).to_pylist() if others else [{}] * batch.num_rows
        if self._vectors is not None:
            vectors = row_vectors(batch.column(self._vectors))
            rows = [
                {**row, self._vectors: vector} for row, vector in zip(rows, vectors, strict=True)
            ]
        for row in rows:
            line = orjson.dumps(
                row,
                default=plain_json,
                option=orjson.OPT_SERIALIZE_NUMPY
                | orjson.OPT_NON_STR_KEYS
                | orjson.OPT_APPEND_NEWLINE,
            )
            self._stream.write(line)
            self._rows += 1

    def close(self) -> int:
        """Flush, and return the lines written."""
        self._stream.flush()
        return self._rows


class JsonlFileSink:
    """A JSON lines file, of which each batch of rows is a part."""

    def __init__(
        self, file: BinaryIO, target: OutputTarget, ends: Sequence[int] = (), rows: int = 0
    ) -> None:
        self.ends = list(ends)
        self._file, self._name, self._rows_before = file, target.path, rows
        self._lines = JsonlSink(file, target.vectors)

    @property
    def is_settled(self) -> bool:
        """Whether no row waits: none does."""
        return True

    def settle(self) -> None:
        """Nothing waits."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows, one line each."""
        with output_errors(self._name):
            self._lines.write(batch)
            self._file.flush()
            self.ends.append(self._file.tell())

    def close(self) -> int:
        """Write what is buffered, and return the lines in the file."""
        with output_errors(self._name):
            return self._rows_before + self._lines.close()


def row_vectors(column: pa.Array) -> Iterator[np.ndarray]:
    """Yield each row's embedding: (H,), or (S, H) where a row has a vector a token."""
    if pa.types.is_fixed_size_list(column.type):
        yield from column.flatten().to_numpy().reshape(len(column), -1)
        return
    dim = column.type.value_type.list_size
    flat = column.flatten().flatten().to_numpy().reshape(-1, dim)
    offsets = column.offsets.to_numpy()
    yield from np.split(flat, (offsets - offsets[0])[1:-1])


def plain_json(value: object) -> Any:
    """Return what JSON can hold in place of bytes, decimals and durations."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)
