"""From a path to its reader."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from fnet_cli.encoding.options import FileFormat
from fnet_cli.encoding.readers.base import RowSource
from fnet_cli.encoding.readers.jsonl import JsonlFile, JsonlStream
from fnet_cli.encoding.readers.parquet import ParquetSource
from fnet_cli.errors import InputDataError, UsageError

STANDARD_STREAM = "-"

_SUFFIXES = {
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
}
_COMPRESSED = (".gz", ".zst")


def format_of(path: str) -> FileFormat | None:
    """Return the format that a file name's suffix says, or None."""
    name = Path(path)
    if name.suffix.lower() in _COMPRESSED:
        inner = _SUFFIXES.get(Path(name.stem).suffix.lower())
        return inner if inner is FileFormat.JSONL else None
    return _SUFFIXES.get(name.suffix.lower())


def open_source(path: str, forced: FileFormat | None, stdin: BinaryIO | None) -> RowSource:
    """Open one input; `-` is JSON lines on `stdin`, or on the process's own where that is None.

    Raises UsageError for an unknown suffix, and InputDataError for a file that is missing or
    damaged.
    """
    if path == STANDARD_STREAM:
        if forced is FileFormat.PARQUET:
            raise UsageError("Parquet cannot be read from standard input", hint="give a file")
        return JsonlStream(stdin or sys.stdin.buffer)
    if not Path(path).exists():
        raise InputDataError(f"{path}: no such file")
    if Path(path).is_dir():
        raise InputDataError(f"{path}: is a directory", hint="name the files in it")
    kind = forced or format_of(path)
    if kind is None:
        raise UsageError(
            f"{path}: the suffix does not tell the format",
            hint=f"known: {', '.join(_SUFFIXES)}, .jsonl.gz, .jsonl.zst; or use --input-format",
        )
    return ParquetSource(path) if kind is FileFormat.PARQUET else JsonlFile(path)
