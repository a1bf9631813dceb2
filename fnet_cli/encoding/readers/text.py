"""Plain text input: a row a line, plain, gzip or zstd, from a file or standard input.

A line ends in a line feed, or in a carriage return and a line feed; nothing else ends one, so that
line numbers are those of `sed` and `grep -n`. An empty line is a row with an empty string.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.constants import TEXT_COLUMN
from fnet_cli.encoding.readers.base import Fault, RowBatch, UniformColumns, from_row
from fnet_cli.encoding.readers.lines import (
    STDIN_NAME,
    LineBlock,
    MarkedLines,
    fault_of,
    printable,
    stream_blocks,
)
from fnet_cli.encoding.readers.places import InputFile, as_file
from fnet_cli.errors import InputDataError

_SCHEMA = pa.schema([(TEXT_COLUMN, pa.string())])


class TextFile(UniformColumns):
    """A text file. Opening it reads it once, for its row count and its first invalid byte.

    Raises InputDataError naming the line.
    """

    def __init__(self, place: str | InputFile, *, tolerant: bool = False) -> None:
        self._file = as_file(place)
        self.name = self._file.name
        self.schema = _SCHEMA
        self.rows: int | None = 0
        self._tolerant = tolerant
        self._lines = MarkedLines(self._file)
        with self._up_to_damage(tolerant=tolerant):
            for block in self._lines.blocks(lambda: self.rows or 0):
                block.text(tolerant=tolerant)
                self.rows += block.count

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the lines in file order."""
        if start == self.rows:
            return
        blocks, start = self._lines.from_row(start)
        with self._up_to_damage(tolerant=self._tolerant):
            rows = _batches(blocks, columns, max_rows, tolerant=self._tolerant)
            yield from from_row(rows, start)


class TextStream(UniformColumns):
    """Text on a stream that can be read only once, such as standard input."""

    def __init__(self, stream: BinaryIO, name: str = STDIN_NAME, *, tolerant: bool = False) -> None:
        self.name = name
        self.schema = _SCHEMA
        self.rows: int | None = None
        self._tolerant = tolerant
        self._blocks = stream_blocks(stream, name)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the lines as they arrive; InputDataError on one that is not UTF-8."""
        rows = _batches(self._blocks, columns, max_rows, tolerant=self._tolerant)
        return from_row(rows, start)


def _batches(
    blocks: Iterator[LineBlock], columns: Sequence[str], max_rows: int, *, tolerant: bool
) -> Iterator[RowBatch]:
    schema = pa.schema([_SCHEMA.field(name) for name in columns])
    for block in blocks:
        lines, faults = _lines(block, tolerant=tolerant)
        batch = pa.RecordBatch.from_arrays([lines for _ in schema], schema=schema)
        numbers = np.arange(block.first, block.first + block.count)
        yield from RowBatch(batch, block.name, "line", numbers, faults=faults).pieces(max_rows)


def _lines(block: LineBlock, *, tolerant: bool) -> tuple[pa.StringArray, dict[int, Fault]]:
    """Return the lines without their ends, split by Arrow: no Python object a line."""
    try:
        block.text()
    except InputDataError:
        if not tolerant:
            raise
        return _decoded_singly(block)
    data = block.data.replace(b"\r\n", b"\n")
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    whole = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))
    # What follows the last line feed is no line.
    return pc.split_pattern(whole, "\n").flatten()[: block.count], {}


def _decoded_singly(block: LineBlock) -> tuple[pa.StringArray, dict[int, Fault]]:
    """Return the lines, those that are not UTF-8 empty and with a fault."""
    lines = block.text(tolerant=True).replace("\r\n", "\n").split("\n")[: block.count]
    faults = {}
    for index, line in enumerate(lines):
        if reason := fault_of(line):
            lines[index], faults[index] = "", Fault(reason, printable(line))
    return pa.array(lines, pa.string()), faults
