"""JSON lines input: plain, gzip or zstd, from a file or standard input.

Parsed with orjson, not pyarrow.json: that one, in version 26, reads the list [null, 1] as [1, 0],
accepts two objects on one line, and turns text that looks like a date into a timestamp.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa

from fnet_cli.encoding.readers.base import Fault, Readable, RowBatch, TypeCheck, from_row
from fnet_cli.encoding.readers.lines import (
    NOT_UTF8,
    STDIN_NAME,
    UTF8_HINT,
    LineBlock,
    MarkedLines,
    file_blocks,
    not_utf8,
    stream_blocks,
)
from fnet_cli.encoding.readers.places import InputFile, as_file
from fnet_cli.errors import InputDataError

# Of memory, for a byte of a line.
_PARSER_BYTES = 13


@dataclass(frozen=True)
class _Block:
    """Parsed lines: one dict a row, empty where there is a fault, and its line number from 1."""

    rows: list[dict[str, Any]]
    lines: np.ndarray
    faults: Mapping[int, Fault] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, None]:
        """The keys of all rows, in order of first appearance."""
        return {key: None for row in self.rows for key in row}

    def after(self, count: int) -> _Block:
        """Return what follows the first `count` rows."""
        faults = {at - count: fault for at, fault in self.faults.items() if at >= count}
        return _Block(self.rows[count:], self.lines[count:], faults)


class JsonlFile(Readable):
    """A JSON lines file. Opening it reads it once, for its columns, types and row count.

    So a malformed line, or a column that changes its type, is found before any work is done.
    Raises InputDataError naming the line, unless it is `tolerant`.
    """

    def __init__(self, place: str | InputFile, *, tolerant: bool = False) -> None:
        self._file = as_file(place)
        self.name = self._file.name
        self.schema = pa.schema([])
        self.rows: int | None = 0
        self._tolerant = tolerant
        self._lines = MarkedLines(self._file)
        marked = self._lines.blocks(lambda: self.rows or 0)
        with self._up_to_damage(tolerant=tolerant):
            for block in _parse(marked, tolerant=tolerant):
                self.schema = _widen(self.schema, block, self.name, tolerant=tolerant)
                self.rows += len(block.rows)

    def token_count(self, column: str) -> int | None:  # noqa: ARG002 - the interface's
        """Return None: JSON lines state no totals."""
        return None

    def first_other(self, column: str, accept: TypeCheck) -> str:
        """Return the place of the first value of a type that `accept` refuses."""
        blocks = _parse(file_blocks(self._file), tolerant=self._tolerant)
        return _first_other(blocks, column, accept)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows in file order."""
        if start == self.rows:
            return
        schema = pa.schema([self.schema.field(name) for name in columns])
        lines, start = self._lines.from_row(start)
        with self._up_to_damage(tolerant=self._tolerant):
            for block in _parse(lines, tolerant=self._tolerant):
                skipped = min(start, len(block.rows))
                start -= skipped
                rest = _to_arrow(block.after(skipped), schema, self.name, tolerant=self._tolerant)
                yield from rest.pieces(max_rows)


class JsonlStream(Readable):
    """JSON lines on a stream that can be read only once, such as standard input.

    The first block decides columns and types; InputDataError on a later row that does not fit.
    """

    def __init__(self, stream: BinaryIO, name: str = STDIN_NAME, *, tolerant: bool = False) -> None:
        self.name = name
        self._tolerant = tolerant
        self._rest = _parse(stream_blocks(stream, name), tolerant=tolerant)
        self._first = next(self._rest, None)
        self.rows: int | None = 0 if self._first is None else None
        self.schema = pa.schema([])
        if self._first is not None:
            self.schema = _widen(self.schema, self._first, name, tolerant=tolerant)

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
            rows = _to_arrow(block, schema, self.name, tolerant=self._tolerant)
            yield from rows.pieces(max_rows)
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


def _parse(blocks: Iterator[LineBlock], *, tolerant: bool) -> Iterator[_Block]:
    """Yield blocks of parsed lines; InputDataError naming a bad line that is not tolerated."""
    for block in blocks:
        lines = block.data.split(b"\n")[: block.count]
        numbers = np.arange(block.first, block.first + block.count)
        filled = [index for index, content in enumerate(lines) if content and not content.isspace()]
        if len(filled) < len(lines):
            lines = [lines[index] for index in filled]
            numbers = numbers[filled]
        if not lines:
            continue
        rows: list[Any]
        faults: dict[int, Fault] = {}
        try:
            rows = [orjson.loads(content) for content in lines]
        except orjson.JSONDecodeError:
            rows, faults = _parsed_singly(lines)
        for index, row in enumerate(rows):
            if not isinstance(row, dict) and index not in faults:
                raw = lines[index].decode(errors="replace")
                rows[index], faults[index] = {}, Fault("not a JSON object", raw)
        if faults and not tolerant:
            first = min(faults)
            raise InputDataError(
                f"{block.name}: line {numbers[first]}: {faults[first].reason}",
                hint=UTF8_HINT if faults[first].reason.startswith(NOT_UTF8) else "",
            )
        yield _Block(rows, numbers, faults)


def _parsed_singly(lines: list[bytes]) -> tuple[list[Any], dict[int, Fault]]:
    """Parse lines of which one is malformed at least; such a row is empty, and has a fault."""
    rows: list[Any] = []
    faults: dict[int, Fault] = {}
    for index, content in enumerate(lines):
        try:
            content.decode()
            rows.append(orjson.loads(content))
            continue
        except UnicodeDecodeError as error:
            reason = not_utf8(error.start + 1, content[error.start])
        except orjson.JSONDecodeError as error:
            # orjson says the same where it gets no memory, of which it asks for so much; this does
            # not, and takes none.
            bytearray(_PARSER_BYTES * len(content))
            reason = f"not valid JSON: {error.msg} (column {error.colno})"
        rows.append({})
        faults[index] = Fault(reason, content.decode(errors="replace"))
    return rows, faults


def _widen(schema: pa.Schema, block: _Block, name: str, *, tolerant: bool) -> pa.Schema:
    """Return `schema` with the columns of `block` added, and types widened to fit its values.

    What is tolerated is a value that does not fit those before it: it will be a fault of its row.
    """
    fields = []
    for column in block.columns:
        values = [row.get(column) for row in block.rows]
        known = schema.field(column).type if column in schema.names else pa.null()
        try:
            # Converted, not only inferred: inference looks at some values and lets others pass.
            kind = _common_type(known, pa.array(values).type)
        except MemoryError:
            raise
        except (pa.ArrowException, OverflowError, TypeError):
            if tolerant:
                fields.append(pa.field(column, _type_of_fitting(values, known)))
                continue
            index, reason = _first_misfit(values, known)
            raise InputDataError(
                f"{name}: line {block.lines[index]}: column {column}: {reason}"
            ) from None
        fields.append(pa.field(column, kind))
    return pa.unify_schemas([schema, pa.schema(fields)], promote_options="permissive")


def _common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    schemas = [pa.schema([("column", kind)]) for kind in (first, second)]
    return pa.unify_schemas(schemas, promote_options="permissive").field(0).type


def _type_of_fitting(values: list[Any], kind: pa.DataType) -> pa.DataType:
    """Return the common type of the values that have one with those before them."""
    for value in values:
        with suppress(pa.ArrowException, OverflowError, TypeError):
            kind = _common_type(kind, pa.array([value]).type)
    return kind


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


def _to_arrow(block: _Block, schema: pa.Schema, name: str, *, tolerant: bool) -> RowBatch:
    arrays = []
    faults = dict(block.faults)
    for field_ in schema:
        values = [row.get(field_.name) for row in block.rows]
        try:
            arrays.append(pa.array(values, type=field_.type))
        except MemoryError:
            raise
        except (pa.ArrowException, OverflowError, TypeError):
            misfits = _misfits(values, field_)
            if not tolerant:
                first = min(misfits)
                place = f"{name}: line {block.lines[first]}"
                raise InputDataError(f"{place}: {misfits[first]}") from None
            for index, reason in misfits.items():
                values[index] = None
                faults.setdefault(index, Fault(reason, orjson.dumps(block.rows[index]).decode()))
            arrays.append(pa.array(values, type=field_.type))
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return RowBatch(batch, name, "line", block.lines, faults=faults)


def _misfits(values: list[Any], column: pa.Field) -> dict[int, str]:
    """Return the values that are not of the column's type, and what is said of them."""
    found = {}
    for index, value in enumerate(values):
        try:
            pa.array([value], type=column.type)
        except (pa.ArrowException, OverflowError, TypeError):
            found[index] = f"column {column.name}: {_shown(value)} is not of type {column.type}"
    return found


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
