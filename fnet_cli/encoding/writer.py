"""Where encoded rows go: a Parquet or JSON lines file, or JSON lines on a stream."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.constants import EMBEDDING_COLUMN, MAX_ROW_GROUP_BYTES
from fnet_cli.encoding.options import Compression, OutputFormat
from fnet_cli.errors import IntegrityError, OutputError
from fnet_cli.files import Replacement
from fnet_cli.units import show_bytes

_SUFFIXES = {
    ".parquet": OutputFormat.PARQUET,
    ".pq": OutputFormat.PARQUET,
    ".jsonl": OutputFormat.JSONL,
    ".ndjson": OutputFormat.JSONL,
}


class Sink(Protocol):
    """An open output."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""

    def close(self) -> int:
        """Finish the output and return how many rows it holds."""


@dataclass(frozen=True)
class OutputTarget:
    """Where and how to write. `path` is None for the standard output stream.

    `row_group_rows` is the least that a Parquet row group holds, but for the last, unless its
    rows are large. `vectors` is the column that holds embeddings, None where none does.
    """

    path: Path | None
    format: OutputFormat
    compression: Compression
    schema: pa.Schema
    row_group_rows: int
    vectors: str | None = EMBEDDING_COLUMN


def output_format_of(path: str) -> OutputFormat | None:
    """Return the format that a file name's suffix says, or None: no output is compressed whole."""
    return _SUFFIXES.get(Path(path).suffix.lower())


def output_path(text: str, *, overwrite: bool) -> Path:
    """Return the file that `text` names, links followed, after checking that it may be written.

    Raises OutputError where it exists and may not be replaced, is not a regular file, or its
    directory is missing or read-only.
    """
    path = Path(os.path.realpath(text))
    if path.exists() and not path.is_file():
        raise OutputError(
            f"{text} is not a regular file", hint="name a file, or - for standard output"
        )
    if path.exists() and not overwrite:
        raise OutputError(f"{text} exists", hint="--overwrite replaces it")
    if not path.parent.is_dir():
        raise OutputError(f"there is no directory {path.parent}", hint="create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent} is not writable")
    return path


def free_bytes(path: Path) -> int:
    """Return the bytes that can still be written beside `path`."""
    return shutil.disk_usage(path.parent).free


def check_space(path: Path, expected: int) -> None:
    """Raise OutputError where the disk cannot take `expected` bytes."""
    free = free_bytes(path)
    if expected > free:
        raise OutputError(
            f"{path.parent} has {show_bytes(free)} free, the embeddings take "
            f"{show_bytes(expected)}",
            hint="free some space, write elsewhere, or use --output-dtype float16",
        )


@contextmanager
def open_sink(target: OutputTarget, stdout: BinaryIO | None) -> Iterator[Sink]:
    """Open the output; on a clean exit a file takes its final name, otherwise nothing stays.

    Raises OutputError; BrokenPipeError passes, for it says that the reader is gone.
    """
    if target.path is None:
        yield JsonlSink(stdout or sys.stdout.buffer, target.vectors)
        return
    replacement = Replacement(target.path)
    sink: ParquetSink | JsonlFileSink | None = None
    try:
        with _output_errors(target.path):
            replacement.create()
            opener = JsonlFileSink if target.format is OutputFormat.JSONL else ParquetSink
            sink = opener(replacement.temporary, target)
        yield sink
        with _output_errors(target.path):
            replacement.publish()
    finally:
        if sink is not None:
            sink.abandon()
        replacement.discard()


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    """Turn what the file system or the format refuses into OutputError."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(f"{path}: {reason}") from error
    except pa.ArrowNotImplementedError as error:
        raise OutputError(
            f"{path}: Parquet cannot hold the input's columns: {error}",
            hint="leave the column out with --columns",
        ) from error


class ParquetSink:
    """A Parquet file. Rows wait until they fill a row group: many tiny ones read slowly."""

    def __init__(self, path: Path, target: OutputTarget) -> None:
        self._path = path
        self._name = target.path or path
        # Embeddings do not repeat: a dictionary and min/max of them only cost time and space.
        others = [name for name in target.schema.names if name != target.vectors]
        self._writer = pq.ParquetWriter(
            path,
            target.schema,
            compression=target.compression.value,
            use_dictionary=others or False,
            write_statistics=others or False,
            write_page_checksum=True,
        )
        self._row_group_rows = target.row_group_rows
        self._waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._waiting.append(batch)
        rows = sum(waiting.num_rows for waiting in self._waiting)
        size = sum(waiting.nbytes for waiting in self._waiting)
        if rows >= self._row_group_rows or size >= MAX_ROW_GROUP_BYTES:
            self._write_row_group()

    def _write_row_group(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._waiting.clear()
            with _output_errors(self._name):
                self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> int:
        """Write what waits and the footer, then count the rows in it as a reader would."""
        self._write_row_group()
        with _output_errors(self._name):
            self._writer.close()
            return int(pq.read_metadata(self._path).num_rows)

    def abandon(self) -> None:
        """Let the file go without complaint; harmless after `close`."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()


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
            vectors = _vectors(batch.column(self._vectors))
            rows = [
                {**row, self._vectors: vector} for row, vector in zip(rows, vectors, strict=True)
            ]
        for row in rows:
            line = orjson.dumps(
                row,
                default=_plain,
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
    """A JSON lines file."""

    def __init__(self, path: Path, target: OutputTarget) -> None:
        self._name = target.path or path
        self._file = path.open("wb")
        self._lines = JsonlSink(self._file, target.vectors)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows, one line each."""
        with _output_errors(self._name):
            self._lines.write(batch)

    def close(self) -> int:
        """Write what is buffered, and return the lines written."""
        with _output_errors(self._name):
            rows = self._lines.close()
            self._file.close()
            return rows

    def abandon(self) -> None:
        """Let the file go without complaint; harmless after `close`."""
        with suppress(OSError):
            self._file.close()


def _vectors(column: pa.Array) -> Iterator[np.ndarray]:
    """Yield each row's embedding: (H,), or (S, H) where a row has a vector a token."""
    if pa.types.is_fixed_size_list(column.type):
        yield from column.flatten().to_numpy().reshape(len(column), -1)
        return
    dim = column.type.value_type.list_size
    flat = column.flatten().flatten().to_numpy().reshape(-1, dim)
    offsets = column.offsets.to_numpy()
    yield from np.split(flat, (offsets - offsets[0])[1:-1])


def _plain(value: object) -> Any:
    """Return what JSON can hold in place of bytes, decimals and durations."""
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode("ascii")
    return str(value)


def check_counts(rows_in: int, rows_out: int, rows_rejected: int) -> None:
    """Raise IntegrityError unless every row that came in went out or was rejected."""
    if rows_in != rows_out + rows_rejected:
        raise IntegrityError(
            f"{rows_in:,} rows came in, {rows_out:,} went out and {rows_rejected:,} were rejected",
            hint="the output was not kept; an input may have changed while it was read",
        )
