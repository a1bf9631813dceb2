"""`fnet presets`: what there is, and what is in it."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fnet_cli.cli.tables import Column, Table, TableFormat, number, print_table, size
from fnet_cli.config import Settings
from fnet_cli.presets.inspecting import inspect_preset, list_presets

presets_app = typer.Typer(name="presets", help="Look at presets.", no_args_is_help=True)


def _shown(value: Any) -> str:
    return number(value) if value is None or isinstance(value, int) else str(value)


_LIST_COLUMNS = (
    Column("name", "Name"),
    Column("source", "Source"),
    Column("state", "State"),
    Column("parameters", "Parameters", number, right=True),
    Column("bytes", "On disk", size, right=True),
    Column("description", "Description"),
)
_INSPECT_COLUMNS = (Column("key", "Key"), Column("value", "Value", _shown))

_FORMAT = typer.Option("--format", help="Output format; a table on a terminal, TSV in a pipe.")
_JSON = typer.Option("--json", help="The same as --format json.")


class PresetFormat(StrEnum):
    """On-disk formats that presets are converted to."""

    KERAS = "keras"
    TRANSFORMERS = "transformers"


@presets_app.command("list")
def list_command(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(help="Directories to look for presets in, besides the built-in ones."),
    ] = None,
    kind: Annotated[TableFormat | None, _FORMAT] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List bundled, built-in and local presets.

    Example: fnet presets list ~/presets
    """
    rows = [
        entry.to_dict() for entry in list_presets(directories or [], Settings.from_env(os.environ))
    ]
    print_table(Table(_LIST_COLUMNS, rows), TableFormat.JSON if as_json else kind, rows)


@presets_app.command("inspect")
def inspect_command(
    preset: Annotated[str, typer.Argument(help="Preset name or directory.", metavar="NAME|DIR")],
    kind: Annotated[TableFormat | None, _FORMAT] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show a preset's sizes, files, tokenizer, and what is wrong with it.

    Reads headers only. Ends with 4 where the preset could not be loaded.

    Example: fnet presets inspect f_net_mini_en
    """
    found = inspect_preset(preset, Settings.from_env(os.environ))
    rows = [{"key": key, "value": value} for key, value in _flat(found.to_dict())]
    chosen = TableFormat.JSON if as_json else kind
    print_table(Table(_INSPECT_COLUMNS, rows), chosen, found.to_dict())
    if found.problem is not None:
        raise found.problem


def _flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested keys joined by points, so that every row of the table is one fact."""
    rows: list[tuple[str, Any]] = []
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name, ", ".join(value) if isinstance(value, list) else value))
    return rows


@presets_app.command("convert")
def convert_command(
    source: Annotated[str, typer.Argument(help="Preset name or directory.", metavar="SRC")],
    destination: Annotated[Path, typer.Argument(help="New directory.", metavar="DST")],
    to: Annotated[PresetFormat, typer.Option(help="Format to write.")],
) -> None:
    """Convert a preset between KerasHub's format and transformers'.

    Example: fnet presets convert f_net_mini_en mini-pt --to transformers
    """
    from fnet_cli.presets.converting import convert_preset
    from fnet_cli.presets.resolving import resolve_preset

    preset = resolve_preset(source, Settings.from_env(os.environ))
    convert_preset(preset, destination, to.value)
    typer.echo(f"fnet: wrote {destination} in the format of {to.value}", err=True)
