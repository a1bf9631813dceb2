"""`fnet tokenize` and `fnet detokenize`: texts to token ids, and back to look at."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from fnet_cli.cli.completing import complete_column
from fnet_cli.cli.interrupts import stop_if_asked
from fnet_cli.cli.job_options import (
    INPUT,
    MODEL,
    OUTPUT,
    TEXT,
    Chunk,
    Columns,
    Endpoint,
    InputKind,
    Inputs,
    Limit,
    NullText,
    OutputKind,
    Overlap,
    Overwrite,
    PairColumn,
    PairTruncation,
    ParquetCodec,
    Preset,
    RowTruncation,
    TokensFile,
    check_one_stdout,
    option,
    split_names,
    text_options,
)
from fnet_cli.cli.pinning import pinned_names
from fnet_cli.cli.settings import Offline, Quiet, current_settings
from fnet_cli.config import Settings
from fnet_cli.constants import SEGMENT_COLUMN, TEXT_COLUMN, TOKEN_COLUMN
from fnet_cli.encoding.options import Compression, EncodeOptions, Truncate
from fnet_cli.errors import UsageError
from fnet_cli.units import show_count, show_seconds

if TYPE_CHECKING:
    from fnet_cli.encoding.report import Progress


# Typer reads a command's options from its signature, so they cannot be one value before here.
def tokenize(  # noqa: PLR0913
    context: typer.Context,
    inputs: Inputs,
    output: TokensFile,
    preset: Preset = "",
    text_column: Annotated[
        str, option("Column of text.", TEXT, complete=complete_column)
    ] = TEXT_COLUMN,
    pair_column: PairColumn = None,
    pair_truncate: PairTruncation = None,
    on_null: NullText = None,
    chunk: Chunk = None,
    overlap: Overlap = None,
    sequence_length: Annotated[
        int | None,
        option(
            "Most tokens of a row, special ones included. Default: the preset's recommendation, "
            "else the model's maximum.",
            MODEL,
        ),
    ] = None,
    truncate: RowTruncation = Truncate.RIGHT,
    input_format: InputKind = None,
    endpoint: Endpoint = None,
    limit: Limit = None,
    columns: Columns = None,
    token_column: Annotated[str, option("Name of the column of ids.", OUTPUT)] = TOKEN_COLUMN,
    segment_column: Annotated[
        str, option("Name of the column of segment ids.", OUTPUT)
    ] = SEGMENT_COLUMN,
    output_format: OutputKind = None,
    compression: ParquetCodec = Compression.ZSTD,
    overwrite: Overwrite = False,
    offline: Offline = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the closing record as JSON on standard output.")
    ] = False,
) -> None:
    """Turn texts into the token ids that `fnet encode` reads.

    Every row keeps its columns and gains token_ids and segment_ids, packed
    and cut as the model takes them. The output appears only when it is
    complete.

    Example: fnet tokenize reviews.csv --text-column body -o tokens.parquet
    """
    options = EncodeOptions(
        inputs=tuple(inputs),
        output=output,
        preset=preset,
        text=text_options(
            column=text_column,
            pair_column=pair_column,
            pair_truncate=pair_truncate,
            on_null=on_null,
            chunk=chunk,
            overlap=overlap,
        ),
        token_column=token_column,
        segment_column=segment_column,
        columns=split_names(columns),
        format=output_format,
        input_format=input_format,
        compression=compression,
        sequence_length=sequence_length,
        truncate=truncate,
        limit=limit,
        overwrite=overwrite,
        pinned=pinned_names(context),
    )
    settings = current_settings(offline=offline, endpoint=endpoint)
    _run(options, settings, quiet=quiet, as_json=as_json)


def _run(options: EncodeOptions, settings: Settings, *, quiet: bool, as_json: bool) -> None:
    from fnet_cli.cli.progress import closing_lines, shown_progress
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.cli.streams import say
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.tokenizing import tokenize_files
    from fnet_cli.presets.resolving import resolve_preset

    check_one_stdout(options, as_json=as_json)
    with shown_pull(quiet=quiet) as on_pull:  # its bars come and go before the job's
        resolve_preset(options.preset, settings, on_pull)
    with shown_progress(quiet=quiet) as show:

        def on_progress(progress: Progress) -> None:
            stop_if_asked()
            show(progress)

        report = tokenize_files(options, JobContext(settings=settings, on_progress=on_progress))
    if not quiet:
        timing = f"{show_seconds(report.seconds)}, {show_count(report.tokens, 'token')}"
        for line in closing_lines(report, timing):
            say(line)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict()) + "\n")


def detokenize(  # noqa: PLR0913 - its options
    tokens: Annotated[
        str,
        typer.Argument(
            help="File of token ids, Parquet or JSON lines, a path or URI, or - for JSON lines on "
            "standard input.",
            metavar="INPUT",
        ),
    ],
    preset: Preset = "",
    token_column: Annotated[
        str, option("Column of token ids.", INPUT, complete=complete_column)
    ] = TOKEN_COLUMN,
    input_format: InputKind = None,
    limit: Limit = None,
    keep_special: Annotated[
        bool,
        option("Show [CLS], [SEP], <pad> and the others, too.", OUTPUT, "--keep-special"),
    ] = False,
    offline: Offline = False,
    endpoint: Endpoint = None,
    as_json: Annotated[
        bool, option("Print an object with row and text a line.", OUTPUT, "--json")
    ] = False,
) -> None:
    """Print the text of each row of token ids, a line each, to look at.

    Line breaks and other control characters are shown as escapes. What the
    vocabulary cannot hold is lost: unknown characters, spaces in a row.

    Example: fnet detokenize tokens.parquet --limit 5
    """
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.cli.streams import printable
    from fnet_cli.encoding.detokenizing import detokenized
    from fnet_cli.encoding.readers.places import input_file
    from fnet_cli.presets.resolving import resolve_preset
    from fnet_cli.stores import Stores

    if limit is not None and limit < 0:
        raise UsageError(f"--limit must not be negative, it is {limit}")
    settings = current_settings(offline=offline, endpoint=endpoint)
    with shown_pull() as on_pull:
        local = resolve_preset(preset, settings, on_pull)
    file = input_file(tokens, Stores(settings))
    rows = detokenized(local, file, input_format, token_column, skip_special=not keep_special)
    for row, text in islice(rows, limit):
        line = json.dumps({"row": row, "text": text}) if as_json else printable(text)
        sys.stdout.write(line + "\n")
