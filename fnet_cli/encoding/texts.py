"""Texts as a source of token rows: what is tokenized while it is read looks like a file of ids.

So everything behind the readers is the same for texts and for ids, and `fnet encode` of texts
gives what `fnet tokenize` and then `fnet encode` give.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.constants import CHUNK_COLUMNS, MAX_READ_BYTES, TOKENS_METADATA_KEY
from fnet_cli.encoding.options import EncodeOptions, OnNull, TextOptions
from fnet_cli.encoding.readers.base import (
    Fault,
    FaultyRowsError,
    RowBatch,
    RowSource,
    TypeCheck,
    column_type,
)
from fnet_cli.encoding.readers.partitions import PartitionedSource
from fnet_cli.encoding.readers.text import TextFile, TextStream
from fnet_cli.errors import InputDataError, PresetError, UsageError
from fnet_cli.presets.resolving import LocalPreset
from fnet_cli.tokenizer.packing import pack, special_tokens
from fnet_cli.tokenizer.tokenizer import FNetTokenizer

_IDS = pa.list_(pa.int32())
_CHUNK_TYPES = (pa.int64(), pa.int32(), pa.int64(), pa.int64())
_CHUNK_FIELDS = tuple(map(pa.field, CHUNK_COLUMNS, _CHUNK_TYPES))


@dataclass(frozen=True)
class Tokenizing:
    """How texts become rows: with what, cut to which length, into which columns.

    `limit` is how many texts are read, all sources together.
    """

    tokenizer: FNetTokenizer
    text: TextOptions
    sequence_length: int
    token_column: str
    segment_column: str
    limit: int | None = None
    tolerant: bool = False

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """The columns that are made."""
        ids = (pa.field(self.token_column, _IDS), pa.field(self.segment_column, _IDS))
        return ids if self.text.chunk is None else (*_CHUNK_FIELDS, *ids)


class TokenizedSource:
    """A source with a column of text, and the columns of ids that are made of it.

    Columns of ids that `inner` has by the same names are left out: the text was asked for. A row
    is one of `inner`'s, or a chunk of one. `documents` and `rejected` count the rows of
    `inner` that the last reading has met, and those of them that it left out. `documents_before` is
    how many other sources have, where there is no source `before`.

    Raises InputDataError for a column that is missing, is no text, or is named as those of chunks.
    """

    def __init__(
        self,
        inner: RowSource,
        how: Tokenizing,
        before: TokenizedSource | None = None,
        *,
        documents_before: int = 0,
    ) -> None:
        self.name = inner.name
        self.schema: pa.Schema = inner.schema
        self.rows = inner.rows if how.text.chunk is None else None
        self.documents = self.rejected = 0
        self.damage = inner.damage
        self.inner = inner
        self.row_ends = inner.row_ends
        self.how = how
        self._before, self._documents_before = before, documents_before
        self._first: int | None = None  # of its documents, as the last reading has met it
        if not inner.schema.names and inner.rows == 0:  # an empty JSON lines file
            return
        _check_columns(inner, how)
        ids = (how.token_column, how.segment_column)
        kept = [field for field in inner.schema if field.name not in ids]
        metadata = dict(inner.schema.metadata or {})
        metadata.pop(TOKENS_METADATA_KEY, None)  # it is of the ids that are left out
        self.schema = pa.schema([*kept, *how.fields], metadata)

    @property
    def end(self) -> int:
        """How many documents there have been up to the end of this source."""
        # A loop, and only over sources that were not read: there may be thousands.
        total, source = 0, self
        while True:
            total += source.documents
            if source._first is not None:
                return total + source._first
            if source._before is None:
                return total + source._documents_before
            source = source._before

    def token_count(self, column: str) -> int | None:  # noqa: ARG002 - the interface's
        """Return None: it is known when all is tokenized."""
        return None

    def first_other(self, column: str, accept: TypeCheck) -> str:
        """Return the place of the first value, in the inner source, that `accept` refuses."""
        return self.inner.first_other(column, accept)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows in order; InputDataError for a text that is null or not UTF-8.

        The `start`-th is one of `inner`'s: 0 where a text may become several rows or none.
        """
        self.documents, self.rejected = start, 0
        self._first = self._before.end if self._before else self._documents_before
        left = sys.maxsize if self.how.limit is None else self.how.limit - self.end
        if left <= 0:
            return
        made = {field.name for field in self.how.fields}
        kept = [name for name in columns if name not in made]
        wanted = list(dict.fromkeys([*kept, *self.how.text.columns]))
        for rows in self.inner.batches(wanted, max_rows, start):
            taken = rows.slice(0, min(left, len(rows.numbers)))
            left -= len(taken.numbers)
            for tokenized in self.tokenized(taken, kept, max_rows):
                yield replace(tokenized, batch=tokenized.batch.select(list(columns)))
            if not left:
                return

    def tokenized(self, rows: RowBatch, kept: list[str], max_rows: int) -> Iterator[RowBatch]:
        """Yield the rows with the new columns beside those of theirs that are kept."""
        documents = np.arange(self.end, self.end + len(rows.numbers))
        self.documents += len(rows.numbers)
        rows, texts = self._texts(rows)
        if kept:  # a batch without columns would not know how many rows it has
            rows = replace(rows, batch=rows.batch.select(kept))
        if any(array.null_count for array in texts):  # they are to be skipped
            valid = [array.is_valid().to_numpy(zero_copy_only=False) for array in texts]
            present = np.flatnonzero(np.logical_and.reduce(valid))
            self.rejected += len(documents) - len(present)
            rows, documents = _take(rows, present), documents[present]
            texts = [array.take(pa.array(present)) for array in texts]
        if self.how.text.chunk is None:
            yield self._packed(rows, texts)
        else:
            yield from self._chunked(rows, texts[0], documents, max_rows)

    def _texts(self, rows: RowBatch) -> tuple[RowBatch, list[pa.Array]]:
        """Return the texts of each column, empty where the row has a fault that is tolerated."""
        faults = dict(rows.faults)
        texts = []
        for name in self.how.text.columns:
            try:
                texts.append(_read_texts(rows, name, self.how.text, faults))
            except FaultyRowsError as error:
                if not self.how.tolerant:
                    raise
                for row, reason in error.faults.items():
                    faults.setdefault(row, Fault(reason))
                texts.append(_read_texts(rows, name, self.how.text, faults))
        return replace(rows, faults=faults), texts

    def _packed(self, rows: RowBatch, texts: list[pa.Array]) -> RowBatch:
        how = self.how
        ids = [how.tokenizer.tokenize_arrow(array) for array in texts]
        second = ids[1] if len(ids) > 1 else None
        packed = pack(
            how.tokenizer.special, ids[0], second, how.sequence_length, how.text.pair_truncate
        )
        made = _with_columns(rows, how.fields, [packed.token_ids, packed.segment_ids])
        return replace(made, cut=packed.tokens_cut)

    def _chunked(
        self, rows: RowBatch, texts: pa.Array, documents: np.ndarray, max_rows: int
    ) -> Iterator[RowBatch]:
        how = self.how
        chunks = how.tokenizer.chunks(texts, how.text.chunk or 0, how.text.overlap)
        step = min(max_rows, _most_copies(rows.batch))
        for start in range(0, len(chunks), step):
            part = slice(start, start + step)
            of = chunks.document[part]
            packed = pack(how.tokenizer.special, chunks.token_ids[part])
            places = (documents[of], chunks.number[part], chunks.starts[part], chunks.ends[part])
            arrays = [
                pa.array(values, field.type)
                for values, field in zip(places, _CHUNK_FIELDS, strict=True)
            ]
            made = [*arrays, packed.token_ids, packed.segment_ids]
            yield _with_columns(_take(rows, of), how.fields, made)


def text_in_force(options: EncodeOptions, sources: Sequence[RowSource]) -> TextOptions | None:
    """Return how the job reads texts, or None where its rows are ids: plain text says it itself."""
    plain = any(map(_is_plain_text, sources))
    return options.text or (TextOptions() if plain else None)


def _is_plain_text(source: RowSource) -> bool:
    inner = source.inner if isinstance(source, PartitionedSource) else source
    return isinstance(inner, TextFile | TextStream)


def tokenized_sources(sources: Sequence[RowSource], how: Tokenizing) -> tuple[TokenizedSource, ...]:
    """Wrap every source, one counting on from the other."""
    wrapped: list[TokenizedSource] = []
    for source in sources:
        wrapped.append(TokenizedSource(source, how, wrapped[-1] if wrapped else None))
    return tuple(wrapped)


def tokenizing_with(
    preset: LocalPreset,
    options: EncodeOptions,
    text: TextOptions,
    sequence_length: int,
    tokenizer_of: Callable[[LocalPreset], FNetTokenizer],
) -> Tokenizing:
    """Return how a job tokenizes, with what `tokenizer_of` loads of the preset.

    Raises PresetError for a preset without one, or with more pieces than its model has ids, and
    UsageError where the sequence length has no room.
    """
    extra = special_tokens(pair=text.pair_column is not None)
    if sequence_length < extra:
        raise UsageError(
            f"a sequence length of {sequence_length} has no room for the {extra} special tokens"
        )
    if text.chunk is not None and text.chunk + extra > sequence_length:
        raise UsageError(
            f"--chunk {text.chunk} and {extra} special tokens are over the sequence length of "
            f"{sequence_length}",
            hint=f"use {sequence_length - extra} or less",
        )
    if preset.vocabulary is None:
        raise PresetError(
            f"{preset.handle} has no tokenizer, which text needs",
            hint="encode files of token ids with it, or take a preset that has a vocabulary",
        )
    tokenizer = tokenizer_of(preset)
    pieces, ids = tokenizer.special.vocabulary_size, preset.config.vocabulary_size
    if pieces > ids:
        raise PresetError(f"{preset.vocabulary}: {pieces} pieces, the model has {ids} ids")
    return Tokenizing(
        tokenizer,
        text,
        sequence_length,
        *options.id_columns,
        limit=options.limit,
        tolerant=options.tolerates,
    )


def documents_read(sources: Sequence[RowSource]) -> int | None:
    """Return how many texts have been read, or None where rows were ids."""
    texts = [source for source in sources if isinstance(source, TokenizedSource)]
    return sum(source.documents for source in texts) if texts else None


def rejected_rows(sources: Sequence[RowSource]) -> int:
    """Return how many rows have been left out for their text."""
    return sum(source.rejected for source in sources if isinstance(source, TokenizedSource))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, or nothing yet."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_null,
    )
    return any(check(kind) for check in checks)


def _check_columns(source: RowSource, how: Tokenizing) -> None:
    flags = ("--text-column", "--pair-column")
    for flag, name in zip(flags, how.text.columns, strict=False):
        kind = column_type(source, name)
        if not is_text(kind):
            raise InputDataError(
                f"{source.name}{source.first_other(name, is_text)}: column {name} is {kind}, "
                "not text",
                hint=f"name another with {flag}",
            )
    for name in CHUNK_COLUMNS if how.text.chunk else ():
        if name in source.schema.names:
            raise InputDataError(
                f"{source.name}: there is a column {name} already",
                hint="--chunk adds one of that name: rename it, or leave it out before",
            )


def _read_texts(
    rows: RowBatch, name: str, text: TextOptions, faults: Mapping[int, Fault]
) -> pa.Array:
    """Return a column's texts, null only where such rows are to be skipped, empty in `faults`.

    Raises FaultyRowsError for those that are null otherwise, or not UTF-8.
    """
    array = rows.batch.column(name)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    if faults:
        faulty = np.isin(np.arange(len(array)), list(faults))
        array = pc.if_else(pa.array(faulty), pa.scalar("", array.type), array)
    if array.null_count and text.on_null is OnNull.ERROR:
        null = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist()
        raise FaultyRowsError(
            rows,
            dict.fromkeys(null, f"column {name} is null"),
            hint="--on-null empty takes it for an empty text, skip leaves the row out",
        )
    if array.null_count and text.on_null is OnNull.EMPTY:
        array = pc.fill_null(array, "")
    _check_utf8(rows, array, name)
    return array


def _check_utf8(rows: RowBatch, array: pa.Array, name: str) -> None:
    """Raise FaultyRowsError for texts that are not UTF-8, as a Parquet file may hold."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        faults = {}
        for row, value in enumerate(array.cast(pa.large_binary())):
            try:
                (value.as_py() or b"").decode()
            except UnicodeDecodeError as error:
                faults[row] = (
                    f"column {name}: not valid UTF-8: byte {error.start + 1} of the text is "
                    f"0x{error.object[error.start]:02x}"
                )
        if not faults:
            raise
        raise FaultyRowsError(rows, faults, hint="write the text as UTF-8") from None


def _most_copies(batch: pa.RecordBatch) -> int:
    """Return how many times a row may stand in a batch: chunks repeat their document's columns."""
    sizes = [
        pc.max(pc.binary_length(column)).as_py() or 0
        for column in batch.columns
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ]
    return max(1, MAX_READ_BYTES // max(1, sum(sizes)))


def _take(rows: RowBatch, indices: np.ndarray) -> RowBatch:
    faults = {}
    if rows.faults:
        numbered = enumerate(indices.tolist())
        faults = {at: rows.faults[index] for at, index in numbered if index in rows.faults}
    return replace(rows.taken(indices), faults=faults)


def _with_columns(
    rows: RowBatch, fields: Sequence[pa.Field], arrays: Sequence[pa.Array]
) -> RowBatch:
    schema = pa.schema([*rows.batch.schema, *fields])
    columns = [*rows.batch.columns, *arrays]
    return replace(rows, batch=pa.RecordBatch.from_arrays(columns, schema=schema))
