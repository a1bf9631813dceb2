"""`fnet report`: embeddings to look at, on a page that needs nothing else."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from fnet_cli.cli.completing import complete_column
from fnet_cli.cli.interrupts import stop_if_asked
from fnet_cli.cli.settings import Quiet, current_settings
from fnet_cli.cli.streams import say, style_of
from fnet_cli.constants import EMBEDDING_COLUMN
from fnet_cli.errors import UsageError
from fnet_cli.reporting.options import (
    DEFAULT_SAMPLE,
    DEFAULT_THRESHOLD,
    Projection,
    ReportOptions,
)
from fnet_cli.units import show_bytes


def report(  # noqa: PLR0913 - every option of the command
    source: Annotated[
        str,
        typer.Argument(
            help="Parquet or JSON lines file of embeddings, or a directory of them.",
            metavar="FILE|DIR",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="HTML file to write; PNG with --png.", metavar="FILE"),
    ] = None,
    png: Annotated[
        bool, typer.Option("--png", help="Write a still picture instead of a page.")
    ] = False,
    input_text_column: Annotated[
        str | None,
        typer.Option(
            help="Column that says what a row is. Default: text, where there is one.",
            autocompletion=complete_column,
        ),
    ] = None,
    column: Annotated[
        str, typer.Option(help="Column of embeddings.", autocompletion=complete_column)
    ] = EMBEDDING_COLUMN,
    sample: Annotated[
        int, typer.Option(help="Most rows to look at, drawn at random.", metavar="N")
    ] = DEFAULT_SAMPLE,
    seed: Annotated[int, typer.Option(help="Which rows are drawn, and the map's start.")] = 0,
    duplicates: Annotated[
        float, typer.Option(help="Cosine from which two rows are near-duplicates.", metavar="F")
    ] = DEFAULT_THRESHOLD,
    projection: Annotated[
        Projection, typer.Option(help="Map of the page: both with tsne; pca alone is faster.")
    ] = Projection.TSNE,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Address of a server that speaks the protocol of S3, for s3://.", metavar="URL"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = (
        False
    ),
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the numbers; without -o that is all.")
    ] = False,
) -> None:
    """Make a page to look at embeddings: a map, lengths, likeness, duplicates.

    One file that needs no network. Large outputs are sampled, and the page
    says so. Needs scikit-learn and plotly: the extra `report`.

    Example: fnet report embeddings.parquet -o report.html
    """
    from fnet_cli.reporting.making import make_report, summed_up

    if output is None and not (as_json or png):
        raise UsageError("there is no output", hint="add -o report.html, or --json")
    options = ReportOptions(
        source, output, column, input_text_column, sample, seed, duplicates, projection, png,
        overwrite,
    )  # fmt: skip

    def tell(text: str) -> None:
        stop_if_asked()
        if not quiet:
            say(text)

    made = make_report(options, current_settings(endpoint=endpoint), tell)
    if as_json:
        indent = 2 if style_of(sys.stdout, {}).terminal else None
        sys.stdout.write(json.dumps({**made.numbers, "output": output}, indent=indent) + "\n")
    if made.bytes is not None and not quiet:
        say(f"wrote {output}: {summed_up(made.numbers)}; {show_bytes(made.bytes)}")
