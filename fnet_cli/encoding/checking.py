"""What of a job can be refused before a preset or input is looked into, and its columns after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fnet_cli.constants import CHUNK_COLUMNS, SEGMENT_COLUMN, TEXT_COLUMN
from fnet_cli.encoding.engine.devices import parse_device
from fnet_cli.encoding.options import (
    EncodeOptions,
    Executor,
    OnError,
    OutputFormat,
    RayOptions,
    TextOptions,
)
from fnet_cli.encoding.output.journal import JobDirectory
from fnet_cli.encoding.output.parts import has_parts
from fnet_cli.encoding.output.places import is_named_as_directory
from fnet_cli.encoding.output.target import (
    directory_path,
    output_format_of,
    output_path,
    rejected_path,
)
from fnet_cli.encoding.readers.base import RowSource, column_type
from fnet_cli.encoding.readers.opening import STANDARD_STREAM
from fnet_cli.encoding.rows import is_id_list
from fnet_cli.encoding.texts import is_text
from fnet_cli.errors import InputDataError, UsageError
from fnet_cli.memory import resident_bytes
from fnet_cli.presets.resolving import LocalPreset
from fnet_cli.stores import check_uri, is_uri


def check_options(options: EncodeOptions) -> None:
    """Raise UsageError for options that contradict themselves or each other."""
    if not options.inputs:
        raise UsageError("there is no input")
    if options.inputs.count(STANDARD_STREAM) > 1:
        raise UsageError("standard input (-) stands twice among the inputs")
    if options.batch_size is not None and options.batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, not {options.batch_size}")
    if options.limit is not None and options.limit < 0:
        raise UsageError(f"--limit must not be negative, it is {options.limit}")
    if len(set(options.id_columns)) < 2:
        raise UsageError(f"token and segment column are both {options.token_column}")
    if options.resume and options.overwrite:
        raise UsageError("--resume goes on and --overwrite starts again: give one of them")
    if options.resume and STANDARD_STREAM in (*options.inputs, options.output):
        raise UsageError(
            "--resume needs files: what went through - is gone", hint="give the input as a file"
        )
    if options.on_error is OnError.QUARANTINE and options.output == STANDARD_STREAM:
        raise UsageError(
            "--on-error quarantine writes a file beside the output", hint="write to a file, or skip"
        )
    if options.max_errors is not None and not options.tolerates:
        raise UsageError(
            "--max-errors is of errors that a job goes on after",
            hint="add --on-error skip or --on-error quarantine",
        )
    _check_uri(options)
    _check_parts(options)
    parse_device(options.device)
    if options.memory_limit is not None and resident_bytes() is None:
        raise UsageError("--memory-limit needs /proc, which this system does not have")


def _check_parts(options: EncodeOptions) -> None:
    if options.part_rows is not None and options.part_rows < 1:
        raise UsageError(f"--part-rows must be at least 1, not {options.part_rows}")
    if options.workers < 1:
        raise UsageError(f"--workers must be at least 1, not {options.workers}")
    if options.executor is not Executor.RAY and options.ray != RayOptions():
        raise UsageError("a cluster was described, and not asked for", hint="add --executor ray")
    if min(options.ray.cpus or 0, options.ray.gpus) < 0:
        raise UsageError("a worker cannot have less than no CPU or GPU")
    if is_made_of_parts(options):
        if STANDARD_STREAM in options.inputs:
            raise UsageError(
                "standard input is not encoded in parts: it can be read only once",
                hint="give the input as a file; or write one file here, with one process",
            )
        return
    given = {
        "--part-rows": options.part_rows is not None,
        "--workers": options.workers > 1,
        "--executor ray": options.executor is Executor.RAY,
    }
    for flag, is_given in given.items():
        if is_given:
            raise UsageError(f"{flag} is of an output in parts", hint=_hint_to_parts(options))


def _hint_to_parts(options: EncodeOptions) -> str:
    if options.output == STANDARD_STREAM:
        return "name a file or a directory: -o embeddings/"
    return "name a directory: -o embeddings/, or add --workers"


def is_made_of_parts(options: EncodeOptions) -> bool:
    """Whether the rows are encoded part by part, also where the parts become one file."""
    if options.output == STANDARD_STREAM:
        return False
    return is_in_parts(options) or options.is_shared_out or is_uri(options.output)


def is_in_parts(options: EncodeOptions) -> bool:
    """Whether the output is a directory of parts."""
    return options.output != STANDARD_STREAM and is_named_as_directory(options.output)


def _check_uri(options: EncodeOptions) -> None:
    if is_uri(options.output):
        check_uri(options.output)


def check_output(options: EncodeOptions) -> tuple[OutputFormat, Path | None]:
    """Return the output's format and its path, None for standard output.

    Raises UsageError or OutputError where it cannot be written.
    """
    kind, path = _output_format(options), None
    if is_in_parts(options):
        if not is_uri(options.output):
            path = directory_path(options.output)
    elif options.output != STANDARD_STREAM and not is_uri(options.output):
        path = output_path(options.output, overwrite=_may_replace(options))
    if path is not None and options.on_error is OnError.QUARANTINE:
        may_replace = options.overwrite or options.resume
        output_path(str(rejected_path(path)), overwrite=may_replace)
    return kind, path


def _may_replace(options: EncodeOptions) -> bool:
    """Whether the output may be there: also a job that is gone on with may have been told so."""
    if not options.resume:
        return options.overwrite
    directory = JobDirectory(Path(os.path.realpath(options.output)))
    if has_parts(directory.path):  # it says so itself, when it is opened
        return True
    saved = directory.saved()
    return saved is not None and saved.replaces


def _output_format(options: EncodeOptions) -> OutputFormat:
    if options.output == STANDARD_STREAM:
        if options.format is OutputFormat.PARQUET:
            raise UsageError("Parquet cannot be written to standard output", hint="name a file")
        return OutputFormat.JSONL
    if is_in_parts(options):
        return options.format or OutputFormat.PARQUET
    kind = options.format or output_format_of(options.output)
    if kind is None:
        raise UsageError(
            f"{options.output}: the suffix does not tell the format",
            hint="end it with .parquet or .jsonl, or use --format",
        )
    return kind


def check_sequence_length(length: int, preset: LocalPreset) -> None:
    """Raise UsageError for more tokens than the model has positions."""
    most = preset.config.max_sequence_length
    if not 1 <= length <= most:
        raise UsageError(
            f"--sequence-length {length} is not in 1..{most}, the positions of {preset.handle}"
        )


def check_ids(source: RowSource, options: EncodeOptions) -> bool:
    """Check the id columns' types; return whether the source has segment ids."""
    if source.rows == 0 and not source.schema.names:
        return False  # an empty JSON lines file has no columns, and is valid
    _refuse_text(source, options)
    columns = [options.token_column]
    if options.segment_column or SEGMENT_COLUMN in source.schema.names:
        columns.append(options.segment_column or SEGMENT_COLUMN)
    for name in columns:
        check_id_column(source, name)
    return len(columns) == 2


def check_id_column(source: RowSource, name: str) -> None:
    """Raise InputDataError where a column is missing or is no lists of integers."""
    kind = column_type(source, name)
    if not is_id_list(kind):
        raise InputDataError(
            f"{source.name}{source.first_other(name, is_id_list)}: column {name} is {kind}, "
            "not lists of integers",
            hint="name another with --token-column or --segment-column",
        )


def _refuse_text(source: RowSource, options: EncodeOptions) -> None:
    """Say of a file without ids and with text how it is read."""
    names = source.schema.names
    if options.token_column in names or names.count(TEXT_COLUMN) != 1:
        return
    if is_text(column_type(source, TEXT_COLUMN)):
        raise InputDataError(
            f"{source.name}: there is no column {options.token_column}, but one of text",
            hint=f"--text-column {TEXT_COLUMN} encodes it",
        )


def passthrough(
    sources: Sequence[RowSource], options: EncodeOptions, text: TextOptions | None
) -> list[pa.Field]:
    """Return the input columns that the output repeats; every source must have them alike."""
    first = next((source for source in sources if source.schema.names), sources[0])
    chunked = text is not None and text.chunk is not None
    if options.columns is not None:
        names = list(dict.fromkeys([*options.columns, *(CHUNK_COLUMNS if chunked else ())]))
    else:
        left_out = set(options.id_columns)
        if text is not None and chunked:
            left_out.add(text.column)  # every chunk would repeat all of its document
        names = [name for name in first.schema.names if name not in left_out]
        for source in sources:
            extra = set(source.schema.names) - set(first.schema.names) - left_out
            if extra:
                raise InputDataError(
                    f"{source.name}: column {min(extra)} is not in {first.name}",
                    hint="choose the columns to keep with --columns",
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


def refuse_column(name: str, fields: Sequence[pa.Field], source: str) -> None:
    """Raise InputDataError where a kept column has the name of one that is written."""
    if name in [field.name for field in fields]:
        raise InputDataError(
            f"{source}: there is a column {name} already",
            hint="leave it out by naming the columns to keep with --columns",
        )


def total(counts: Sequence[int | None]) -> int | None:
    """Return the sum, or None where one of them is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
