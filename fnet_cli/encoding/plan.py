"""Everything about a job that can be known, and refused, before a model is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa

from fnet_cli.config import Settings
from fnet_cli.constants import (
    COMPILING_PAYS_OPERATIONS,
    EMBEDDING_COLUMN,
    MAX_WINDOW_ROWS,
    OUTPUT_METADATA_KEY,
    SEGMENT_COLUMN,
    WINDOW_BYTES,
    __version__,
)
from fnet_cli.encoding.batching import BatchShape, padded_lengths
from fnet_cli.encoding.engine.devices import parse_device
from fnet_cli.encoding.options import EncodeOptions, FileFormat, OutputDtype, Padding, Pooling
from fnet_cli.encoding.readers.base import RowSource, column_type
from fnet_cli.encoding.readers.opening import STANDARD_STREAM, format_of, open_source
from fnet_cli.encoding.rows import is_id_list
from fnet_cli.encoding.writer import OutputTarget, check_space, output_path
from fnet_cli.errors import InputDataError, PresetError, UsageError
from fnet_cli.presets.fingerprint import weights_sha256
from fnet_cli.presets.pulling.events import EventCallback
from fnet_cli.presets.resolving import LocalPreset, resolve_preset

# A float as text: sign, eight digits, point, exponent or comma.
_JSONL_BYTES_PER_NUMBER = 12


@dataclass(frozen=True)
class JobPlan:
    """A checked job.

    `rows` and `tokens` are totals where the inputs state them. `expected_bytes` is the size of
    the embeddings alone, uncompressed. `segments` says per source whether it has segment ids.
    """

    options: EncodeOptions
    preset: LocalPreset
    weights_sha256: str
    sources: tuple[RowSource, ...]
    segments: tuple[bool, ...]
    passthrough: tuple[str, ...]
    shape: BatchShape
    target: OutputTarget
    rows: int | None
    tokens: int | None

    @property
    def segment_column(self) -> str:
        """The name of the segment column."""
        return self.options.segment_column or SEGMENT_COLUMN

    @property
    def window_rows(self) -> int:
        """How many rows are grouped, encoded and written together."""
        return self.target.row_group_rows

    @property
    def is_worth_compiling(self) -> bool:
        """Whether a graph for each shape of batch pays: few shapes, and enough work for each.

        It depends on the job alone, not on how fast it turns out to be, so that a job that is
        run again gives the same numbers.
        """
        padding = self.options.padding
        if padding is Padding.NONE:
            return False  # a shape for each length
        if self.operations is None:
            return padding is Padding.MAX
        return self.operations >= COMPILING_PAYS_OPERATIONS[padding]

    @property
    def operations(self) -> int | None:
        """About how many multiplications and additions the job takes; None if it cannot be told."""
        fixed = self.options.padding is Padding.MAX and self.rows is not None
        tokens = self.rows * self.shape.sequence_length if fixed and self.rows else self.tokens
        config = self.preset.config
        per_token = 4 * config.num_layers * config.hidden_dim * config.intermediate_dim
        return None if tokens is None else per_token * tokens

    @property
    def typical_width(self) -> int:
        """The padded length of a row of the mean length, as far as it is known."""
        most = self.shape.sequence_length
        mean = self.tokens // self.rows if self.tokens and self.rows else most
        return int(padded_lengths(np.array([mean]), self.shape)[0])

    @property
    def expected_bytes(self) -> int | None:
        """Bytes that the embeddings will take, or None where the inputs state no counts."""
        vectors = self.tokens if self.options.pooling is Pooling.TOKENS else self.rows
        kind = self.target.format
        return None if vectors is None else vectors * _vector_bytes(self.options, self.preset, kind)


def _vector_bytes(options: EncodeOptions, preset: LocalPreset, kind: FileFormat) -> int:
    if kind is FileFormat.JSONL:
        return preset.config.hidden_dim * _JSONL_BYTES_PER_NUMBER
    width = 2 if options.output_dtype is OutputDtype.FLOAT16 else 4
    return preset.config.hidden_dim * width


def _window_rows(options: EncodeOptions, preset: LocalPreset, length: int) -> int:
    """Return how many embeddings fill a window; where tokens keep theirs, of full-length rows."""
    vectors = length if options.pooling is Pooling.TOKENS else 1
    row_bytes = 4 * preset.config.hidden_dim * vectors  # they are computed in float32
    return max(options.batch_size or 1, min(WINDOW_BYTES // row_bytes, MAX_WINDOW_ROWS))


def _output_path(options: EncodeOptions) -> Path | None:
    if options.output == STANDARD_STREAM:
        return None
    return output_path(options.output, overwrite=options.overwrite)


def make_plan(
    options: EncodeOptions,
    settings: Settings,
    stdin: BinaryIO | None,
    on_pull: EventCallback | None = None,
) -> JobPlan:
    """Check a job against its preset, its inputs and its output.

    Opens every input and reads schemas and footers (JSON lines files once through), and pulls a
    missing preset if `on_pull` is given. Raises UsageError, PresetError, NetworkError,
    InputDataError or OutputError; nothing has been written then.
    """
    _check_options(options)
    kind, path = _output_format(options), _output_path(options)
    _check_not_an_input(options, path)
    preset = resolve_preset(options.preset, settings, on_pull)
    shape = _batch_shape(options, preset)
    sha256 = weights_sha256(preset)
    sources = tuple(open_source(name, options.input_format, stdin) for name in options.inputs)
    segments = tuple(_check_ids(source, options) for source in sources)
    fields = _passthrough(sources, options)
    embedding = _embedding_type(options, preset.config.hidden_dim)
    record = _record(options, preset, shape, sha256)
    schema = _output_schema(sources[0].schema, fields, embedding, record)
    window = _window_rows(options, preset, shape.sequence_length)
    plan = _limited(
        JobPlan(
            options=options,
            preset=preset,
            weights_sha256=sha256,
            sources=sources,
            segments=segments,
            passthrough=tuple(field.name for field in fields),
            shape=shape,
            target=OutputTarget(path, kind, options.compression, schema, window),
            rows=_total([source.rows for source in sources]),
            tokens=_total([source.token_count(options.token_column) for source in sources]),
        )
    )
    if path is not None and plan.expected_bytes:
        check_space(path, plan.expected_bytes)
    return plan


def _check_options(options: EncodeOptions) -> None:
    if not options.inputs:
        raise UsageError("there is no input")
    if options.inputs.count(STANDARD_STREAM) > 1:
        raise UsageError("standard input (-) stands twice among the inputs")
    if options.batch_size is not None and options.batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, not {options.batch_size}")
    if options.limit is not None and options.limit < 0:
        raise UsageError(f"--limit must not be negative, it is {options.limit}")
    if options.token_column == (options.segment_column or SEGMENT_COLUMN):
        raise UsageError(f"token and segment column are both {options.token_column}")
    parse_device(options.device)


def _output_format(options: EncodeOptions) -> FileFormat:
    if options.output == STANDARD_STREAM:
        if options.format is FileFormat.PARQUET:
            raise UsageError("Parquet cannot be written to standard output", hint="name a file")
        return FileFormat.JSONL
    kind = options.format or format_of(options.output)
    if kind is None or (not options.format and options.output.endswith((".gz", ".zst"))):
        raise UsageError(
            f"{options.output}: the suffix does not tell the format",
            hint="end it with .parquet or .jsonl, or use --format",
        )
    return kind


def _check_not_an_input(options: EncodeOptions, path: Path | None) -> None:
    for name in options.inputs:
        if path is not None and name != STANDARD_STREAM and Path(os.path.realpath(name)) == path:
            raise UsageError(
                f"{options.output} is an input and the output", hint="write to another file"
            )


def _batch_shape(options: EncodeOptions, preset: LocalPreset) -> BatchShape:
    most = preset.config.max_sequence_length
    length = most if options.sequence_length is None else options.sequence_length
    if not 1 <= length <= most:
        raise UsageError(
            f"--sequence-length {length} is not in 1..{most}, the positions of {preset.handle}"
        )
    pad_id = options.pad_id
    special = preset.special_ids() if pad_id is None else None
    if special is not None:
        pad_id = special.pad
        if pad_id >= preset.config.vocabulary_size:
            raise PresetError(
                f"{preset.vocabulary}: <pad> is id {pad_id}, the model has "
                f"{preset.config.vocabulary_size} ids"
            )
    if pad_id is not None and not 0 <= pad_id < preset.config.vocabulary_size:
        raise UsageError(
            f"--pad-id {pad_id} is not in 0..{preset.config.vocabulary_size - 1}, "
            f"the ids of {preset.handle}"
        )
    return BatchShape(options.padding, length, pad_id)


def _check_ids(source: RowSource, options: EncodeOptions) -> bool:
    """Check the id columns' types; return whether the source has segment ids."""
    if source.rows == 0 and not source.schema.names:
        return False  # an empty JSON lines file has no columns, and is valid
    columns = [options.token_column]
    if options.segment_column or SEGMENT_COLUMN in source.schema.names:
        columns.append(options.segment_column or SEGMENT_COLUMN)
    for name in columns:
        kind = column_type(source, name)
        if not is_id_list(kind):
            raise InputDataError(
                f"{source.name}{source.first_other(name, is_id_list)}: column {name} is {kind}, "
                "not lists of integers",
                hint="name another with --token-column or --segment-column",
            )
    return len(columns) == 2


def _passthrough(sources: tuple[RowSource, ...], options: EncodeOptions) -> list[pa.Field]:
    """Return the input columns that the output repeats; every source must have them alike."""
    first = next((source for source in sources if source.schema.names), sources[0])
    if options.columns is not None:
        names = list(dict.fromkeys(options.columns))
    else:
        ids = {options.token_column, options.segment_column or SEGMENT_COLUMN}
        names = [name for name in first.schema.names if name not in ids]
        for source in sources:
            extra = set(source.schema.names) - set(first.schema.names) - ids
            if extra:
                raise InputDataError(
                    f"{source.name}: column {min(extra)} is not in {first.name}",
                    hint="choose the columns to keep with --columns",
                )
    if EMBEDDING_COLUMN in names:
        raise InputDataError(
            f"{first.name}: there is a column {EMBEDDING_COLUMN} already",
            hint="leave it out by naming the columns to keep with --columns",
        )
    for source in sources:
        if source.rows == 0 and not source.schema.names:
            continue
        for name in names:
            kind = column_type(source, name)
            if kind != first.schema.field(name).type:
                raise InputDataError(
                    f"{source.name}: column {name} is {kind}, in {first.name} it is "
                    f"{first.schema.field(name).type}"
                )
    return [first.schema.field(name) for name in names] if first.schema.names else []


def _output_schema(
    source: pa.Schema, fields: list[pa.Field], embedding: pa.DataType, record: dict[str, Any]
) -> pa.Schema:
    metadata = {**(source.metadata or {}), OUTPUT_METADATA_KEY: orjson.dumps(record)}
    return pa.schema([*fields, pa.field(EMBEDDING_COLUMN, embedding, nullable=False)], metadata)


def _embedding_type(options: EncodeOptions, hidden_dim: int) -> pa.DataType:
    number = pa.float16() if options.output_dtype is OutputDtype.FLOAT16 else pa.float32()
    # Declared non-null, since no job writes a null.
    vector = pa.list_(pa.field("element", number, nullable=False), hidden_dim)
    if options.pooling is Pooling.TOKENS:
        return pa.list_(pa.field("element", vector, nullable=False))
    return vector


def _record(
    options: EncodeOptions, preset: LocalPreset, shape: BatchShape, sha256: str
) -> dict[str, Any]:
    """Return how the embeddings are made, as the output's metadata says it."""
    return {
        "preset": preset.handle,
        "weights_sha256": sha256,
        **options.recorded(),
        "sequence_length": shape.sequence_length,
        "pad_id": shape.pad_id,
        "version": __version__,
    }


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _limited(plan: JobPlan) -> JobPlan:
    limit = plan.options.limit
    if limit is None or plan.rows is None or plan.rows <= limit:
        return plan
    tokens = None if plan.tokens is None else plan.tokens * limit // plan.rows
    return replace(plan, rows=limit, tokens=tokens)
