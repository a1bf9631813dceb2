"""The rows of a job as it reads them: opened, tokenized where they are texts, columns agreed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from fnet_cli.constants import CHUNK_COLUMNS, TOKENS_METADATA_KEY
from fnet_cli.encoding.checking import check_ids, passthrough
from fnet_cli.encoding.options import EncodeOptions, TextOptions
from fnet_cli.encoding.readers.base import DamagedSource, RowSource
from fnet_cli.encoding.readers.expanding import InputFiles
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.encoding.readers.partitions import PartitionedSource
from fnet_cli.encoding.readers.places import StoredFile
from fnet_cli.encoding.texts import (
    Tokenizing,
    text_in_force,
    tokenized_sources,
    tokenizing_with,
)
from fnet_cli.errors import InputDataError
from fnet_cli.presets.fingerprint import file_sha256
from fnet_cli.presets.resolving import LocalPreset
from fnet_cli.tokenizer.tokenizer import FNetTokenizer


@dataclass(frozen=True)
class RowsIn:
    """Opened inputs. `segments` says per source whether it has segment ids.

    `are_made` where the texts become, or became, several rows or none; `recorded` is what the
    output's metadata says of the tokenizing, nothing where rows are ids.
    """

    sources: tuple[RowSource, ...]
    segments: tuple[bool, ...]
    passthrough: tuple[pa.Field, ...]
    tokenizing: Tokenizing | None
    are_made: bool
    recorded: dict[str, Any]


def open_rows(
    options: EncodeOptions,
    files: InputFiles,
    preset: LocalPreset,
    sequence_length: int,
    stdin: BinaryIO | None,
) -> RowsIn:
    """Open every input; raises UsageError, InputDataError and PresetError."""
    sources: tuple[RowSource, ...] = tuple(
        _open(files.place(name), values, options, stdin)
        for name, values in zip(files.files, files.partitions, strict=True)
    )
    if all(isinstance(source, DamagedSource) for source in sources):
        raise InputDataError(str(sources[0].damage), hint="no input can be read")
    return rows_of(sources, options, preset, sequence_length)


def rows_of(
    sources: tuple[RowSource, ...],
    options: EncodeOptions,
    preset: LocalPreset,
    sequence_length: int,
    tokenizer_of: Callable[[LocalPreset], FNetTokenizer] = LocalPreset.tokenizer,
) -> RowsIn:
    """Return the rows of opened inputs; raises as `open_rows`."""
    text, tokenizing = text_in_force(options, sources), None
    if text is not None:
        tokenizing = tokenizing_with(preset, options, text, sequence_length, tokenizer_of)
        sources = tokenized_sources(sources, tokenizing)
    return RowsIn(
        sources=sources,
        segments=tuple(check_ids(source, options) for source in sources),
        passthrough=tuple(passthrough(sources, options, text)),
        tokenizing=tokenizing,
        are_made=text.makes_rows if text else any(map(_is_of_made_rows, sources)),
        recorded=_recorded(preset, text),
    )


def _open(
    place: str | StoredFile,
    values: Mapping[str, pa.Scalar],
    options: EncodeOptions,
    stdin: BinaryIO | None,
) -> RowSource:
    source = open_source(place, options.input_format, stdin, tolerant=options.tolerates)
    return PartitionedSource(source, values) if values else source


def _is_of_made_rows(source: RowSource) -> bool:
    """Whether the source shows that `fnet tokenize` made several rows or none of a text.

    JSON lines only show it by the columns of chunks.
    """
    if set(CHUNK_COLUMNS) <= set(source.schema.names):
        return True
    try:
        record = orjson.loads((source.schema.metadata or {}).get(TOKENS_METADATA_KEY, b"{}"))
    except orjson.JSONDecodeError:
        return False
    return isinstance(record, dict) and record.get("makes_rows") is True


def _recorded(preset: LocalPreset, text: TextOptions | None) -> dict[str, Any]:
    if text is None or preset.vocabulary is None:
        return {}
    return {**text.recorded(), "vocabulary_sha256": file_sha256(preset.vocabulary)}
