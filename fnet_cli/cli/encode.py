"""`fnet encode`: token files in, embeddings out."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnet_cli.cli.interrupts import signals_held, stop_if_asked
from fnet_cli.cli.settings import current_settings
from fnet_cli.config import Settings
from fnet_cli.constants import SEGMENT_COLUMN, TOKEN_COLUMN
from fnet_cli.encoding.options import (
    Compression,
    ComputeDtype,
    EncodeOptions,
    InputFormat,
    OutputDtype,
    OutputFormat,
    Padding,
    Pooling,
    Truncate,
)
from fnet_cli.errors import UsageError
from fnet_cli.units import show_seconds

if TYPE_CHECKING:
    from fnet_cli.encoding.engine.base import Engine, EngineRequest
    from fnet_cli.encoding.report import EncodeReport, Progress

_INPUT, _MODEL, _OUTPUT, _RUN = "Input", "Embedding", "Output", "Run"
_DEFAULT = "Default: the preset's recommendation, else"


def _option(text: str, panel: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, metavar=metavar)


# Typer reads a command's options from its signature, so they cannot be one value before here.
def encode(  # noqa: PLR0913
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Parquet or JSON lines files (.jsonl, .ndjson, also .gz, .zst), or - for JSON "
            "lines on standard input.",
            metavar="INPUT",
        ),
    ],
    output: Annotated[
        str,
        _option(
            "File to write, or - for JSON lines on standard output.", _OUTPUT, "-o", "--output"
        ),
    ],
    preset: Annotated[
        str,
        _option(
            "Preset name, handle or directory. Default: FNET_PRESET, what `presets use` chose, or "
            "the bundled f_net_mini_en.",
            _MODEL,
            metavar="NAME|HANDLE|DIR",
        ),
    ] = "",
    pooling: Annotated[
        Pooling | None,
        _option(
            f"How a row becomes a vector; tokens keeps one a token. {_DEFAULT} pooled.", _MODEL
        ),
    ] = None,
    normalize: Annotated[
        bool | None,
        _option(
            f"Scale every vector to length 1. {_DEFAULT} not.", _MODEL, "--normalize/--no-normalize"
        ),
    ] = None,
    padding: Annotated[
        Padding | None,
        _option(
            "Length a row is padded to: the sequence length, the next of 8, 16, 24 ..., or its "
            f"own. Padding changes FNet's output. {_DEFAULT} max, which FNet was trained with.",
            _MODEL,
        ),
    ] = None,
    sequence_length: Annotated[
        int | None, _option(f"Most tokens of a row. {_DEFAULT} the model's maximum.", _MODEL)
    ] = None,
    truncate: Annotated[Truncate, _option("What to do with longer rows.", _MODEL)] = Truncate.RIGHT,
    pad_id: Annotated[
        int | None, _option("Id to pad with. Default: the preset's <pad>.", _MODEL)
    ] = None,
    dtype: Annotated[
        ComputeDtype, _option("What the model computes in; auto is float32.", _MODEL)
    ] = ComputeDtype.AUTO,
    token_column: Annotated[str, _option("Column of token ids.", _INPUT)] = TOKEN_COLUMN,
    segment_column: Annotated[
        str | None,
        _option(f"Column of segment ids. Default: {SEGMENT_COLUMN} if there, else zeros.", _INPUT),
    ] = None,
    input_format: Annotated[
        InputFormat | None, _option("Format of the inputs, over their suffix.", _INPUT)
    ] = None,
    limit: Annotated[
        int | None, _option("Encode the first N rows only.", _INPUT, metavar="N")
    ] = None,
    columns: Annotated[
        list[str] | None,
        _option(
            "Input columns to keep, separated by commas; '' keeps none. Default: all but the id "
            "columns.",
            _OUTPUT,
        ),
    ] = None,
    output_format: Annotated[
        OutputFormat | None, _option("Format of the output, over its suffix.", _OUTPUT, "--format")
    ] = None,
    compression: Annotated[Compression, _option("Parquet codec.", _OUTPUT)] = Compression.ZSTD,
    output_dtype: Annotated[
        OutputDtype, _option("Number format of the embeddings.", _OUTPUT)
    ] = OutputDtype.FLOAT32,
    overwrite: Annotated[
        bool, _option("Replace an existing output.", _OUTPUT, "--overwrite")
    ] = False,
    batch_size: Annotated[
        str,
        _option(
            "Rows a step, or auto for what suits the device; the result is the same.",
            _RUN,
            metavar="N|auto",
        ),
    ] = "auto",
    device: Annotated[
        str,
        _option("auto (every GPU, else the CPU), cpu, gpu, or gpu:N, several as gpu:0,1.", _RUN),
    ] = "auto",
    dry_run: Annotated[
        bool, _option("Check everything and estimate the time; write nothing.", _RUN, "--dry-run")
    ] = False,
    offline: Annotated[
        bool, _option("Make no connection: the preset must be here.", _RUN, "--offline")
    ] = False,
    quiet: Annotated[bool, _option("Print problems only.", _RUN, "-q", "--quiet")] = False,
    as_json: Annotated[
        bool, _option("Print the closing record as JSON on standard output.", _RUN, "--json")
    ] = False,
) -> None:
    """Encode token ids to embeddings.

    Rows and their other columns keep their order; the output appears only
    when it is complete.

    Example: fnet encode tokens.parquet -o embeddings.parquet --pooling mean
    """
    options = EncodeOptions(
        inputs=tuple(inputs),
        output=output,
        preset=preset,
        token_column=token_column,
        segment_column=segment_column,
        columns=None if columns is None else _split(columns),
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
    )
    if dry_run:
        from fnet_cli.cli.dry_run import dry_run as show

        show(options, current_settings(offline=offline), as_json=as_json)
    else:
        _run(options, current_settings(offline=offline), quiet=quiet, as_json=as_json)


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    raise UsageError(
        f"--batch-size {text!r} is not a number of rows", hint="give a number of rows, or auto"
    )


def _split(values: list[str]) -> tuple[str, ...]:
    return tuple(name for value in values for name in value.split(",") if name)


def _run(options: EncodeOptions, settings: Settings, *, quiet: bool, as_json: bool) -> None:
    from fnet_cli.cli.progress import shown_progress
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.encoding.job import JobContext, encode_files
    from fnet_cli.presets.resolving import resolve_preset

    if as_json and options.output == "-":
        raise UsageError(
            "--json and -o - both write to standard output", hint="write the rows to a file"
        )
    with shown_pull(quiet=quiet) as on_pull:  # its bars come and go before the job's
        resolve_preset(options.preset, settings, on_pull)
    with shown_progress(quiet=quiet) as show:

        def on_progress(progress: Progress) -> None:
            stop_if_asked()
            show(progress)

        context = JobContext(
            settings=settings,
            engine_loader=quiet_load_engine,
            on_progress=on_progress,
        )
        report = encode_files(options, context)
    if not quiet:
        for line in closing_lines(report):
            typer.echo(f"fnet: {line}", err=True)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict()) + "\n")


def quiet_load_engine(request: EngineRequest) -> Engine:
    """Load the model without the greetings that its native libraries print."""
    from fnet_cli.cli.streams import native_noise_held
    from fnet_cli.encoding.engine.loading import load_engine

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with native_noise_held(), signals_held():
        return load_engine(replace(request, own_process=True))


def closing_lines(report: EncodeReport) -> list[str]:
    """Say what was done, with what, and where it went."""
    from fnet_cli.presets.registry import BUILTIN_PRESETS

    where = "standard output" if report.output == "-" else report.output
    timing = show_seconds(report.seconds)
    if report.rows_out:
        timing += (
            f" ({report.startup_seconds:.1f}s start-up), {report.rows_per_second:,.0f} rows/s, "
            f"{report.tokens_per_second:,.0f} tokens/s"
        )
    truncated = f"{report.rows_truncated:,} truncated"
    if report.rows_truncated:
        truncated += f" ({report.tokens_lost:,} tokens lost)"
    lines = [
        f"{report.rows_out:,} rows in {timing}, {truncated}, preset {report.preset}",
        f"wrote {where}",
    ]
    builtin = BUILTIN_PRESETS.get(report.preset)
    if builtin and builtin.note:
        lines.insert(0, f"note: {builtin.name} {builtin.note}")
    return lines
