"""The command tree. Command modules import what they need when they run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from fnet_cli.cli import caches  # noqa: F401 - it adds its commands
from fnet_cli.cli.bench import bench
from fnet_cli.cli.config import config_app, show_command
from fnet_cli.cli.doctor import doctor
from fnet_cli.cli.encode import encode
from fnet_cli.cli.pinning import PinnedCommand
from fnet_cli.cli.presets import presets_app
from fnet_cli.cli.report import report
from fnet_cli.cli.store import pull_command
from fnet_cli.cli.summary import summary
from fnet_cli.cli.tokenize import detokenize, tokenize
from fnet_cli.cli.verify_output import verify_output
from fnet_cli.constants import __version__

# An example of each is shown by `fnet --help`, in the order of its groups.
_SHOWN: tuple[Callable[..., None], ...] = (
    encode, tokenize, detokenize, verify_output, report, summary, bench, doctor, pull_command,
    show_command,
)  # fmt: skip
ENCODE, INSPECT, PRESETS, SETTINGS = "Encode", "Inspect", "Presets", "Settings"


def _examples() -> str:
    """Return the examples in the help of commands, a line each; Markdown takes them for code."""
    texts = [inspect.getdoc(command) or "" for command in _SHOWN]
    lines = [f"    {text.partition('Example: ')[2]}" for text in texts]
    return "\n".join(["Examples:", "", *lines])


app = typer.Typer(
    name="fnet",
    help="FNet text embeddings: encode texts and token files, pull and look after presets.",
    epilog=_examples(),
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


app.command(cls=PinnedCommand, rich_help_panel=ENCODE)(encode)
app.command(cls=PinnedCommand, rich_help_panel=ENCODE)(tokenize)
app.command(rich_help_panel=ENCODE)(detokenize)
app.command(rich_help_panel=INSPECT)(verify_output)
app.command(rich_help_panel=INSPECT)(report)
app.command(rich_help_panel=INSPECT)(summary)
app.command(rich_help_panel=INSPECT)(bench)
app.command(rich_help_panel=INSPECT)(doctor)
app.add_typer(presets_app, rich_help_panel=PRESETS)
app.add_typer(config_app, rich_help_panel=SETTINGS)
