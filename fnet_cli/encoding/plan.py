"""Everything about a job that can be known, and refused, before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
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
    TYPICAL_TOKENS,
    WINDOW_BYTES,
    WINDOW_OPERATIONS,
    WINDOW_TOKENS,
    __version__,
)
from fnet_cli.encoding.batching import BatchShape, padded_lengths
from fnet_cli.encoding.checking import (
    check_options,
    check_output,
    check_sequence_length,
    is_in_parts,
    is_made_of_parts,
    refuse_column,
    total,
)
from fnet_cli.encoding.options import (
    EncodeOptions,
    OnError,
    OutputDtype,
    OutputFormat,
    Padding,
    Pooling,
    SettingsInForce,
    TextOptions,
    settings_in_force,
)
from fnet_cli.encoding.output.journal import SUFFIX, JobDirectory
from fnet_cli.encoding.output.parts import has_parts
from fnet_cli.encoding.output.places import WHOLE, LocalPlace, Place
from fnet_cli.encoding.output.stored_place import StoredPlace
from fnet_cli.encoding.output.target import OutputTarget, check_space, rejected_path
from fnet_cli.encoding.readers.base import RowSource
from fnet_cli.encoding.readers.expanding import InputFiles, expanded
from fnet_cli.encoding.rows_in import RowsIn, open_rows
from fnet_cli.errors import PresetError, UsageError
from fnet_cli.presets.fingerprint import weights_sha256
from fnet_cli.presets.pulling.events import EventCallback
from fnet_cli.presets.resolving import LocalPreset, resolve_preset
from fnet_cli.stores import Stores, is_uri, scheme_of
from fnet_cli.units import show_bytes

# A float as text: sign, eight digits, point, exponent or comma.
_JSONL_BYTES_PER_NUMBER = 12
# S3 takes an object in ten thousand pieces, and Arrow sends 10 MiB in each.
_MOST_IN_S3 = 10_000 * 10 * 1024**2


@dataclass(frozen=True)
class JobPlan:
    """A checked job.

    `options` are as they were asked for, but that `inputs` are files; where they leave a choice to
    the preset, `in_force` has it. `rows` and `tokens` are totals where the inputs state them.
    `expected_bytes` is the size of the embeddings alone, uncompressed. `segments` says per source
    whether it has segment ids. With `text`, the sources are `TokenizedSource`s; `text_record` is
    what the output says of them. `rows_are_made` where texts become several rows or none. That of
    a fragment is `part_of` the plan of the whole job, whose rows decide how it is computed.
    """

    options: EncodeOptions
    in_force: SettingsInForce
    preset: LocalPreset
    weights_sha256: str
    text: TextOptions | None
    files: InputFiles
    sources: tuple[RowSource, ...]
    segments: tuple[bool, ...]
    passthrough: tuple[str, ...]
    rows_are_made: bool
    text_record: Mapping[str, Any]
    shape: BatchShape
    target: OutputTarget
    rows: int | None
    tokens: int | None
    part_of: JobPlan | None = None

    @property
    def _whole(self) -> JobPlan:
        return self.part_of or self

    @property
    def segment_column(self) -> str:
        """The name of the segment column."""
        return self.options.id_columns[1]

    @property
    def window_rows(self) -> int:
        """How many rows are grouped, encoded and written together."""
        return self.target.row_group_rows

    @property
    def window_tokens(self) -> int:
        """How many tokens such rows may have, padding left out but for that to the maximum."""
        return max(1, min(int(WINDOW_OPERATIONS / self._operations(1)), WINDOW_TOKENS))

    @property
    def is_worth_compiling(self) -> bool:
        """Whether a graph for each shape of batch pays: few shapes, and enough work for each.

        The two round differently, so it depends on what is the same each time that a job is run,
        and for texts and the ids that they were turned into: on the number of rows, where each is
        a text and they are counted. Rows on a pipe are not: they may be few, and the first ones
        are waited for.
        """
        padding, length = self.in_force.padding, self.shape.sequence_length
        if padding is Padding.NONE:
            return False  # a shape for each length
        if self.rows_are_made:
            return padding is Padding.MAX
        rows = self._whole.rows
        if rows is None:
            return False
        width = length if padding is Padding.MAX else min(length, TYPICAL_TOKENS)
        return self._operations(rows * width) >= COMPILING_PAYS_OPERATIONS[padding]

    @property
    def operations(self) -> int | None:
        """About how many multiplications and additions the job takes; None if it cannot be told."""
        whole = self._whole
        fixed = self.in_force.padding is Padding.MAX and whole.rows is not None
        tokens = whole.rows * self.shape.sequence_length if fixed and whole.rows else whole.tokens
        return None if tokens is None else self._operations(tokens)

    def _operations(self, tokens: int) -> int:
        config = self.preset.config
        return 4 * config.num_layers * config.hidden_dim * config.intermediate_dim * tokens

    @property
    def row_operations(self) -> int:
        """About how many operations a row takes, as far as it is known."""
        if self.operations and self.rows:
            return self.operations // self.rows
        fixed = self.in_force.padding is Padding.MAX
        most = self.shape.sequence_length
        return self._operations(most if fixed else min(most, TYPICAL_TOKENS))

    @property
    def vector_bytes(self) -> int:
        """How many bytes the embeddings of a row take, uncompressed; of tokens at most."""
        vectors = self.shape.sequence_length if self.in_force.pooling is Pooling.TOKENS else 1
        return vectors * _vector_bytes(self.options, self.preset, self.target.format)

    @property
    def typical_width(self) -> int:
        """The padded length of a row of the mean length, as far as it is known."""
        most, whole = self.shape.sequence_length, self._whole
        mean = whole.tokens // whole.rows if whole.tokens and whole.rows else most
        return int(padded_lengths(np.array([mean]), self.shape)[0])

    @property
    def expected_bytes(self) -> int | None:
        """Bytes that the embeddings will take, or None where the inputs state no counts."""
        vectors = self.tokens if self.in_force.pooling is Pooling.TOKENS else self.rows
        kind = self.target.format
        return None if vectors is None else vectors * _vector_bytes(self.options, self.preset, kind)


def _vector_bytes(options: EncodeOptions, preset: LocalPreset, kind: OutputFormat) -> int:
    if kind is OutputFormat.JSONL:
        return preset.config.hidden_dim * _JSONL_BYTES_PER_NUMBER
    width = 2 if options.output_dtype is OutputDtype.FLOAT16 else 4
    return preset.config.hidden_dim * width


def _window_rows(options: EncodeOptions, in_force: SettingsInForce, preset: LocalPreset) -> int:
    """Return how many embeddings fill a window; where tokens keep theirs, of full-length rows."""
    vectors = in_force.sequence_length if in_force.pooling is Pooling.TOKENS else 1
    row_bytes = 4 * preset.config.hidden_dim * vectors  # they are computed in float32
    return max(options.batch_size or 1, min(WINDOW_BYTES // row_bytes, MAX_WINDOW_ROWS))


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
    check_options(options)
    options, files = expanded(options, settings)
    kind, path = check_output(options)
    settled = settle(options, resolve_preset(options.preset, settings, on_pull))
    rows = open_rows(options, files, settled.preset, settled.in_force.sequence_length, stdin)
    plan = plan_rows(options, settled, (files, rows), (kind, path))
    plan = _limited(_placed(plan, Stores(settings)))
    _check_room(plan)
    return plan


@dataclass(frozen=True)
class Settled:
    """What a preset and the options come to, whatever the rows."""

    preset: LocalPreset
    in_force: SettingsInForce
    shape: BatchShape
    weights_sha256: str


def settle(options: EncodeOptions, preset: LocalPreset) -> Settled:
    """Return how rows are embedded; raises UsageError and PresetError."""
    in_force = settings_in_force(options, preset.encode_settings(), preset.config)
    shape = _batch_shape(options, in_force, preset)
    return Settled(preset, in_force, shape, weights_sha256(preset))


def plan_rows(
    options: EncodeOptions,
    settled: Settled,
    inputs: tuple[InputFiles, RowsIn],
    output: tuple[OutputFormat, Path | None],
) -> JobPlan:
    """Return the plan of rows that are opened, to an output that is a file or a stream."""
    (files, rows), (kind, path) = inputs, output
    preset, in_force, shape = settled.preset, settled.in_force, settled.shape
    refuse_column(EMBEDDING_COLUMN, rows.passthrough, rows.sources[0].name)
    record = _record(options, in_force, preset, settled.weights_sha256)
    record |= {"pad_id": shape.pad_id, **rows.recorded}
    dim = preset.config.hidden_dim
    embedding = embedding_type(options.output_dtype, in_force.pooling, dim)
    schema = _output_schema(rows.sources[0].schema, rows.passthrough, embedding, record)
    window = _window_rows(options, in_force, preset)
    return JobPlan(
        options=options,
        in_force=in_force,
        preset=preset,
        weights_sha256=settled.weights_sha256,
        text=rows.tokenizing.text if rows.tokenizing else None,
        files=files,
        sources=rows.sources,
        segments=rows.segments,
        passthrough=tuple(field.name for field in rows.passthrough),
        rows_are_made=rows.are_made,
        text_record=rows.recorded,
        shape=shape,
        target=OutputTarget(path, kind, options.compression, schema, window),
        rows=total([source.rows for source in rows.sources]),
        tokens=total([source.token_count(options.token_column) for source in rows.sources]),
    )


def _batch_shape(
    options: EncodeOptions, in_force: SettingsInForce, preset: LocalPreset
) -> BatchShape:
    check_sequence_length(in_force.sequence_length, preset)
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
    return BatchShape(in_force.padding, in_force.sequence_length, pad_id)


def _record(
    options: EncodeOptions, in_force: SettingsInForce, preset: LocalPreset, sha256: str
) -> dict[str, Any]:
    """Return what of the job, rows apart, the output's metadata says."""
    return {
        "preset": preset.handle,
        "weights_sha256": sha256,
        **options.recorded(in_force),
        "version": __version__,
    }


def _output_schema(
    source: pa.Schema, fields: Sequence[pa.Field], embedding: pa.DataType, record: dict[str, Any]
) -> pa.Schema:
    metadata = {**(source.metadata or {}), OUTPUT_METADATA_KEY: orjson.dumps(record)}
    return pa.schema([*fields, pa.field(EMBEDDING_COLUMN, embedding, nullable=False)], metadata)


def embedding_type(numbers: OutputDtype, pooling: Pooling, hidden_dim: int) -> pa.DataType:
    """Return the type of the column of embeddings."""
    number = pa.float16() if numbers is OutputDtype.FLOAT16 else pa.float32()
    # Declared non-null, since no job writes a null.
    vector = pa.list_(pa.field("element", number, nullable=False), hidden_dim)
    if pooling is Pooling.TOKENS:
        return pa.list_(pa.field("element", vector, nullable=False))
    return vector


def _check_room(plan: JobPlan) -> None:
    path = plan.target.path
    if path is not None and plan.expected_bytes:
        check_space(path, plan.expected_bytes - _bytes_there(path, plan.options))
    output, expected = plan.options.output, plan.expected_bytes or 0
    is_object = is_uri(output) and not is_in_parts(plan.options)
    if is_object and scheme_of(output) == "s3" and expected > _MOST_IN_S3:
        raise UsageError(
            f"{output}: the embeddings take {show_bytes(expected)}, and one object of S3 is "
            f"written up to {show_bytes(_MOST_IN_S3)}",
            hint="write a directory of parts: end the output with a slash",
        )


def _bytes_there(path: Path, options: EncodeOptions) -> int:
    """Return how much of the output an unfinished job has written, which is gone on with."""
    if not options.resume:
        return 0
    grown = ("data", "part-*", Path(WHOLE).name)
    with suppress(OSError):
        directory = path if path.is_dir() else JobDirectory(path).path
        return sum(file.stat().st_size for name in grown for file in directory.rglob(name))
    return 0


def _placed(plan: JobPlan, stores: Stores) -> JobPlan:
    """Return the plan with what its output is beside a path: parts, rejected rows."""
    path, rejected = plan.target.path, None
    place: Place | None = None
    if path is None:
        if is_uri(plan.options.output):
            place = _stored(plan.options.output, stores, is_file=not is_in_parts(plan.options))
    elif is_in_parts(plan.options):
        place = LocalPlace(path)
    elif is_made_of_parts(plan.options) or has_parts(JobDirectory(path).path):
        place = LocalPlace(JobDirectory(path).path, whole=path)
    elif plan.options.on_error is OnError.QUARANTINE:
        rejected = rejected_path(path)
    return replace(plan, target=replace(plan.target, rejected=rejected, place=place))


def _stored(uri: str, stores: Stores, *, is_file: bool) -> StoredPlace:
    return StoredPlace(uri + SUFFIX, stores, whole=uri) if is_file else StoredPlace(uri, stores)


def _limited(plan: JobPlan) -> JobPlan:
    limit = plan.options.limit
    if limit is None or plan.rows is None or plan.rows <= limit:
        return plan
    tokens = None if plan.tokens is None else plan.tokens * limit // plan.rows
    return replace(plan, rows=limit, tokens=tokens)
