"""From a path to its reader."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from fnet_cli.encoding.options import InputFormat
from fnet_cli.encoding.readers.base import DamagedSource, RowSource
from fnet_cli.encoding.readers.delimited import DelimitedFile, DelimitedStream
from fnet_cli.encoding.readers.ipc import ArrowSource
from fnet_cli.encoding.readers.jsonl import JsonlFile, JsonlStream
from fnet_cli.encoding.readers.parquet import ParquetSource, SpooledParquet
from fnet_cli.encoding.readers.places import InputFile, as_file
from fnet_cli.encoding.readers.suffixes import COMPRESSED_SUFFIXES, KNOWN_SUFFIXES, format_of
from fnet_cli.encoding.readers.text import TextFile, TextStream
from fnet_cli.errors import InputDataError, UsageError

STANDARD_STREAM = "-"

_FILES: dict[InputFormat, Callable[..., RowSource]] = {
    InputFormat.PARQUET: ParquetSource,
    InputFormat.ARROW: ArrowSource,
    InputFormat.JSONL: JsonlFile,
    InputFormat.TEXT: TextFile,
    InputFormat.CSV: partial(DelimitedFile, delimiter=","),
    InputFormat.TSV: partial(DelimitedFile, delimiter="\t"),
}
# From start to end only, but for Parquet.
_STREAMS: dict[InputFormat, Callable[..., RowSource]] = {
    InputFormat.PARQUET: SpooledParquet,
    InputFormat.JSONL: JsonlStream,
    InputFormat.TEXT: TextStream,
    InputFormat.CSV: partial(DelimitedStream, delimiter=","),
    InputFormat.TSV: partial(DelimitedStream, delimiter="\t"),
}


def open_source(
    place: str | InputFile,
    forced: InputFormat | None,
    stdin: BinaryIO | None,
    *,
    tolerant: bool = False,
) -> RowSource:
    """Open one input, a path or a file; `-` is `stdin`, or the process's own where that is None.

    Without a format by force, standard input is JSON lines and a file is what its suffix says.
    Raises UsageError for an unknown suffix, and InputDataError for a file that is missing or,
    unless that is to be tolerated, damaged.
    """
    if place == STANDARD_STREAM:
        return _open_stream(forced or InputFormat.JSONL, stdin, tolerant=tolerant)
    file = as_file(place)
    file.check()
    kind = forced or format_of(file.name)
    if kind is None:
        raise UsageError(
            f"{file.name}: the suffix does not tell the format",
            hint=f"known: {', '.join(KNOWN_SUFFIXES)}, those of lines also with "
            f"{' or '.join(COMPRESSED_SUFFIXES)}; or use --input-format",
        )
    try:
        return _FILES[kind](file, tolerant=tolerant)
    except InputDataError as error:
        if not tolerant:
            raise
        return DamagedSource(file.name, str(error))


def _open_stream(kind: InputFormat, stdin: BinaryIO | None, *, tolerant: bool) -> RowSource:
    if kind not in _STREAMS:
        raise UsageError("Arrow cannot be read from standard input", hint="give a file")
    if stdin is None and sys.stdin is None:
        raise InputDataError("there is no standard input: it is closed")
    return _STREAMS[kind](stdin or sys.stdin.buffer, tolerant=tolerant)
