"""What every reader gives: a schema, a row count where it is known, and batches with positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from fnet_cli.errors import InputDataError


@dataclass(frozen=True)
class Fault:
    """Why a row cannot be used, and what stands there where it could not be read as a row."""

    reason: str
    raw: str | None = None


@dataclass(frozen=True)
class RowBatch:
    """Some rows of one source, and where in it they stand.

    `numbers` holds each row's number in the source as a user would count it: lines from 1, rows
    of a table from 0. `cut`, where rows were texts, counts the tokens of each that did not fit
    (B,) int64. A row at an index in `faults` only holds the place of one that cannot be used.
    """

    batch: pa.RecordBatch
    source: str
    unit: str
    numbers: np.ndarray
    cut: np.ndarray | None = None
    faults: Mapping[int, Fault] = field(default_factory=dict)

    def where(self, index: int) -> str:
        """Return the place of the row at `index`, such as `data.jsonl: line 7`."""
        return f"{self.source}: {self.unit} {self.numbers[index]}"

    def slice(self, start: int, length: int) -> RowBatch:
        """Return rows `start` to `start + length`, without a copy."""
        stop = start + length
        return RowBatch(
            self.batch.slice(start, length),
            self.source,
            self.unit,
            self.numbers[start:stop],
            None if self.cut is None else self.cut[start:stop],
            {at - start: fault for at, fault in self.faults.items() if start <= at < stop},
        )

    def taken(self, indices: np.ndarray) -> RowBatch:
        """Return the rows at `indices`, a row as often as it stands there, all of them good."""
        return RowBatch(
            self.batch.take(pa.array(indices)),
            self.source,
            self.unit,
            self.numbers[indices],
            None if self.cut is None else self.cut[indices],
        )

    @staticmethod
    def joined(parts: Sequence[RowBatch]) -> RowBatch:
        """Return consecutive rows of one source, at least one part of them, as one batch."""
        first = parts[0]
        if len(parts) == 1:
            return first
        cuts = [part.cut for part in parts if part.cut is not None]
        starts = np.cumsum([0, *(len(part.numbers) for part in parts)]).tolist()
        faults = {
            start + at: fault
            for start, part in zip(starts, parts, strict=False)
            for at, fault in part.faults.items()
        }
        return RowBatch(
            pa.concat_batches([part.batch for part in parts]),
            first.source,
            first.unit,
            np.concatenate([part.numbers for part in parts]),
            np.concatenate(cuts) if cuts else None,
            faults,
        )

    def pieces(self, max_rows: int) -> Iterator[RowBatch]:
        """Yield the rows in order, at most `max_rows` at a time."""
        for start in range(0, len(self.numbers), max_rows):
            yield self.slice(start, min(max_rows, len(self.numbers) - start))


class FaultyRowsError(InputDataError):
    """Rows of a batch that cannot be used: all of one kind. The message is of the first.

    `faults` says for the index of each what is wrong.
    """

    def __init__(self, rows: RowBatch, faults: Mapping[int, str], *, hint: str = "") -> None:
        self.faults = faults
        first = min(faults)
        super().__init__(f"{rows.where(first)}: {faults[first]}", hint=hint)


TypeCheck = Callable[[pa.DataType], bool]


class RowSource(Protocol):
    """One input, opened and with its structure checked.

    `schema` has every column. `rows` and `tokens` are None where only reading tells. One that is
    opened as tolerant marks rows that it cannot read, and ends where there is no reading on:
    `damage` says why.
    """

    name: str
    schema: pa.Schema
    rows: int | None

    @property
    def damage(self) -> str | None:
        """Why there was no reading on."""

    @property
    def row_ends(self) -> Sequence[int]:
        """The rows before which reading may begin without those in front: none for lines."""

    def token_count(self, column: str) -> int | None:
        """Return the number of values in a list column, where the file states it."""

    def first_other(self, column: str, accept: TypeCheck) -> str:
        """Return `: line N` for the first value whose own type `accept` refuses.

        Empty where all rows of the format share one type.
        """

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows from the `start`-th on, `columns` only, at most `max_rows` at a time."""


# Runs of one value take no room; more than this, and memory or time would be at the mercy of what
# a file states.
MOST_ROWS_PER_BYTE = 4096


def checked_names(schema: pa.Schema) -> pa.Schema:
    """Return the schema; raises UnicodeDecodeError for a name in it, at any depth, that is no text.

    pyarrow decodes a name when it is asked for, which may be after hours of work.
    """
    waiting = list(schema)
    while waiting:
        field = waiting.pop()
        kind, _ = field.type, field.name
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        waiting += [kind.field(index) for index in range(kind.num_fields)]
    return schema


class Readable:
    """What a source starts with: nothing is damaged."""

    damage: str | None = None
    row_ends: Sequence[int] = ()

    @contextmanager
    def _up_to_damage(self, *, tolerant: bool) -> Iterator[None]:
        """End the body at what cannot be read, and note it; raise it where it is not tolerated."""
        try:
            yield
        except InputDataError as error:
            if not tolerant:
                raise
            self.damage = str(error)


class UniformColumns(Readable):
    """The answers of a source that states no totals, and whose columns have one type each."""

    def token_count(self, column: str) -> int | None:  # noqa: ARG002 - the interface's
        """Return None: text states no totals."""
        return None

    def first_other(self, column: str, accept: TypeCheck) -> str:  # noqa: ARG002 - the interface's
        """Return nothing: all values of a column have one type."""
        return ""


class DamagedSource(UniformColumns):
    """An input of which nothing can be read, for the reason `damage`."""

    def __init__(self, name: str, damage: str) -> None:
        self.name = name
        self.damage = damage
        self.schema = pa.schema([])
        self.rows: int | None = 0

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:  # noqa: ARG002 - the interface's
        """Yield nothing."""
        return iter(())


def from_row(batches: Iterator[RowBatch], start: int) -> Iterator[RowBatch]:
    """Yield what follows the first `start` rows."""
    for batch in batches:
        rows = len(batch.numbers)
        if start < rows:
            yield batch.slice(start, rows - start) if start else batch
        start = max(0, start - rows)


def column_type(source: RowSource, name: str) -> pa.DataType:
    """Return the type of a column; InputDataError where it is missing or stands twice."""
    found = source.schema.get_all_field_indices(name)
    if len(found) == 1:
        return source.schema.field(found[0]).type
    if found:
        raise InputDataError(f"{source.name}: column {name} stands {len(found)} times")
    have = ", ".join(source.schema.names[:12]) or "none"
    raise InputDataError(f"{source.name}: there is no column {name}", hint=f"columns: {have}")
