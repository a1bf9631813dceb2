"""A file of embeddings, read to its end: what is in it, and what it must not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from fnet_cli.constants import EMBEDDING_COLUMN, MAX_WINDOW_ROWS, OUTPUT_METADATA_KEY
from fnet_cli.encoding.measuring import Tally, VectorMeasures, VectorType, vector_type
from fnet_cli.encoding.options import Pooling
from fnet_cli.encoding.readers.base import DamagedSource, RowSource
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.encoding.readers.parquet import ParquetSource
from fnet_cli.encoding.readers.places import InputFile
from fnet_cli.errors import InputDataError


@dataclass(frozen=True)
class OutputCheck:
    """What was found in a file. `faults` are what it must not have, in the order of weight.

    `rows` is as the file states it, `rows_read` what could be read of them. `vectors` counts those
    of all tokens where each has its own. Rows are numbered as the reader does: a table's from 0,
    lines from 1. Lengths are Euclidean, of the vectors that are finite; vectors of zeros are not
    held against `all_length_1`, which allows for rounding to the number type.
    `unfinished_job` tells of a job with this output that has not ended, `unfinished_rows` how
    many rows it keeps, None where it is of another version.
    """

    file: str
    rows: int | None = None
    rows_read: int = 0
    unreadable_rows: int = 0
    first_unreadable_row: int | None = None
    row_groups: int | None = None
    columns: dict[str, str] = field(default_factory=dict)
    dimension: int | None = None
    number_type: str | None = None
    vectors: int = 0
    null_vectors: int = 0
    first_null_row: int | None = None
    other_dimension_vectors: int = 0
    first_other_dimension_row: int | None = None
    non_finite_vectors: int = 0
    first_non_finite_row: int | None = None
    zero_vectors: int = 0
    first_zero_row: int | None = None
    smallest_length: float | None = None
    mean_length: float | None = None
    largest_length: float | None = None
    all_length_1: bool | None = None
    first_other_length_row: int | None = None
    unfinished_job: bool = False
    unfinished_rows: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def examine(place: str | InputFile, column: str, name: str) -> OutputCheck:
    """Return what is in a file, under a name; it tells of no job.

    What is wrong with it is among the faults. Raises InputDataError where it is gone, UsageError
    for a suffix of no format, and NetworkError.
    """
    source = open_source(place, None, None, tolerant=True)
    if isinstance(source, DamagedSource):
        return OutputCheck(name, faults=(nameless(source.damage or "", source.name),))
    return OutputCheck(name, **_looked_at(source, column))


# --- What is in it -------------------------------------------------------------------------------


def _looked_at(source: RowSource, column: str) -> dict[str, Any]:
    """Return what an OutputCheck says of a file's content."""
    metadata, faults = metadata_of(source.schema)
    vectors: VectorType | None = None
    if source.schema.names or source.rows:  # not JSON lines without a line
        try:
            vectors = vectors_of(source.schema, column)
        except InputDataError as error:
            faults.append(str(error))
    reading = _Reading(source, column, VectorMeasures(vectors) if vectors else None)
    reading.run()
    found: dict[str, Any] = {}
    if reading.measures is not None:
        found = _measured(reading.measures)
        stated = metadata if _is_described(source.schema, column) else {}
        faults = [
            *_contradictions(stated, reading.measures.kind),
            *faults,
            *_judged(reading, stated),
        ]
    return {
        "rows": source.rows,
        "rows_read": reading.rows - reading.unreadable.count,
        "unreadable_rows": reading.unreadable.count,
        "first_unreadable_row": reading.unreadable.first,
        "row_groups": source.row_groups if isinstance(source, ParquetSource) else None,
        "columns": {name: str(kind) for name, kind in _types(source.schema)},
        **found,
        "metadata": metadata,
        "faults": (*reading.faults(), *faults),
    }


def _types(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    return zip(schema.names, schema.types, strict=True)


def vectors_of(schema: pa.Schema, column: str) -> VectorType:
    """Return what the vectors of a column are; InputDataError where it has none."""
    found = schema.get_all_field_indices(column)
    if not found:
        raise InputDataError(f"there is no column {column}")
    if len(found) > 1:
        raise InputDataError(f"column {column} stands {len(found)} times")
    kind = schema.field(found[0]).type
    vectors = vector_type(kind)
    if vectors is None:
        raise InputDataError(f"its vectors are {kind!s:.80}, no lists of floating-point numbers")
    return vectors


class _Reading:
    """A file that is read to its end: all columns, since a page of any may be damaged."""

    def __init__(self, source: RowSource, column: str, measures: VectorMeasures | None) -> None:
        self.measures = measures
        self.rows = 0
        self.unit = "row"
        self.unreadable = Tally()
        self._source, self._column = source, column
        self._reason, self._ended = "", ""

    def run(self) -> None:
        """Read; what cannot be read is counted, and the rest is read on."""
        names = Counter(self._source.schema.names)
        alone = [name for name, times in names.items() if times == 1]
        if names and not alone:
            return
        try:
            for batch in self._source.batches(alone, MAX_WINDOW_ROWS):
                self.unit = batch.unit
                self.rows += len(batch.numbers)
                bad = sorted(batch.faults)
                if bad:
                    self._reason = self._reason or batch.faults[bad[0]].reason
                    self.unreadable.add(batch.numbers[bad])
                if self.measures is not None:
                    array = batch.batch.column(alone.index(self._column))
                    self.measures.add(array, batch.numbers, bad)
        except InputDataError as error:
            self._ended = str(error)

    def faults(self) -> Iterator[str]:
        """Yield what could not be read."""
        for ended in (self._source.damage, self._ended):
            if ended:
                yield nameless(ended, self._source.name)
        if self.unreadable.count:
            count, unit = self.unreadable.count, self.unit
            what = f"{count:,} {unit}s" if count > 1 else f"1 {unit}"
            first = f"the first is {unit} {self.unreadable.first}"
            yield f"{what} cannot be read, {first}: {self._reason}"
        for name, times in Counter(self._source.schema.names).items():
            if times > 1 and name != self._column:
                yield f"column {name} stands {times} times, and was not read"


def nameless(message: str, name: str) -> str:
    """Return a message about a file without its name in front."""
    return message.removeprefix(f"{name}: ")


def _measured(measures: VectorMeasures) -> dict[str, Any]:
    smallest, mean, largest = measures.lengths()
    return {
        "dimension": measures.dimension,
        "number_type": measures.kind.number_type,
        "vectors": measures.vectors,
        "null_vectors": measures.null.count,
        "first_null_row": measures.null.first,
        "other_dimension_vectors": measures.other_dimension.count,
        "first_other_dimension_row": measures.other_dimension.first,
        "non_finite_vectors": measures.non_finite.count,
        "first_non_finite_row": measures.non_finite.first,
        "zero_vectors": measures.zero.count,
        "first_zero_row": measures.zero.first,
        "smallest_length": smallest,
        "mean_length": mean,
        "largest_length": largest,
        "all_length_1": None if largest is None else not measures.other_length.count,
        "first_other_length_row": measures.other_length.first,
    }


# --- What it must not have -----------------------------------------------------------------------


def metadata_of(schema: pa.Schema) -> tuple[dict[str, Any], list[str]]:
    """Return how the embeddings were made, where the file says it, and what is wrong with that."""
    text = (schema.metadata or {}).get(OUTPUT_METADATA_KEY)
    if text is None:
        return {}, []
    try:
        found = orjson.loads(text)
        orjson.dumps(found)  # nested no deeper than others can take
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        found = None
    if isinstance(found, dict):
        return found, []
    return {}, ["its metadata, key fnet, is no JSON object"]


def _is_described(schema: pa.Schema, column: str) -> bool:
    """Whether the metadata is about this column, and not about another in the file."""
    return column == EMBEDDING_COLUMN or EMBEDDING_COLUMN not in schema.names


def _contradictions(stated: dict[str, Any], kind: VectorType) -> Iterator[str]:
    """Yield what the metadata says and the column's type is not."""
    pooling, number_type = stated.get("pooling"), stated.get("output_dtype")
    if isinstance(pooling, str) and (pooling == Pooling.TOKENS) != kind.by_token:
        has = "token" if kind.by_token else "row"
        yield f"its metadata says pooling {pooling:.40}, and it has a vector a {has}"
    if isinstance(number_type, str) and number_type != kind.number_type:
        yield f"its metadata says {number_type:.40}, and its numbers are {kind.number_type}"


def _judged(reading: _Reading, stated: dict[str, Any]) -> Iterator[str]:
    """Yield what vectors of an output never are."""
    measures = reading.measures
    if measures is None:
        return
    dimension = measures.dimension
    other = f"not of dimension {dimension}" if dimension else "without numbers"
    found = [
        (measures.non_finite, "has a NaN or infinite number", "have a NaN or infinite number"),
        (measures.null, "is null or has a null in it", "are null or have a null in them"),
        (measures.other_dimension, f"is {other}", f"are {other}"),
    ]
    if stated.get("normalize") is True:
        length = "not of length 1, as its metadata says"
        found.append((measures.other_length, f"is {length}", f"are {length}"))
    for tally, one, many in found:
        place = f"{reading.unit} {tally.first}"
        if tally.count == 1:
            yield f"1 vector {one}: {place}"
        elif tally.count:
            yield f"{tally.count:,} vectors {many}: the first in {place}"
