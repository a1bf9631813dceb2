"""Where rows are to go, and what can be refused before any are made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fnet_cli.constants import EMBEDDING_COLUMN
from fnet_cli.encoding.options import Compression, OutputFormat
from fnet_cli.encoding.output.places import Place
from fnet_cli.errors import IntegrityError, OutputError
from fnet_cli.units import show_bytes

REJECTED_SUFFIX = ".rejected.jsonl"
_SUFFIXES = {
    ".parquet": OutputFormat.PARQUET,
    ".pq": OutputFormat.PARQUET,
    ".jsonl": OutputFormat.JSONL,
    ".ndjson": OutputFormat.JSONL,
}


@dataclass(frozen=True)
class OutputTarget:
    """Where and how to write. `path` is None for the standard output stream.

    With a `place`, the output is a directory of parts there. `row_group_rows` is the least that a
    Parquet row group holds, but for the last, unless its rows are large. `vectors` is the column
    that holds embeddings, None where none does. Rows that are rejected go to the file `rejected`,
    or nowhere; those of parts beside the directory.
    """

    path: Path | None
    format: OutputFormat
    compression: Compression
    schema: pa.Schema
    row_group_rows: int
    vectors: str | None = EMBEDDING_COLUMN
    rejected: Path | None = None
    place: Place | None = None

    @property
    def is_stream(self) -> bool:
        """Whether rows go to standard output."""
        return self.path is None and self.place is None


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
    _check_writable(path.parent)
    return path


def directory_path(text: str) -> Path:
    """Return the directory that `text` names, links followed: one that can be made, or is there.

    Raises OutputError where it is no directory, or none can be made.
    """
    path = Path(os.path.realpath(text))
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is not a directory", hint="leave the slash out for a file")
    _check_writable(path if path.is_dir() else path.parent)
    return path


def _check_writable(directory: Path) -> None:
    if not directory.is_dir():
        raise OutputError(f"there is no directory {directory}", hint="create it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(f"{directory} is not writable")


def rejected_path(output: Path) -> Path:
    """Return where rows are written that an output has no place for."""
    return output.with_name(output.name + REJECTED_SUFFIX)


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
def output_errors(path: Path | None) -> Iterator[None]:
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


def check_counts(rows_in: int, rows_out: int, rows_rejected: int) -> None:
    """Raise IntegrityError unless every row that came in went out or was rejected."""
    if rows_in != rows_out + rows_rejected:
        raise IntegrityError(
            f"{rows_in:,} rows came in, {rows_out:,} went out and {rows_rejected:,} were rejected",
            hint="the output was not kept; an input may have changed while it was read",
        )
