"""`fnet presets`: what there is, what is in it, and which is used."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fnet_cli.cli.completing import complete_preset
from fnet_cli.cli.settings import Offline, current_settings
from fnet_cli.cli.streams import say
from fnet_cli.cli.tables import Column, Table, TableFormat, number, print_table, size
from fnet_cli.errors import UsageError

_ORDER = (
    "list", "pull", "inspect", "path", "use", "verify", "remove", "prune", "convert", "export",
    "import",
)  # fmt: skip


class _InOrder(TyperGroup):
    """Lists the commands as people need them, whichever module they are in."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names of the commands."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


presets_app = typer.Typer(
    name="presets",
    help="Pull, look at and look after presets.",
    no_args_is_help=True,
    cls=_InOrder,
)


def named(value: Any) -> Any:
    """Refuse empty names: a variable that is not set must not mean the default preset."""
    for name in [value] if isinstance(value, str) else value or []:
        if not name.strip():
            raise UsageError("the name of a preset is empty", hint="fnet presets list shows names")
    return value


def _argument(metavar: str) -> Any:
    text = "Preset name, handle or directory."
    return typer.Argument(
        help=text, metavar=metavar, callback=named, autocompletion=complete_preset
    )


PresetName = Annotated[str, _argument("NAME")]
PresetNames = Annotated[
    list[str] | None,
    typer.Argument(
        help="Preset names or handles.",
        metavar="NAME|HANDLE",
        callback=named,
        autocompletion=complete_preset,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]

FormatOption = Annotated[
    TableFormat | None,
    typer.Option("--format", help="Output format; a table on a terminal, TSV in a pipe."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Let torch read the tensors of a .bin file (weights_only), and nothing else from it.",
    ),
]


def chosen_format(kind: TableFormat | None, as_json: bool) -> TableFormat | None:
    """Return the format that the two options choose together."""
    return TableFormat.JSON if as_json else kind


def _shown(value: Any) -> str:
    return number(value) if value is None or isinstance(value, int) else str(value)


def short_revision(value: Any) -> str:
    """Show a revision as people compare them: a commit by its beginning."""
    return str(value)[:12]


_LIST_COLUMNS = (
    Column("name", "Name"),
    Column("source", "Source", optional=3),
    Column("revision", "Revision", short_revision, optional=1),
    Column("state", "State"),
    Column("parameters", "Parameters", number, right=True, optional=2),
    Column("bytes", "On disk", size, right=True),
    Column("description", "Description", optional=4),
)
_INSPECT_COLUMNS = (Column("key", "Key"), Column("value", "Value", _shown))


class PresetFormat(StrEnum):
    """On-disk formats that presets are converted to."""

    KERAS = "keras"
    TRANSFORMERS = "transformers"


@presets_app.command("list")
def list_command(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Directories to look for presets in, besides the caches.", metavar="DIRECTORY"
        ),
    ] = None,
    cached: Annotated[
        bool, typer.Option("--cached", help="Only what is in a cache on this machine.")
    ] = False,
    kind: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """List built-in, cached and local presets.

    Example: fnet presets list --cached
    """
    from fnet_cli.presets.listing import list_presets

    found = list_presets(directories or [], current_settings(), cached_only=cached)
    rows = [entry.to_dict() for entry in found]
    print_table(Table(_LIST_COLUMNS, rows), chosen_format(kind, as_json), rows)


@presets_app.command("inspect")
def inspect_command(
    preset: Annotated[str, _argument("NAME|HANDLE|DIR")],
    offline: Offline = False,
    kind: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a preset's sizes, files, tokenizer, and what would be refused.

    Weights are hashed and their headers checked, never loaded. A preset of
    a hub that is not here is pulled. One that is damaged or refused is
    shown as far as it can be read, and ends with 6 or 4.

    Example: fnet presets inspect f_net_mini_en
    """
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.presets.inspecting import inspect_preset

    with shown_pull() as on_pull:
        found = inspect_preset(preset, current_settings(offline=offline), on_pull)
    rows = [{"key": key, "value": value} for key, value in flattened(found.to_dict())]
    print_table(Table(_INSPECT_COLUMNS, rows), chosen_format(kind, as_json), found.to_dict())
    if found.problem is not None:
        raise found.problem


def flattened(document: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested keys joined by points, so that every row of the table is one fact."""
    rows: list[tuple[str, Any]] = []
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += flattened(value, f"{name}.")
        else:
            rows.append((name, _plain(value)))
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return json.dumps(value)  # as a file of settings has it
    return ", ".join(value) if isinstance(value, list) else value


@presets_app.command("path")
def path_command(
    preset: PresetName,
) -> None:
    """Print the directory of a preset that is here: one line, for scripts.

    Example: ls "$(fnet presets path f_net_mini_en)"
    """
    from fnet_cli.presets.resolving import resolve_preset

    # Not typer.echo, which replaces the bytes of a name that is no text.
    sys.stdout.write(f"{resolve_preset(preset, current_settings()).directory.absolute()}\n")


@presets_app.command("use")
def use_command(
    preset: PresetName,
) -> None:
    """Make a preset the default of encode; FNET_PRESET wins over it.

    Example: fnet presets use f_net_base_en
    """
    from fnet_cli.cli.config import say_what_wins
    from fnet_cli.config import save_default_preset
    from fnet_cli.presets.resolving import lasting_name

    settings = current_settings()
    name, note = lasting_name(preset, settings)
    save_default_preset(settings.config_file, name)
    say(f"{name} is the default preset now ({settings.config_file})")
    if note:
        say(f"note: {note}")
    say_what_wins("preset", settings.config_file)


@presets_app.command("convert")
def convert_command(
    source: Annotated[str, _argument("SRC")],
    destination: Annotated[Path, typer.Argument(help="New directory.", metavar="DST")],
    to: Annotated[PresetFormat, typer.Option(help="Format to write.")],
    allow_pickle: AllowPickle = False,
    offline: Offline = False,
) -> None:
    """Convert a preset between KerasHub's format and transformers'.

    Example: fnet presets convert f_net_mini_en mini-pt --to transformers
    """
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.presets.converting import convert_preset
    from fnet_cli.presets.resolving import resolve_preset

    with shown_pull() as on_pull:
        preset = resolve_preset(
            source, current_settings(offline=offline), on_pull, allow_pickle=allow_pickle
        )
    convert_preset(preset, destination, to.value)
    say(f"wrote {destination} in the format of {to.value}")
