"""`fnet summary`: parameter counts, from the config alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import LayerParameters, layer_table, parameter_count
from fnet_cli.cli.completing import complete_preset
from fnet_cli.cli.settings import Offline, current_settings
from fnet_cli.cli.tables import Column, Table, TableFormat, number, print_table, size


class Grouping(StrEnum):
    """What a row of the summary stands for."""

    LAYER = "layer"
    BLOCK = "block"
    TOTAL = "total"


class SummaryDtype(StrEnum):
    """Dtypes that bytes are counted in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"

    @property
    def width(self) -> int:
        """Bytes of one parameter."""
        return 4 if self is SummaryDtype.FLOAT32 else 2


_COLUMNS = (
    Column("name", "Name"),
    Column("output_shape", "Output shape"),
    Column("parameters", "Parameters", number, right=True),
    Column("bytes", "Bytes", size, right=True),
)


def summary(
    preset: Annotated[
        str | None,
        typer.Argument(
            help="Preset name, handle or directory; else all built-in ones.",
            autocompletion=complete_preset,
        ),
    ] = None,
    kind: Annotated[
        TableFormat | None,
        typer.Option("--format", help="Output format; a table on a terminal, TSV in a pipe."),
    ] = None,
    by: Annotated[Grouping, typer.Option(help="What a row stands for.")] = Grouping.BLOCK,
    dtype: Annotated[
        SummaryDtype, typer.Option(help="Dtype that bytes are counted in.")
    ] = SummaryDtype.FLOAT32,
    offline: Offline = False,
) -> None:
    """Print a parameter-count table.

    Example: fnet summary f_net_large_en | awk '{n += $3} END {print n}'
    """
    if preset is None:
        rows = _builtin_rows(dtype.width)
        print_table(Table(_COLUMNS, rows), kind, {"dtype": dtype.value, "presets": rows})
        return
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.presets.resolving import resolve_config

    with shown_pull() as on_pull:
        config = resolve_config(preset, current_settings(offline=offline), on_pull)
    rows = summary_rows(config, by, dtype.width)
    total = _row("total", ("B", config.hidden_dim), parameter_count(config), dtype.width)
    document = {"preset": preset, "dtype": dtype.value, "rows": rows, "total": total}
    print_table(Table(_COLUMNS, rows, total if by is not Grouping.TOTAL else None), kind, document)


def summary_rows(config: BackboneConfig, by: Grouping, width: int) -> list[dict[str, Any]]:
    """Return one row a layer, a block, or the whole model, at `width` bytes a parameter."""
    layers = layer_table(config)
    if by is Grouping.LAYER:
        return [_row(layer.path, layer.output_shape, layer.size, width) for layer in layers]
    groups: dict[str, list[LayerParameters]] = {}
    for layer in layers:
        groups.setdefault("total" if by is Grouping.TOTAL else layer.block, []).append(layer)
    return [
        # A group's output is that of its last layer.
        _row(name, members[-1].output_shape, sum(layer.size for layer in members), width)
        for name, members in groups.items()
    ]


def _row(name: str, shape: tuple[str | int, ...], parameters: int, width: int) -> dict[str, Any]:
    return {
        "name": name,
        # No spaces, so that the columns count the same for awk's default separator.
        "output_shape": f"({','.join(map(str, shape))})",
        "parameters": parameters,
        "bytes": parameters * width,
    }


def _builtin_rows(width: int) -> list[dict[str, Any]]:
    from fnet_cli.presets.registry import BUILTIN_PRESETS

    return [
        _row(preset.name, ("B", preset.config.hidden_dim), preset.parameters, width)
        for preset in BUILTIN_PRESETS.values()
    ]
