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
from fnet_cli.encoding.readers.base import RowBatch, UniformColumns, from_row
from fnet_cli.encoding.readers.lines import STDIN_NAME, LineBlock, file_blocks, stream_blocks

_SCHEMA = pa.schema([(TEXT_COLUMN, pa.string())])


class TextFile(UniformColumns):
    """A text file. Opening it reads it once, for its row count and its first invalid byte.

    Raises InputDataError naming the line.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        self.schema = _SCHEMA
        self.rows: int | None = 0
        for block in file_blocks(path):
            block.text()
            self.rows += block.count

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the lines in file order."""
        blocks = file_blocks(self.name) if start != self.rows else iter(())
        return from_row(_batches(blocks, columns, max_rows), start)


class TextStream(UniformColumns):
    """Text on a stream that can be read only once, such as standard input."""

    def __init__(self, stream: BinaryIO, name: str = STDIN_NAME) -> None:
        self.name = name
        self.schema = _SCHEMA
        self.rows: int | None = None
        self._blocks = stream_blocks(stream, name)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the lines as they arrive; InputDataError on one that is not UTF-8."""
        return from_row(_batches(self._blocks, columns, max_rows), start)


def _batches(
    blocks: Iterator[LineBlock], columns: Sequence[str], max_rows: int
) -> Iterator[RowBatch]:
    schema = pa.schema([_SCHEMA.field(name) for name in columns])
    for block in blocks:
        arrays = [_lines(block) for _ in schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        numbers = np.arange(block.first, block.first + block.count)
        yield from RowBatch(batch, block.name, "line", numbers).pieces(max_rows)


def _lines(block: LineBlock) -> pa.StringArray:
    """Return the lines without their ends, split by Arrow: no Python object a line."""
    block.text()
    data = block.data.replace(b"\r\n", b"\n")
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    whole = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))
    # What follows the last line feed is no line.
    return pc.split_pattern(whole, "\n").flatten()[: block.count]
