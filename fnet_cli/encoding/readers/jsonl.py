"""JSON lines input: plain, gzip or zstd, from a file or standard input.

Parsed with orjson, not pyarrow.json: that one, in version 26, reads the list [null, 1] as [1, 0],
accepts two objects on one line, and turns text that looks like a date into a timestamp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa

from fnet_cli.encoding.readers.base import RowBatch, TypeCheck, from_row
from fnet_cli.encoding.readers.lines import (
    STDIN_NAME,
    LineBlock,
    file_blocks,
    not_utf8,
    stream_blocks,
)
from fnet_cli.errors import InputDataError


@dataclass(frozen=True)
class _Block:
    """Parsed lines: one dict a row, and its line number from 1."""

    rows: list[dict[str, Any]]
    lines: np.ndarray

    @property
    def columns(self) -> dict[str, None]:
        """The keys of all rows, in order of first appearance."""
        return {key: None for row in self.rows for key in row}


class JsonlFile:
    """A JSON lines file. Opening it reads it once, for its columns, types and row count.

    So a malformed line, or a column that changes its type, is found before any work is done.
    Raises InputDataError naming the line.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        self.schema = pa.schema([])
        self.rows: int | None = 0
        for block in self._blocks():
            self.schema = _widen(self.schema, block, self.name)
            self.rows += len(block.rows)

    def token_count(self, column: str) -> int | None:  # noqa: ARG002 - the interface's
        """Return None: JSON lines state no totals."""
        return None

    def first_other(self, column: str, accept: TypeCheck) -> str:
        """Return the place of the first value of a type that `accept` refuses."""
        return _first_other(self._blocks(), column, accept)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows in file order."""
        if start == self.rows:
            return
        schema = pa.schema([self.schema.field(name) for name in columns])
        for block in self._blocks():
            skipped = min(start, len(block.rows))
            start -= skipped
            rest = _Block(block.rows[skipped:], block.lines[skipped:])
            yield from _to_arrow(rest, schema, self.name).pieces(max_rows)

    def _blocks(self) -> Iterator[_Block]:
        return _parse(file_blocks(self.name))


class JsonlStream:
    """JSON lines on a stream that can be read only once, such as standard input.

    The first block decides columns and types; InputDataError on a later row that does not fit.
    """

    def __init__(self, stream: BinaryIO, name: str = STDIN_NAME) -> None:
        self.name = name
        self._rest = _parse(stream_blocks(stream, name))
        self._first = next(self._rest, None)
        self.rows: int | None = 0 if self._first is None else None
        empty = pa.schema([])
        self.schema = _widen(empty, self._first, name) if self._first else empty

    def token_count(self, column: str) -> int | None:  # noqa: ARG002 - the interface's
        """Return None: a stream states no totals."""
        return None

    def first_other(self, column: str, accept: TypeCheck) -> str:
        """Return the place of the first value, in the first block, that `accept` refuses."""
        return _first_other(iter([self._first] if self._first else []), column, accept)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows as they arrive."""
        return from_row(self._batches(columns, max_rows), start)

    def _batches(self, columns: Sequence[str], max_rows: int) -> Iterator[RowBatch]:
        schema = pa.schema([self.schema.field(name) for name in columns])
        block = self._first
        while block is not None:
            self._refuse_new_columns(block)
            yield from _to_arrow(block, schema, self.name).pieces(max_rows)
            block = next(self._rest, None)

    def _refuse_new_columns(self, block: _Block) -> None:
        for name in block.columns:
            if name not in self.schema.names:
                index = next(i for i, row in enumerate(block.rows) if name in row)
                raise InputDataError(
                    f"{self.name}: line {block.lines[index]}: column {name} is not in the "
                    "first rows",
                    hint="on a stream the first rows decide the columns; use a file, or name the "
                    "columns to keep with --columns and drop the others before",
                )


def _parse(blocks: Iterator[LineBlock]) -> Iterator[_Block]:
    """Yield blocks of parsed lines; InputDataError naming a bad line."""
    for block in blocks:
        lines = block.data.split(b"\n")[: block.count]
        numbers = np.arange(block.first, block.first + block.count)
        filled = [index for index, content in enumerate(lines) if content and not content.isspace()]
        if len(filled) < len(lines):
            lines = [lines[index] for index in filled]
            numbers = numbers[filled]
        if not lines:
            continue
        try:
            rows = [orjson.loads(content) for content in lines]
        except orjson.JSONDecodeError:
            raise _malformed(lines, numbers, block.name) from None
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise InputDataError(f"{block.name}: line {numbers[index]}: not a JSON object")
        yield _Block(rows, numbers)


def _malformed(lines: list[bytes], numbers: np.ndarray, name: str) -> InputDataError:
    for content, number in zip(lines, numbers, strict=True):
        place = f"{name}: line {number}"
        try:
            content.decode()
            orjson.loads(content)
        except UnicodeDecodeError as error:
            return not_utf8(place, error.start + 1, content[error.start])
        except orjson.JSONDecodeError as error:
            return InputDataError(f"{place}: not valid JSON: {error.msg} (column {error.colno})")
    raise AssertionError("a block that failed to parse has no bad line")


def _widen(schema: pa.Schema, block: _Block, name: str) -> pa.Schema:
    """Return `schema` with the columns of `block` added, and types widened to fit its values."""
    fields = []
    for column in block.columns:
        values = [row.get(column) for row in block.rows]
        known = schema.field(column).type if column in schema.names else pa.null()
        try:
            # Converted, not only inferred: inference looks at some values and lets others pass.
            kind = _common_type(known, pa.array(values).type)
        except (pa.ArrowException, OverflowError, TypeError):
            index, reason = _first_misfit(values, known)
            raise InputDataError(
                f"{name}: line {block.lines[index]}: column {column}: {reason}"
            ) from None
        fields.append(pa.field(column, kind))
    return pa.unify_schemas([schema, pa.schema(fields)], promote_options="permissive")


def _common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    schemas = [pa.schema([("column", kind)]) for kind in (first, second)]
    return pa.unify_schemas(schemas, promote_options="permissive").field(0).type


def _first_misfit(values: list[Any], kind: pa.DataType) -> tuple[int, str]:
    """Return the index of the first value that has no common type with those before it."""
    for index, value in enumerate(values):
        try:
            kind = _common_type(kind, pa.array([value]).type)
        except OverflowError:
            return index, f"{_shown(value)} does not fit 64 bits; write it as text"
        except (pa.ArrowException, TypeError):
            return index, f"{_shown(value)} does not fit the rows before, which hold {kind}"
    return 0, "its values have no common type"


def _first_other(blocks: Iterator[_Block], column: str, accept: TypeCheck) -> str:
    for block in blocks:
        for row, line in zip(block.rows, block.lines, strict=True):
            if not accept(pa.array([row.get(column)]).type):
                return f": line {line}"
    return ""


def _to_arrow(block: _Block, schema: pa.Schema, name: str) -> RowBatch:
    arrays = []
    for field in schema:
        values = [row.get(field.name) for row in block.rows]
        try:
            arrays.append(pa.array(values, type=field.type))
        except (pa.ArrowException, OverflowError, TypeError):
            raise _conversion_error(values, block, field, name) from None
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return RowBatch(batch, name, "line", block.lines)


def _conversion_error(
    values: list[Any], block: _Block, field: pa.Field, name: str
) -> InputDataError:
    for index, value in enumerate(values):
        try:
            pa.array([value], type=field.type)
        except (pa.ArrowException, OverflowError, TypeError):
            where = f"{name}: line {block.lines[index]}: column {field.name}"
            return InputDataError(f"{where}: {_shown(value)} is not of type {field.type}")
    return InputDataError(f"{name}: column {field.name} is not of type {field.type}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
