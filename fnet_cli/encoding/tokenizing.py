"""The job that stops at token ids: texts in, the rows that `fnet encode` would embed out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from fnet_cli.constants import (
    MAX_WINDOW_ROWS,
    TOKENS_METADATA_KEY,
    WINDOWS_AHEAD,
    __version__,
)
from fnet_cli.encoding.checking import (
    check_options,
    check_output,
    check_sequence_length,
    is_in_parts,
    total,
)
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.options import EncodeOptions, TextOptions, Truncate, settings_in_force
from fnet_cli.encoding.output.sinks import open_sink
from fnet_cli.encoding.output.target import OutputTarget, check_counts
from fnet_cli.encoding.readers.base import RowBatch
from fnet_cli.encoding.readers.expanding import expanded
from fnet_cli.encoding.report import JobReport, Progress
from fnet_cli.encoding.rows import check_not_longer
from fnet_cli.encoding.rows_in import RowsIn, open_rows
from fnet_cli.encoding.stages import Ahead
from fnet_cli.encoding.texts import TokenizedSource, documents_read, rejected_rows
from fnet_cli.errors import InputDataError, UsageError
from fnet_cli.presets.resolving import LocalPreset, resolve_preset
from fnet_cli.stores import is_uri


@dataclass(frozen=True)
class _Plan:
    """A checked job."""

    options: EncodeOptions
    preset: LocalPreset
    sequence_length: int
    rows: RowsIn
    target: OutputTarget
    settings: dict[str, Any]

    @property
    def columns(self) -> list[str]:
        """The names of the output's columns."""
        return list(self.target.schema.names)

    @property
    def stated_rows(self) -> int | None:
        """How many rows the inputs say that there are."""
        rows, limit = total([source.rows for source in self.rows.sources]), self.options.limit
        return rows if rows is None or limit is None else min(rows, limit)


def tokenize_files(options: EncodeOptions, context: JobContext | None = None) -> JobReport:
    """Tokenize the texts of `options.inputs` and write the rows to `options.output`.

    No model is loaded; what of the options is about one is not looked at. The output has the
    inputs' columns, those of ids that `fnet encode` reads, and those of chunks, and appears under
    its name only when it is complete. Raises the errors of `fnet_cli.errors`.
    """
    context = context or JobContext()
    started = context.clock()
    plan = _make_plan(options, context)
    count, stated = _Count(), plan.stated_rows
    with (
        open_sink(plan.target, context.stdout) as sink,
        Ahead(_windows(plan), WINDOWS_AHEAD) as windows,
    ):
        for window in windows:
            count.add(window, plan)
            sink.write(window.batch.select(plan.columns).cast(plan.target.schema))
            seconds = context.clock() - started
            context.on_progress(Progress(count.rows, count.tokens, seconds, stated))
        rejected = rejected_rows(plan.rows.sources)
        rows_in = count.rows + rejected if stated is None else stated
        rows_out = sink.close()
        check_counts(rows_in, rows_out, rejected)
    return JobReport(
        rows_in=rows_in,
        rows_out=rows_out,
        rows_rejected=rejected,
        documents=documents_read(plan.rows.sources),
        rows_truncated=count.truncated,
        tokens=count.tokens,
        tokens_lost=count.lost,
        seconds=context.clock() - started,
        output=options.output,
        preset=plan.preset.handle,
        settings=plan.settings,
        version=__version__,
    )


def _make_plan(options: EncodeOptions, context: JobContext) -> _Plan:
    options = replace(options, text=options.text or TextOptions())
    check_options(options)
    if is_uri(options.output) or is_in_parts(options):
        raise UsageError(
            f"{options.output}: token ids are written to one file on this machine",
            hint="name a file, such as tokens.parquet, and copy it",
        )
    options, files = expanded(options, context.settings)
    kind, path = check_output(options)
    preset = resolve_preset(options.preset, context.settings, context.on_pull)
    in_force = settings_in_force(options, preset.encode_settings(), preset.config)
    check_sequence_length(in_force.sequence_length, preset)
    rows = open_rows(options, files, preset, in_force.sequence_length, context.stdin)
    _refuse_ids(rows, options)
    settings = {
        "sequence_length": in_force.sequence_length,
        "truncate": options.truncate.value,
        **rows.recorded,
    }
    record = {
        "preset": preset.handle,
        **settings,
        "makes_rows": rows.are_made,
        "version": __version__,
    }
    schema = pa.schema(
        [*rows.passthrough, *(pa.field(name, pa.list_(pa.int32())) for name in options.id_columns)],
        {
            **(rows.sources[0].schema.metadata or {}),
            TOKENS_METADATA_KEY: orjson.dumps(record),
        },
    )
    target = OutputTarget(path, kind, options.compression, schema, MAX_WINDOW_ROWS, vectors=None)
    return _Plan(options, preset, in_force.sequence_length, rows, target, settings)


def _refuse_ids(rows: RowsIn, options: EncodeOptions) -> None:
    """Raise InputDataError where a column of ids is there already: it would be lost."""
    for source in rows.sources:
        inner = source.inner if isinstance(source, TokenizedSource) else source
        for name in options.id_columns:
            if name in inner.schema.names:
                raise InputDataError(
                    f"{source.name}: there is a column {name} already",
                    hint="--token-column and --segment-column name the new ones",
                )


def _windows(plan: _Plan) -> Iterator[RowBatch]:
    """Yield the rows of all inputs, tokenized; none is empty."""
    for source in plan.rows.sources:
        if not source.schema.names:  # an empty JSON lines file
            continue
        for window in source.batches(plan.columns, MAX_WINDOW_ROWS):
            if len(window.numbers):
                yield window


class _Count:
    """What has come out so far."""

    def __init__(self) -> None:
        self.rows = self.tokens = self.truncated = self.lost = 0

    def add(self, window: RowBatch, plan: _Plan) -> None:
        """Count a window; InputDataError for a row that is cut and may not be."""
        ids = window.batch.column(plan.options.token_column)
        lengths = pc.list_value_length(ids).to_numpy()
        if window.cut is not None:
            if plan.options.truncate is Truncate.ERROR:
                whole, name = lengths + window.cut, _text_columns(plan)[0]
                check_not_longer(window, whole, plan.sequence_length, name)
            self.truncated += int((window.cut > 0).sum())
            self.lost += int(window.cut.sum())
        self.rows += len(lengths)
        self.tokens += int(lengths.sum())


def _text_columns(plan: _Plan) -> Sequence[str]:
    return (plan.options.text or TextOptions()).columns
