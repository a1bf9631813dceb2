"""Embeddings in memory, for programs and notebooks: the rows of a job without its files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypedDict, Unpack

import numpy as np
import pyarrow as pa

from fnet_cli.config import Settings
from fnet_cli.constants import EMBEDDING_COLUMN, OUTPUT_METADATA_KEY, TEXT_COLUMN, TOKEN_COLUMN
from fnet_cli.encoding.checking import check_options
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.model import Model
from fnet_cli.encoding.options import (
    ComputeDtype,
    EncodeOptions,
    OnNull,
    OutputDtype,
    OutputFormat,
    Padding,
    Pooling,
    SettingsInForce,
    TextOptions,
    Truncate,
)
from fnet_cli.encoding.output.journal import Checkpoint, Counts
from fnet_cli.encoding.output.sinks import row_vectors
from fnet_cli.encoding.plan import JobPlan, embedding_type, plan_rows, settle
from fnet_cli.encoding.readers.base import FaultyRowsError
from fnet_cli.encoding.readers.expanding import InputFiles
from fnet_cli.encoding.readers.tables import TableRows
from fnet_cli.encoding.rejecting import Rejected
from fnet_cli.encoding.report import ProgressCallback
from fnet_cli.encoding.rows_in import rows_of
from fnet_cli.encoding.running import Run, Work
from fnet_cli.encoding.showing import progress_bar
from fnet_cli.encoding.tally import JobTally
from fnet_cli.encoding.values import Values, as_values, is_of_pandas
from fnet_cli.errors import InputDataError, UsageError
from fnet_cli.presets.pulling.events import ignore
from fnet_cli.presets.resolving import LocalPreset, resolve_preset

# Models that were sent to this process and are kept for what is sent next: those of a few
# jobs that share it, in turn.
_MODELS_KEPT = 2
_REPAIR = "leave such rows out, or repair them; on_null='empty' takes a null for an empty text"


class EncoderChoices(TypedDict, total=False):
    """How an `Encoder` embeds; what is left out is as `fnet encode` has it.

    A choice is given by its name or as a value of its enum. `text_column`, `pair_column`,
    `token_column` and `segment_column` are what a table is read by. `on_null` is what
    becomes of a text that is null: `error` or `empty`. `compiled` asks for a graph for each shape
    of batch, which takes a second to make, and is faster then; left out, the number of rows that
    the encoder is given first decides. `own_process` lets it set how many threads the backend has
    in all of the process.
    """

    pooling: Pooling | str
    normalize: bool
    padding: Padding | str
    sequence_length: int
    truncate: Truncate | str
    pad_id: int
    dtype: ComputeDtype | str
    output_dtype: OutputDtype | str
    device: str
    batch_size: int
    text_column: str
    pair_column: str
    token_column: str
    segment_column: str
    on_null: OnNull | str
    compiled: bool
    own_process: bool


_ENUMS: dict[str, type[StrEnum]] = {
    "pooling": Pooling,
    "padding": Padding,
    "truncate": Truncate,
    "dtype": ComputeDtype,
    "output_dtype": OutputDtype,
    "on_null": OnNull,
}
# Those that are no options of a job.
_OWN = ("text_column", "pair_column", "on_null", "compiled", "own_process")


class Encoder:
    """Embeds texts, token ids and tables, as `fnet encode` does files of them.

    `preset` is a name, a handle or a directory, empty for the default; one that is not here is
    pulled. The preset and the `choices` are checked at once, the model is loaded with the first
    rows and kept. An encoder may be used from several threads, and be sent to other processes,
    which load the model themselves. Raises UsageError, PresetError and NetworkError, and TypeError
    for a choice that there is none of.
    """

    def __init__(self, preset: str = "", **choices: Unpack[EncoderChoices]) -> None:
        unknown = set(choices) - set(EncoderChoices.__annotations__)
        if unknown:
            known = ", ".join(EncoderChoices.__annotations__)
            raise TypeError(f"{min(unknown)!r} is no choice of an Encoder; there are {known}")
        chosen: dict[str, Any] = {name: _chosen(name, value) for name, value in choices.items()}
        if chosen.get("on_null") is OnNull.SKIP:
            raise UsageError("on_null: an Encoder leaves out no row", hint="choose error or empty")
        self._arguments = preset, tuple(sorted(choices.items()))
        self._own = {name: chosen.pop(name) for name in _OWN if name in chosen}
        self._options = EncodeOptions(("-",), "-", preset, columns=(), **chosen)
        check_options(self._options)
        settings = Settings.from_env(os.environ)
        self._settled = settle(self._options, resolve_preset(preset, settings, ignore))
        self._context = JobContext(settings, engine_loader=self._load)
        self._model = Model(self._context)
        self._tokenizer = lru_cache(1)(LocalPreset.tokenizer)  # loaded once, like the model

    @classmethod
    def from_preset(cls, preset: str = "", **choices: Unpack[EncoderChoices]) -> Encoder:
        """Return the encoder of a preset, as the constructor does."""
        return cls(preset, **choices)

    def __reduce__(self) -> tuple[Callable[..., Encoder], tuple[Any, ...]]:
        return _sent, (type(self), *self._arguments)

    def __repr__(self) -> str:
        return f"Encoder({self.preset.handle!r}, dim={self.dim})"

    @property
    def preset(self) -> LocalPreset:
        """The preset, on this machine."""
        return self._settled.preset

    @property
    def dim(self) -> int:
        """The length of an embedding."""
        return self.preset.config.hidden_dim

    @property
    def settings(self) -> SettingsInForce:
        """How rows are embedded, and who chose that."""
        return self._settled.in_force

    # --- What is embedded ---------------------------------------------------------------------

    def encode(
        self, inputs: Any, *, segment_ids: Any = None, progress: bool | ProgressCallback = False
    ) -> Any:
        """Return the embeddings of all rows, in their order.

        Of texts, pairs of texts, or lists of token ids, in a list, an array (N, S), a NumPy or
        Arrow array or a pandas Series: an array (N, H) in float32, or in the `output_dtype`; of
        one text (H,). With `tokens` pooling, a list of N arrays (S, H). A pa.Table, a
        pa.RecordBatch or a pandas DataFrame comes back with a column `embedding`; it is read by
        the columns that were chosen, else by `token_ids`, or `text` where there are none.

        `progress` shows a bar, or is called with how far it is. Rows that are cut at the sequence
        length are warned of. Raises InputDataError for a row that cannot be used, with its number.
        """
        if isinstance(inputs, pa.Table):
            return self._with_embeddings(inputs, progress)
        if isinstance(inputs, pa.RecordBatch):
            table = self._with_embeddings(pa.Table.from_batches([inputs]), progress)
            return table.combine_chunks().to_batches()[0] if len(table) else _no_rows(table.schema)
        if is_of_pandas(inputs, "DataFrame"):
            return self._with_vectors(inputs, progress)
        one = isinstance(inputs, str)
        vectors = self._vectors(as_values([inputs] if one else inputs, segment_ids), progress)
        return vectors[0] if one else vectors

    def __call__(self, inputs: Any) -> Any:
        """Return what `encode` returns: what is asked for by Ray Data's `map_batches`."""
        return self.encode(inputs)

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield batches with their embeddings: what is asked for by Spark's `mapInArrow`.

        These are lists whose type states no length, since Spark knows no others.
        """
        for batch in batches:
            yield _without_lengths(self.encode(batch))

    def batches_schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema of what `batches` makes of batches of this schema."""
        return next(self.batches([_no_rows(schema)])).schema

    @property
    def embedding_type(self) -> pa.DataType:
        """The type of the column `embedding` of a table."""
        number = self._options.output_dtype
        return embedding_type(number, self.settings.pooling, self.dim)

    # --- How ------------------------------------------------------------------------------------

    def _load(self, request: EngineRequest) -> Engine:
        compiled = self._own.get("compiled")
        if compiled is not None:  # for however many shapes: it was asked for
            request = replace(request, fixed_shapes=compiled, one_shape=compiled)
        return load_engine(replace(request, own_process=self._own.get("own_process", False)))

    def _with_embeddings(self, table: pa.Table, progress: bool | ProgressCallback) -> pa.Table:
        values = self._of_table(table)
        plan, column = self._embedded(values, progress)
        made = plan.target.schema.field(EMBEDDING_COLUMN)
        record = {OUTPUT_METADATA_KEY: plan.target.schema.metadata[OUTPUT_METADATA_KEY]}
        table = table.append_column(made, column)
        return table.replace_schema_metadata({**(table.schema.metadata or {}), **record})

    def _with_vectors(self, frame: Any, progress: bool | ProgressCallback) -> Any:
        names = [name for name in self._columns(list(frame.columns)) if name in frame.columns]
        table = pa.Table.from_pandas(frame[names], preserve_index=False)
        _refuse_embeddings(list(frame.columns))
        vectors = self._vectors(self._of_table(table), progress)
        return frame.assign(**{EMBEDDING_COLUMN: list(vectors)})

    def _vectors(self, values: Values, progress: bool | ProgressCallback) -> Any:
        """Return an array (N, H), or with `tokens` pooling a list of arrays (S, H)."""
        column = self._embedded(values, progress)[1]
        if self.settings.pooling is not Pooling.TOKENS:
            return _matrix(column, self.dim)
        return [rows for chunk in column.chunks if len(chunk) for rows in row_vectors(chunk)]

    def _of_table(self, table: pa.Table) -> Values:
        _refuse_embeddings(table.schema.names)
        texts = self._columns(table.schema.names)
        is_of_ids = texts[0] == self._options.token_column
        return Values("table", table.select(_known(texts, table)), () if is_of_ids else texts)

    def _columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that a table is read by: of text, or those of ids."""
        text, pair = self._own.get("text_column"), self._own.get("pair_column")
        if text is None and pair is None:
            ids = self._options.id_columns
            if ids[0] in names or TEXT_COLUMN not in names or ids[0] != TOKEN_COLUMN:
                return ids
        return (text or TEXT_COLUMN,) if pair is None else (text or TEXT_COLUMN, pair)

    def _embedded(
        self, values: Values, progress: bool | ProgressCallback
    ) -> tuple[JobPlan, pa.ChunkedArray]:
        """Return the plan of the rows, and the column of their embeddings."""
        plan = self._plan(values)
        output = _Column()
        with ExitStack() as stack:
            listener = progress if callable(progress) else lambda _progress: None
            if progress is True:
                listener = stack.enter_context(progress_bar())
            context = replace(self._context, on_progress=listener)
            work = Work(self._model, JobTally(context, plan.rows), lambda: False)
            try:
                record = Run(plan, work).complete(output)
            except FaultyRowsError as error:
                error.hint = _REPAIR  # a job's speaks of its flags
                raise
        if record.rows_truncated:
            warnings.warn(
                f"{record.rows_truncated:,} of {record.rows_in:,} rows were longer than "
                f"{plan.shape.sequence_length} tokens, and were cut",
                stacklevel=4,
            )
        kind = plan.target.schema.field(EMBEDDING_COLUMN).type
        return plan, pa.chunked_array(output.arrays, kind)

    def _plan(self, values: Values) -> JobPlan:
        text = None
        if values.columns:
            on_null = self._own.get("on_null", OnNull.ERROR)
            column, *pair = values.columns
            text = TextOptions(column, next(iter(pair), None), on_null=on_null)
        options = replace(self._options, inputs=(values.name,), text=text)
        source = TableRows(values.name, values.table)
        length = self.settings.sequence_length
        rows = rows_of((source,), options, self.preset, length, self._tokenizer)
        files = InputFiles((values.name,))
        return plan_rows(options, self._settled, (files, rows), (OutputFormat.PARQUET, None))


@lru_cache(_MODELS_KEPT)
def _sent(kind: type[Encoder], preset: str, choices: tuple[tuple[str, Any], ...]) -> Encoder:
    """Return the encoder that was sent here: the same for all that are alike."""
    return kind(preset, **dict(choices))


@dataclass
class _Column:
    """Keeps the embeddings of a run."""

    begun: Checkpoint | None = None
    rejected: str | None = None
    arrays: list[pa.Array] = field(default_factory=list)

    def write(self, batch: pa.RecordBatch, counts: Counts, rejected: Sequence[Rejected]) -> None:  # noqa: ARG002 - the interface's
        """Keep the embeddings of more rows."""
        self.arrays.append(batch.column(EMBEDDING_COLUMN))

    def ran_on(self, device: str, batch_tokens: int | None) -> None:
        """Nothing is gone on with."""

    def close(self, rejected: Sequence[Rejected]) -> int:  # noqa: ARG002 - the interface's
        """Return how many rows there are."""
        return sum(map(len, self.arrays))


def _chosen(name: str, value: Any) -> Any:
    kind = _ENUMS.get(name)
    if kind is None:
        return value
    try:
        return kind(value)
    except ValueError:
        raise UsageError(
            f"{name} {value!r} is none of {', '.join(member.value for member in kind)}"
        ) from None


def _matrix(column: pa.ChunkedArray, dim: int) -> np.ndarray:
    """Return a column of vectors as (N, H)."""
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    number = column.type.value_type.to_pandas_dtype()
    joined = np.concatenate(flat) if flat else np.empty(0, number)
    return joined.reshape(-1, dim)


def _known(names: Sequence[str], table: pa.Table) -> list[str]:
    """Return those of the columns that a table has; all of them where a needed one lacks."""
    return [name for name in names if name in table.schema.names]


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    arrays = [pa.array([], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _without_lengths(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose embeddings are lists of any length, as far as their type says."""
    at = batch.schema.get_field_index(EMBEDDING_COLUMN)
    vector = batch.schema.field(at).type
    kind = (
        _list_of(vector)
        if pa.types.is_fixed_size_list(vector)
        else pa.list_(vector.value_field.with_type(_list_of(vector.value_type)))
    )
    field = batch.schema.field(at).with_type(kind)
    return batch.set_column(at, field, batch.column(at).cast(kind))


def _list_of(vector: pa.DataType) -> pa.DataType:
    return pa.list_(vector.value_field)


def _refuse_embeddings(names: Sequence[str]) -> None:
    if EMBEDDING_COLUMN in names:
        raise InputDataError(
            f"table: there is a column {EMBEDDING_COLUMN} already", hint="rename or drop it"
        )
