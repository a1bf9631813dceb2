"""Rows of an output, drawn at random, with what is shown of them; memory is that of the sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.constants import MAX_WINDOW_ROWS, TEXT_COLUMN
from fnet_cli.encoding.examining import metadata_of, vectors_of
from fnet_cli.encoding.measuring import VectorType
from fnet_cli.encoding.readers.base import RowBatch, RowSource
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.encoding.readers.parquet import ParquetSource
from fnet_cli.encoding.verifying import OutputFiles
from fnet_cli.errors import InputDataError
from fnet_cli.reporting.options import ReportOptions
from fnet_cli.reporting.showing import Value, is_shown, shown

# What a row may show besides its text: more would fill the page and help nobody.
MOST_COLUMNS = 12
FINE, NULL, OTHER_DIMENSION, NON_FINITE = range(4)


@dataclass(frozen=True)
class Sample:
    """Rows of an output in their order. `vectors` (N, H) has zeros where `states` is not FINE.

    But for those with a NaN or infinite number, which are as they are. `files` has for each row
    the index of its file in `names`, `numbers` its number there, as its reader counts. `total` is
    of all rows, the sample is all of them where it is as large. `left_out` are columns that have
    nothing to show.
    """

    names: tuple[str, ...]
    total: int
    vectors: np.ndarray
    states: np.ndarray
    files: np.ndarray
    numbers: np.ndarray
    number_type: str
    unit: str = "row"
    text_column: str | None = None
    columns: dict[str, list[Value]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.numbers)

    def count(self, state: int) -> int:
        """Return how many rows are of a state."""
        return int((self.states == state).sum())


def draw(found: OutputFiles, options: ReportOptions) -> Sample:
    """Draw rows without replacement, each with the same chance, by the seed alone.

    Raises InputDataError for a file that is damaged or has no vector a row, and NetworkError.
    """
    sources = [open_source(place, None, None) for place in found.files.values()]
    kinds = [_vectors_in(source, options.column) for source in sources]
    total = sum(source.rows or 0 for source in sources)
    random = np.random.default_rng(options.seed)
    picks = np.arange(total)
    if total > options.sample:
        picks = np.sort(random.choice(total, options.sample, replace=False))
    reading = _Reading(options, sources[0].schema, next(filter(None, kinds), None))
    start = 0
    for index, source in enumerate(sources):
        rows = source.rows or 0
        low, high = np.searchsorted(picks, [start, start + rows]).tolist()
        reading.read(index, source, picks[low:high] - start)
        start += rows
    metadata, _ = metadata_of(sources[0].schema)
    return reading.sample(tuple(found.files), total, metadata, found.notes)


def _vectors_in(source: RowSource, column: str) -> VectorType | None:
    """Return what the vectors of a file are, None of one that has no rows to say it."""
    if not source.schema.names and not source.rows:  # JSON lines without a line
        return None
    try:
        kind = vectors_of(source.schema, column)
    except InputDataError as error:
        have = ", ".join(source.schema.names[:12]) or "none"
        raise InputDataError(
            f"{source.name}: {error}", hint=f"--column names another; columns: {have}"
        ) from error
    if kind.by_token:
        raise InputDataError(
            f"{source.name}: it has a vector for every token, and a report is of one a row",
            hint="encode with another --pooling, such as mean",
        )
    return kind


class _Reading:
    """A sample while it is read, file by file."""

    def __init__(self, options: ReportOptions, schema: pa.Schema, kind: VectorType | None) -> None:
        self._column = options.column
        self._dimension = kind.dimension if kind else None
        self._number_type = kind.number_type if kind else "float32"
        self._text_column = _text_column(options, schema)
        once = [name for name in schema.names if schema.names.count(name) == 1]
        others = [name for name in once if name not in (options.column, self._text_column)]
        showing = [name for name in others if is_shown(schema.field(name).type)]
        self._left_out = tuple(name for name in others if name not in showing[:MOST_COLUMNS])
        texts = [self._text_column] if self._text_column is not None else []
        self._columns: dict[str, list[Value]] = {
            name: [] for name in [*texts, *showing[:MOST_COLUMNS]]
        }
        self._unit = "row"
        self._arrays: list[pa.Array] = []
        self._numbers: list[np.ndarray] = []
        self._files: list[np.ndarray] = []

    def read(self, index: int, source: RowSource, picks: np.ndarray) -> None:
        """Take in the rows at `picks`, (N,) in order, of the file with this index."""
        if not len(picks):
            return
        names = source.schema.names
        there = [name for name in self._columns if names.count(name) == 1]
        for rows in _rows_at(source, [self._column, *there], picks):
            self._unit = rows.unit
            self._numbers.append(rows.numbers)
            self._files.append(np.full(len(rows.numbers), index))
            self._arrays.append(rows.batch.column(0))
            for name, values in self._columns.items():
                column = rows.batch.column(1 + there.index(name)) if name in there else None
                values += [None] * len(rows.numbers) if column is None else shown(column)

    def sample(
        self, names: tuple[str, ...], total: int, metadata: dict[str, Any], notes: tuple[str, ...]
    ) -> Sample:
        """Return what was taken in."""
        vectors, states = _joined(self._arrays, self._dimension, self._number_type)
        empty = np.zeros(0, np.int64)
        return Sample(
            names,
            total,
            vectors,
            states,
            np.concatenate([empty, *self._files]),
            np.concatenate([empty, *self._numbers]),
            self._number_type,
            unit=self._unit,
            text_column=self._text_column,
            columns=self._columns,
            left_out=self._left_out,
            metadata=metadata,
            notes=notes,
        )


def _text_column(options: ReportOptions, schema: pa.Schema) -> str | None:
    """Return the column of texts: the one that was named, or `text` where there is one."""
    named = options.text_column
    if named is None:
        return TEXT_COLUMN if schema.names.count(TEXT_COLUMN) == 1 else None
    if schema.names and schema.names.count(named) != 1:
        raise InputDataError(
            f"{options.source}: there is no column {named}"
            if named not in schema.names
            else f"{options.source}: column {named} stands several times",
            hint=f"columns: {', '.join(schema.names[:12])}",
        )
    return named


def _rows_at(source: RowSource, columns: Sequence[str], picks: np.ndarray) -> Iterator[RowBatch]:
    """Yield the rows at `picks`; of Parquet, row groups without any are not read."""
    if isinstance(source, ParquetSource):
        for batch in source.batches_with(columns, MAX_WINDOW_ROWS, picks):
            first = int(batch.numbers[0]) if len(batch.numbers) else 0
            yield from _picked(batch, first, picks)
        return
    at = 0
    for batch in source.batches(columns, MAX_WINDOW_ROWS):
        yield from _picked(batch, at, picks)
        at += len(batch.numbers)
        if at > picks[-1]:
            return


def _picked(batch: RowBatch, first: int, picks: np.ndarray) -> Iterator[RowBatch]:
    """Yield the picked rows of a batch that begins with the `first` row, where there are any."""
    low, high = np.searchsorted(picks, [first, first + len(batch.numbers)]).tolist()
    if low < high:
        yield batch.taken(picks[low:high] - first)


# --- Vectors -------------------------------------------------------------------------------------


def _joined(
    arrays: Sequence[pa.Array], dimension: int | None, number_type: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors (N, H), of float32 or float64, and the states (N,) of all arrays."""
    sizes = [_sizes(array) for array in arrays]
    if dimension is None:
        found = [one[one > 0] for one in sizes if (one > 0).any()]
        dimension = int(found[0][0]) if found else 0
    wide = np.float64 if number_type == "float64" else np.float32
    count = sum(map(len, arrays))
    vectors = np.zeros((count, dimension), wide)
    states = np.zeros(count, np.int8)
    start = 0
    for array, its_sizes in zip(arrays, sizes, strict=True):
        stop = start + len(array)
        states[start:stop] = np.where(its_sizes < 0, NULL, FINE)
        states[start:stop][(its_sizes >= 0) & (its_sizes != dimension)] = OTHER_DIMENSION
        fits = its_sizes == dimension
        if dimension and fits.any():
            its_vectors, its_states = _numbers(array.filter(pa.array(fits)), dimension, wide)
            vectors[start:stop][fits] = its_vectors
            states[start:stop][fits] = its_states
        start = stop
    return vectors, states


def _sizes(array: pa.Array) -> np.ndarray:
    """Return how many numbers each vector has, -1 where it is null."""
    lengths = pc.fill_null(pc.list_value_length(array).cast(pa.int64()), -1)
    sizes: np.ndarray = lengths.to_numpy(zero_copy_only=False)
    return sizes


def _numbers(array: pa.Array, dimension: int, wide: type) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors without nulls among them, and the states of their numbers."""
    flat = array.flatten()
    vectors = flat.to_numpy(zero_copy_only=False).astype(wide).reshape(-1, dimension)
    gaps = flat.is_null().to_numpy(zero_copy_only=False).reshape(vectors.shape).any(axis=1)
    states = np.where(np.isfinite(vectors).all(axis=1), FINE, NON_FINITE)
    states[gaps] = NULL
    vectors[gaps] = 0
    return vectors, states
