"""The command tree. Command modules import what they need when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from fnet_cli.cli import caches, store  # noqa: F401 - they add their commands
from fnet_cli.cli.bench import bench
from fnet_cli.cli.config import config_app
from fnet_cli.cli.encode import encode
from fnet_cli.cli.pinning import PinnedCommand
from fnet_cli.cli.presets import presets_app
from fnet_cli.cli.summary import summary
from fnet_cli.cli.tokenize import detokenize, tokenize
from fnet_cli.cli.verify_output import verify_output
from fnet_cli.constants import __version__

app = typer.Typer(
    name="fnet",
    help="FNet text embeddings: encode texts and token files, pull and look after presets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(context: typer.Context, wanted: bool) -> None:
    # A shell that completes a line only reads it.
    if wanted and not context.resilient_parsing:
        typer.echo(f"fnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


app.command(cls=PinnedCommand)(encode)
app.command(cls=PinnedCommand)(tokenize)
app.command()(detokenize)
app.command()(verify_output)
app.command()(summary)
app.command()(bench)
app.add_typer(presets_app)
app.add_typer(config_app)
