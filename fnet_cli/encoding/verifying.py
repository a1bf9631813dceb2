"""Whether a file of embeddings can be trusted: read to its end, and every vector looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.constants import EMBEDDING_COLUMN, MAX_WINDOW_ROWS, OUTPUT_METADATA_KEY
from fnet_cli.encoding.output.journal import JobDirectory
from fnet_cli.encoding.output.target import output_format_of
from fnet_cli.encoding.readers.base import RowBatch, RowSource
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.errors import InputDataError, UsageError

# How far from 1 the length of a normalised vector may be, for rounding to its number type.
_ROUNDING = {"halffloat": 5e-3, "float": 1e-4, "double": 1e-4}


@dataclass
class OutputCheck:
    """What was found in a file. `faults` are what it must not have, in the order of weight.

    `rows` is as the file states it; `vectors` counts those of all tokens where each has its own.
    Rows are numbered as the reader does: a table's from 0, lines from 1. Lengths are Euclidean.
    `unfinished_rows` are those of a job with this output that has not ended, None without one.
    """

    file: str
    rows: int | None = None
    columns: dict[str, str] = field(default_factory=dict)
    dimension: int | None = None
    number_type: str | None = None
    vectors: int = 0
    null_rows: int = 0
    first_null_row: int | None = None
    non_finite_vectors: int = 0
    first_non_finite_row: int | None = None
    zero_vectors: int = 0
    first_zero_row: int | None = None
    smallest_length: float | None = None
    mean_length: float | None = None
    largest_length: float | None = None
    unfinished_rows: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def verify_output(path: str, column: str = EMBEDDING_COLUMN) -> OutputCheck:
    """Read a Parquet or JSON lines file of embeddings, in constant memory, and say what it holds.

    Raises InputDataError where there is neither a file nor an unfinished job, and UsageError for a
    suffix that no output has. What is wrong with the file itself is among the `faults`.
    """
    check = OutputCheck(path)
    saved = JobDirectory(Path(path)).saved()
    if saved is not None:
        check.unfinished_rows = saved.checkpoint.counts.rows_out if saved.checkpoint else 0
    if not Path(path).exists():
        if saved is None:
            raise InputDataError(f"{path}: no such file")
        check.faults.append(
            f"the job has not ended: {check.unfinished_rows:,} rows are kept, and --resume goes on"
        )
        return check
    if output_format_of(path) is None:
        raise UsageError(f"{path}: the suffix is none of an output", hint="name .parquet or .jsonl")
    try:
        source = open_source(path, None, None)
        _look_at(source, column, check)
    except InputDataError as error:
        check.faults.append(str(error).removeprefix(f"{path}: "))
    return check


def _look_at(source: RowSource, column: str, check: OutputCheck) -> None:
    check.rows = source.rows
    check.columns = {name: str(kind) for name, kind in _fields(source.schema)}
    check.metadata = _metadata(source.schema)
    if not source.schema.names and not source.rows:  # JSON lines without a line
        return
    if source.schema.names.count(column) != 1:
        check.faults.append(f"there is no column {column}")
        return
    lengths = _Lengths()
    rows = 0
    for batch in source.batches([column], MAX_WINDOW_ROWS):
        rows += len(batch.numbers)
        for vectors, numbers in _vectors(batch, check):
            lengths.add(_measured(vectors, numbers, check))
    check.smallest_length, check.mean_length, check.largest_length = lengths.summary()
    if rows != source.rows:
        check.faults.append(f"it states {source.rows:,} rows, and has {rows:,}")
    _judge(check, lengths)


def _fields(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    return zip(schema.names, schema.types, strict=True)


def _metadata(schema: pa.Schema) -> dict[str, Any]:
    """Return how the embeddings were made, where the file says it."""
    try:
        found = orjson.loads((schema.metadata or {}).get(OUTPUT_METADATA_KEY, b"{}"))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _vectors(batch: RowBatch, check: OutputCheck) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batch's vectors, (N, H), and the number of the row that each is of."""
    array = batch.batch.column(0)
    numbers = batch.numbers
    if array.null_count:
        null = array.is_null().to_numpy(zero_copy_only=False)
        check.null_rows += int(null.sum())
        check.first_null_row = _first(check.first_null_row, numbers[null])
        array, numbers = array.drop_null(), numbers[~null]
    if _is_list(array.type) and _is_list(array.type.value_type):  # a vector a token
        numbers = np.repeat(numbers, pc.list_value_length(array).to_numpy())
        array = array.flatten()
    if not len(array):
        return
    if not (_is_list(array.type) and pa.types.is_floating(array.type.value_type)):
        raise InputDataError(f"its vectors are {array.type}, no lists of floating-point numbers")
    sizes = pc.unique(pc.list_value_length(array)).to_pylist()
    check.number_type = str(array.type.value_type)
    check.dimension = check.dimension or sizes[0]
    if sizes != [check.dimension]:
        other = next(size for size in sizes if size != check.dimension)
        raise InputDataError(f"it has vectors of {check.dimension} and of {other} numbers")
    flat = array.flatten()
    if flat.null_count:
        raise InputDataError("it has vectors with nulls in them")
    check.vectors += len(array)
    yield flat.to_numpy(zero_copy_only=False).reshape(len(array), -1), numbers


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    )


def _measured(vectors: np.ndarray, numbers: np.ndarray, check: OutputCheck) -> np.ndarray:
    """Return the lengths of the vectors that are finite, and count the others, and the zeros."""
    lengths: np.ndarray = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad = ~np.isfinite(lengths)
    zero = lengths == 0
    check.non_finite_vectors += int(bad.sum())
    check.first_non_finite_row = _first(check.first_non_finite_row, numbers[bad])
    check.zero_vectors += int(zero.sum())
    check.first_zero_row = _first(check.first_zero_row, numbers[zero])
    finite: np.ndarray = lengths[~bad]
    return finite


def _first(known: int | None, numbers: np.ndarray) -> int | None:
    return int(numbers[0]) if known is None and len(numbers) else known


class _Lengths:
    """The lengths of vectors, summed up while they come."""

    def __init__(self) -> None:
        self._count, self._sum = 0, 0.0
        self._least, self._most = math.inf, -math.inf
        self.furthest_from_one = 0.0

    def add(self, lengths: np.ndarray) -> None:
        """Take in more."""
        if not len(lengths):
            return
        self._count += len(lengths)
        self._sum += float(lengths.sum())
        self._least = min(self._least, float(lengths.min()))
        self._most = max(self._most, float(lengths.max()))
        present = lengths[lengths > 0]
        away = float(np.abs(present - 1).max()) if len(present) else 0.0
        self.furthest_from_one = max(self.furthest_from_one, away)

    def summary(self) -> tuple[float, float, float] | tuple[None, None, None]:
        """Return the least, the mean and the most, or None for each where there was none."""
        if not self._count:
            return None, None, None
        return self._least, self._sum / self._count, self._most


def _judge(check: OutputCheck, lengths: _Lengths) -> None:
    """Note what an output of this program never has."""
    if check.non_finite_vectors:
        check.faults.append(
            f"{check.non_finite_vectors:,} vectors have a NaN or infinite number, the first in row "
            f"{check.first_non_finite_row}"
        )
    if check.null_rows:
        check.faults.append(
            f"{check.null_rows:,} rows have no vector, the first is row {check.first_null_row}"
        )
    stated: Mapping[str, Any] = check.metadata
    # Numbers were rounded to the output's type, and JSON lines hold those of that.
    kind = "halffloat" if stated.get("output_dtype") == "float16" else check.number_type
    if stated.get("normalize") is True and lengths.furthest_from_one > _ROUNDING.get(kind or "", 0):
        check.faults.append("its metadata says that vectors have length 1, and not all have")
