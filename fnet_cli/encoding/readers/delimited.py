"""CSV and TSV input: plain, gzip or zstd, from a file or standard input.

Quoting is RFC 4180's, whatever the delimiter: a field that starts with a quote ends with one, may
hold delimiters and line breaks, and doubles its quotes. The first record names the columns. Every
value stays the text that it is: nothing becomes a number, a date or a null. A blank line is no
row, except in a file of one column, where it is an empty field.

Parsed with Python's csv module, not pyarrow.csv: that one, in version 26, takes a quote that is
never closed for the end of a field, and does not say on which line a record stands.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from fnet_cli.constants import MAX_RECORD_BYTES, MAX_RECORDS_PARSED
from fnet_cli.encoding.readers.base import Fault, RowBatch, UniformColumns, from_row
from fnet_cli.encoding.readers.lines import (
    STDIN_NAME,
    UTF8_HINT,
    LineBlock,
    fault_of,
    file_blocks,
    printable,
    stream_blocks,
)
from fnet_cli.encoding.readers.places import InputFile, as_file
from fnet_cli.errors import InputDataError

# For one line of great length: records of many lines meet the bound on records before.
_FIELD_LIMIT = 2 * MAX_RECORD_BYTES
_QUOTING_HINT = (
    "a field with a delimiter, a quote or a line break in it stands in quotes, with its quotes "
    "doubled"
)


class DelimitedFile(UniformColumns):
    """A CSV or TSV file. Opening it reads it once, for its row count and its first bad record.

    Raises InputDataError naming the line on which the record starts.
    """

    def __init__(self, place: str | InputFile, delimiter: str, *, tolerant: bool = False) -> None:
        self._file = as_file(place)
        self.name = self._file.name
        self._delimiter, self._tolerant = delimiter, tolerant
        records = self._records()
        self.schema = records.schema
        self.rows: int | None = 0
        with self._up_to_damage(tolerant=tolerant):
            for chunk in records.chunks():
                self.rows += len(chunk.rows)

    def _records(self) -> _Records:
        return _Records(
            file_blocks(self._file), self.name, self._delimiter, tolerant=self._tolerant
        )

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the records in file order."""
        if start == self.rows:
            return
        records = self._records()
        with self._up_to_damage(tolerant=self._tolerant):
            yield from from_row(records.batches(columns, max_rows), start)


class DelimitedStream(UniformColumns):
    """CSV or TSV on a stream that can be read only once, such as standard input.

    Opening it waits for the header. InputDataError on a later record that is bad.
    """

    def __init__(
        self, stream: BinaryIO, delimiter: str, name: str = STDIN_NAME, *, tolerant: bool = False
    ) -> None:
        self.name = name
        self._records = _Records(stream_blocks(stream, name), name, delimiter, tolerant=tolerant)
        self.schema = self._records.schema
        self.rows: int | None = None

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the records as they arrive."""
        return from_row(self._records.batches(columns, max_rows), start)


@dataclass(frozen=True)
class _Chunk:
    """Parsed records: the fields of each, empty where it has a fault, and where it starts."""

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)


class _Records:
    """The records of delimited text. Making one reads the header."""

    def __init__(
        self, blocks: Iterator[LineBlock], name: str, delimiter: str, *, tolerant: bool
    ) -> None:
        self._name = name
        self._blocks = blocks
        self._delimiter, self._tolerant = delimiter, tolerant
        self._start = 1  # the line on which the record that is being read starts
        self._fed = 0  # the last line that the parser can have without another block
        self._ended = False
        self._decoded_with_tolerance = False  # from the first byte on that is not UTF-8
        # The limit is the process's, and 131,072 characters by default. It is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
        lines = chain.from_iterable(self._texts())
        self._reader = csv.reader(lines, delimiter=delimiter, strict=True)
        self.schema = pa.schema([(column, pa.string()) for column in self._header()])

    def batches(self, columns: Sequence[str], max_rows: int) -> Iterator[RowBatch]:
        """Yield the records after the header."""
        schema = pa.schema([self.schema.field(column) for column in columns])
        indices = [self.schema.get_field_index(column) for column in columns]
        for chunk in self.chunks():
            arrays = [
                pa.array([row[index] for row in chunk.rows], pa.string()) for index in indices
            ]
            batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
            lines = np.array(chunk.lines)
            rows = RowBatch(batch, self._name, "line", lines, faults=chunk.faults)
            yield from rows.pieces(max_rows)

    def chunks(self) -> Iterator[_Chunk]:
        """Yield the records that are complete in a block of lines, before the next is read."""
        width = len(self.schema)
        chunk = _Chunk()
        last = 0
        for row in self._parsed():
            line = self._reader.line_num
            if row or width == 1:
                if not chunk.rows:  # now it is known which block the record ended in
                    last = min(self._fed, line + MAX_RECORDS_PARSED)
                record = row or [""]
                if reason := self._fault(record, width):
                    raw = printable(self._delimiter.join(record))
                    chunk.faults[len(chunk.rows)] = Fault(reason, raw)
                    record = [""] * width
                chunk.rows.append(record)
                chunk.lines.append(self._start)
            self._start = line + 1
            if chunk.rows and line >= last:
                yield chunk
                chunk = _Chunk()
        if chunk.rows:
            yield chunk

    def _fault(self, record: list[str], width: int) -> str | None:
        """Return what is wrong with a record, where that is tolerated."""
        if len(record) != width:
            reason = f"the number of fields is {len(record)}, in the header it is {width}"
            if not self._tolerant:
                raise self._error(reason, _QUOTING_HINT)
            return reason
        return fault_of("".join(record)) if self._decoded_with_tolerance else None

    def _header(self) -> list[str]:
        names = next(self._parsed(), None)
        if names is None:
            raise InputDataError(f"{self._name}: there is no header, not even a line")
        if reason := fault_of("".join(names)):
            raise self._error(reason, UTF8_HINT)
        for column, count in Counter(names).items():
            if count > 1:
                raise self._error(f"the header names column {column} {count} times")
        if not names or not all(names):
            raise self._error(
                f"the header has no name for column {[*names, ''].index('') + 1}",
                "name every column; pandas leaves its index out with index=False",
            )
        self._start = self._reader.line_num + 1
        return names

    def _parsed(self) -> Iterator[list[str]]:
        """Yield records as the parser finds them; InputDataError where it finds none."""
        try:
            yield from self._reader
        except csv.Error as error:
            if self._ended:
                raise self._error("a quoted field is not closed", _QUOTING_HINT) from None
            # Some of its messages go on with advice to programmers.
            reason = str(error).partition(" - ")[0]
            raise self._error(f"not valid CSV: {reason}", _QUOTING_HINT) from None

    def _texts(self) -> Iterator[io.StringIO]:
        """Yield the text of each block as lines that keep their ends, split at line feeds only."""
        unfinished = 0
        for block in self._blocks:
            unfinished = unfinished + len(block.data) if self._start < block.first else 0
            if unfinished > MAX_RECORD_BYTES:
                raise self._error(
                    f"a record is longer than {MAX_RECORD_BYTES:,} bytes", _QUOTING_HINT
                )
            self._fed = block.last
            text = block.text(tolerant=self._tolerant)
            self._decoded_with_tolerance |= self._tolerant and fault_of(text) is not None
            yield io.StringIO(text, newline="\n")
        self._ended = True

    def _error(self, message: str, hint: str = "") -> InputDataError:
        return InputDataError(f"{self._name}: line {self._start}: {message}", hint=hint)
