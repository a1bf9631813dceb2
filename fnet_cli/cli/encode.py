"""`fnet encode`: texts or token ids in, embeddings out."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from fnet_cli.cli.completing import complete_column, complete_device
from fnet_cli.cli.guarding import guard
from fnet_cli.cli.interrupts import (
    is_asked_to_stop,
    let_first_signal_wait,
    no_signal_waits,
    signals_held,
    stop_if_asked,
)
from fnet_cli.cli.job_options import (
    INPUT,
    MODEL,
    OUTPUT,
    RUN,
    Address,
    Chunk,
    Columns,
    CpusPerWorker,
    Endpoint,
    ExecutorKind,
    GpusPerWorker,
    InputKind,
    Inputs,
    Limit,
    MemoryLimit,
    MostErrors,
    NullText,
    OnBadRow,
    OutputFile,
    OutputKind,
    Overlap,
    Overwrite,
    PairColumn,
    PairTruncation,
    ParquetCodec,
    PartRows,
    Preset,
    Resume,
    RowTruncation,
    TextColumn,
    WorkerCount,
    check_one_stdout,
    memory_limit,
    option,
    split_names,
    text_options,
)
from fnet_cli.cli.pinning import pinned_names
from fnet_cli.cli.settings import current_settings
from fnet_cli.cli.streams import say
from fnet_cli.config import Settings
from fnet_cli.constants import SEGMENT_COLUMN, TOKEN_COLUMN
from fnet_cli.encoding.options import (
    Compression,
    ComputeDtype,
    EncodeOptions,
    Executor,
    MaxErrors,
    OnError,
    OutputDtype,
    Padding,
    Pooling,
    RayOptions,
    Truncate,
)
from fnet_cli.errors import StoppedError, UsageError
from fnet_cli.units import show_count, show_seconds

if TYPE_CHECKING:
    from fnet_cli.encoding.engine.base import Engine, EngineRequest
    from fnet_cli.encoding.output.opening import Kept
    from fnet_cli.encoding.report import EncodeReport, Progress

_DEFAULT = "Default: the preset's recommendation, else"


# Typer reads a command's options from its signature, so they cannot be one value before here.
def encode(  # noqa: PLR0913
    context: typer.Context,
    inputs: Inputs,
    output: OutputFile,
    preset: Preset = "",
    pooling: Annotated[
        Pooling | None,
        option(f"How a row becomes a vector; tokens keeps one a token. {_DEFAULT} pooled.", MODEL),
    ] = None,
    normalize: Annotated[
        bool | None,
        option(
            f"Scale every vector to length 1. {_DEFAULT} not.", MODEL, "--normalize/--no-normalize"
        ),
    ] = None,
    padding: Annotated[
        Padding | None,
        option(
            "Length a row is padded to: the sequence length, the next of 8, 16, 24 ..., or its "
            f"own. Padding changes FNet's output. {_DEFAULT} max, which FNet was trained with.",
            MODEL,
        ),
    ] = None,
    sequence_length: Annotated[
        int | None, option(f"Most tokens of a row. {_DEFAULT} the model's maximum.", MODEL)
    ] = None,
    truncate: RowTruncation = Truncate.RIGHT,
    pad_id: Annotated[
        int | None, option("Id to pad with. Default: the preset's <pad>.", MODEL)
    ] = None,
    dtype: Annotated[
        ComputeDtype, option("What the model computes in; auto is float32.", MODEL)
    ] = ComputeDtype.AUTO,
    token_column: Annotated[
        str, option("Column of token ids.", INPUT, complete=complete_column)
    ] = TOKEN_COLUMN,
    segment_column: Annotated[
        str | None,
        option(
            f"Column of segment ids. Default: {SEGMENT_COLUMN} if there, else zeros.",
            INPUT,
            complete=complete_column,
        ),
    ] = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    pair_truncate: PairTruncation = None,
    on_null: NullText = None,
    chunk: Chunk = None,
    overlap: Overlap = None,
    input_format: InputKind = None,
    endpoint: Endpoint = None,
    limit: Limit = None,
    on_error: OnBadRow = OnError.FAIL,
    max_errors: MostErrors = None,
    columns: Columns = None,
    output_format: OutputKind = None,
    compression: ParquetCodec = Compression.ZSTD,
    output_dtype: Annotated[
        OutputDtype, option("Number format of the embeddings.", OUTPUT)
    ] = OutputDtype.FLOAT32,
    part_rows: PartRows = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    batch_size: Annotated[
        str,
        option(
            "Rows a step, or auto for what suits the device; the result is the same.",
            RUN,
            metavar="N|auto",
        ),
    ] = "auto",
    device: Annotated[
        str,
        option(
            "auto (every GPU, else the CPU), cpu, gpu, or gpu:N, several as gpu:0,1.",
            RUN,
            complete=complete_device,
        ),
    ] = "auto",
    max_memory: MemoryLimit = None,
    workers: WorkerCount = 1,
    executor: ExecutorKind = Executor.LOCAL,
    address: Address = "",
    cpus_per_worker: CpusPerWorker = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    dry_run: Annotated[
        bool, option("Check everything and estimate the time; write nothing.", RUN, "--dry-run")
    ] = False,
    offline: Annotated[
        bool, option("Make no connection: the preset must be here.", RUN, "--offline")
    ] = False,
    quiet: Annotated[bool, option("Print problems only.", RUN, "-q", "--quiet")] = False,
    as_json: Annotated[
        bool, option("Print the closing record as JSON on standard output.", RUN, "--json")
    ] = False,
) -> None:
    """Encode texts or token ids to embeddings.

    Rows keep their order and columns; the output appears when complete.

    Example: fnet encode reviews.csv --text-column body -o embeddings.parquet
    """
    text = text_options(
        column=text_column, pair_column=pair_column, pair_truncate=pair_truncate,
        on_null=on_null, chunk=chunk, overlap=overlap)  # fmt: skip
    options = EncodeOptions(
        inputs=tuple(inputs),
        output=output,
        preset=preset,
        text=text,
        token_column=token_column,
        segment_column=segment_column,
        columns=split_names(columns),
        format=output_format,
        input_format=input_format,
        compression=compression,
        pooling=pooling,
        normalize=normalize,
        output_dtype=output_dtype,
        padding=padding,
        sequence_length=sequence_length,
        truncate=truncate,
        pad_id=pad_id,
        dtype=dtype,
        batch_size=_batch_size(batch_size),
        device=device,
        limit=limit,
        overwrite=overwrite,
        resume=resume,
        on_error=on_error,
        max_errors=None if max_errors is None else MaxErrors.parse(max_errors),
        part_rows=part_rows,
        workers=workers,
        executor=executor,
        ray=RayOptions(address, cpus_per_worker, gpus_per_worker),
        pinned=pinned_names(context),
        memory_limit=memory_limit(max_memory),
    )
    run = _dry_run if dry_run else _run
    run(options, current_settings(offline=offline, endpoint=endpoint), quiet=quiet, as_json=as_json)


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    raise UsageError(
        f"--batch-size {text!r} is not a number of rows", hint="give a number of rows, or auto"
    )


def _dry_run(options: EncodeOptions, settings: Settings, *, quiet: bool, as_json: bool) -> None:  # noqa: ARG001 - as _run
    from fnet_cli.cli.dry_run import dry_run

    dry_run(options, settings, as_json=as_json)


def _run(options: EncodeOptions, settings: Settings, *, quiet: bool, as_json: bool) -> None:
    check_one_stdout(options, as_json=as_json)
    # A cluster that is started here descends from the job, and is not of it.
    is_guarded = guard(options.memory_limit, with_family=options.executor is Executor.LOCAL)
    from fnet_cli.cli.progress import shown_progress
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.job import encode_files
    from fnet_cli.encoding.watching import watch_of
    from fnet_cli.presets.resolving import resolve_preset

    with shown_pull(quiet=quiet) as on_pull:  # its bars come and go before the job's
        resolve_preset(options.preset, settings, on_pull)
    can_go_on = "-" not in (*options.inputs, options.output)
    with shown_progress(quiet=quiet) as show, no_signal_waits():
        stopping = _Stopping(can_wait=can_go_on and options.is_shared_out)
        kept: list[Kept] = []

        def load(request: EngineRequest) -> Engine:
            engine = quiet_load_engine(request)
            if can_go_on:
                let_first_signal_wait()
            return engine

        def on_progress(progress: Progress) -> None:
            stop_if_asked()
            stopping.announce()
            show(progress)

        context = JobContext(
            settings, engine_loader=load, on_progress=on_progress, on_kept=kept.append,
            is_stopping=is_asked_to_stop,
            memory=watch_of(options.memory_limit, owns_process=is_guarded),
        )  # fmt: skip
        with _saying_what_is_kept(kept):
            report = encode_files(options, context)
    _close(report, quiet=quiet, as_json=as_json)


def _close(report: EncodeReport, *, quiet: bool, as_json: bool) -> None:
    from fnet_cli.cli.progress import closing_lines

    if not quiet:
        for line in closing_lines(report, _timing(report)):
            say(line)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict()) + "\n")


class _Stopping:
    """Says once that a signal was heard.

    Where models are loaded by other processes, a signal waits (`can_wait`) from the first rows on.
    """

    def __init__(self, *, can_wait: bool) -> None:
        self._said, self._can_wait = False, can_wait

    def announce(self) -> None:
        """Say it where a signal waits."""
        if self._can_wait:
            self._can_wait = False
            let_first_signal_wait()
        if is_asked_to_stop() and not self._said:
            self._said = True
            say("stopping when the rows that are under way are written; once more stops at once")


@contextmanager
def _saying_what_is_kept(kept: list[Kept]) -> Iterator[None]:
    """Say after an error how to go on, where `kept` has got something to go on with."""
    try:
        yield
    except BaseException as error:
        for rest in kept:
            rows = f"{show_count(rest.rows, 'row')} {'is' if rest.rows == 1 else 'are'}"
            say(f"{rows} kept in {rest.directory}; --resume goes on from there")
        if kept and isinstance(error, KeyboardInterrupt):
            raise StoppedError("interrupted") from None
        raise


def quiet_load_engine(request: EngineRequest) -> Engine:
    """Load the model without the greetings that its native libraries print."""
    from fnet_cli.cli.streams import native_noise_held
    from fnet_cli.encoding.engine.loading import load_engine

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with native_noise_held(), signals_held():
        return load_engine(replace(request, own_process=True, only_model=True))


def _timing(report: EncodeReport) -> str:
    text = show_seconds(report.seconds)
    if report.rows_out:
        text += (
            f" ({report.startup_seconds:.1f}s start-up), {report.rows_per_second:,.0f} rows/s, "
            f"{report.tokens_per_second:,.0f} tokens/s"
        )
    return text
