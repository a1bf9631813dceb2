"""`fnet bench`: how fast this machine embeds."""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnet_cli.cli.completing import complete_device, complete_preset
from fnet_cli.cli.encode import quiet_load_engine
from fnet_cli.cli.interrupts import stop_if_asked
from fnet_cli.cli.settings import Offline, current_settings
from fnet_cli.cli.streams import one_line, say, style_of
from fnet_cli.cli.tables import Column, Table, TableFormat, number, print_table
from fnet_cli.encoding.options import ComputeDtype
from fnet_cli.errors import UsageError

if TYPE_CHECKING:
    from fnet_cli.encoding.bench import BenchReport, Measuring
    from fnet_cli.encoding.engine.base import Engine, EngineRequest


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


_COLUMNS = (
    Column("case", "Rows"),
    Column("length", "Length", number, right=True),
    Column("padding", "Padding", optional=1),
    Column("dtype", "Dtype", optional=6),
    Column("tokens_per_second", "Tokens/s", _rate, right=True),
    Column("rows_per_second", "Rows/s", _rate, right=True),
    Column("mixing", "Mixing", optional=5),
    Column("batch_rows", "Batch", number, right=True, optional=2),
    Column("batch_tokens", "Batch tokens", number, right=True, optional=3),
    Column("workers", "Workers", number, right=True, optional=4),
    Column("floor_tokens_per_second", "Floor", _rate, right=True),
    Column("floor_share", "Share", lambda share: f"{share:.0%}", right=True),
)


def bench(
    preset: Annotated[
        str,
        typer.Option(
            help="Preset name, handle or directory. Default: the one of `fnet encode`.",
            metavar="NAME|HANDLE|DIR",
            autocompletion=complete_preset,
        ),
    ] = "",
    dtype: Annotated[
        ComputeDtype, typer.Option(help="What the model computes in; auto is float32.")
    ] = ComputeDtype.AUTO,
    device: Annotated[
        str,
        typer.Option(
            help="auto (every GPU, else the CPU), cpu, gpu, or gpu:N, several as gpu:0,1.",
            autocompletion=complete_device,
        ),
    ] = "auto",
    lengths: Annotated[
        str | None,
        typer.Option(
            help="Tokens a row, separated by commas. Default: 32,128,512, up to the model's "
            "maximum.",
            metavar="N,N,...",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="How long the model is measured at each length.")
    ] = 2.0,
    offline: Offline = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, with the machine in it.")
    ] = False,
) -> None:
    """Measure how fast this machine embeds.

    Random rows of each length without padding, and short sentences in
    buckets; beside each rate that of the model's matrix products alone,
    the floor, and which share of it is reached.

    Example: fnet bench --preset f_net_mini_en --lengths 128 --seconds 1
    """
    from fnet_cli.cli.pull_progress import shown_pull
    from fnet_cli.encoding.bench import BenchContext, BenchOptions, run_bench
    from fnet_cli.presets.resolving import resolve_preset

    options = BenchOptions(_lengths(lengths), seconds, dtype, device)
    with shown_pull() as on_pull:
        found = resolve_preset(preset, current_settings(offline=offline), on_pull)
    _show(run_bench(found, options, BenchContext(_load, _tell)), as_json=as_json)


def _lengths(text: str | None) -> tuple[int, ...]:
    parts = [] if text is None else text.split(",")
    if not all(re.fullmatch("[0-9]{1,9}", part.strip()) for part in parts):
        raise UsageError(
            f"--lengths {text!r} is not a list of numbers", hint="such as --lengths 32,128,512"
        )
    return tuple(map(int, parts))


def _load(request: EngineRequest) -> Engine:
    say(f"loading {request.preset.handle}")
    engine = quiet_load_engine(request)
    # It warns where a function is traced for many shapes, as is meant here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return engine


def _tell(measuring: Measuring) -> None:
    stop_if_asked()
    if measuring.slice == 0:
        of = f"{measuring.number} of {measuring.total}"
        say(f"measuring {of}: {measuring.case} rows of {measuring.length} tokens")


def _show(report: BenchReport, *, as_json: bool) -> None:
    document = report.to_dict()
    if not as_json and style_of(sys.stdout, os.environ).terminal:
        for line in caption(document):
            sys.stdout.write(one_line(line) + "\n")
    kind = TableFormat.JSON if as_json else None
    print_table(Table(_COLUMNS, document["rows"]), kind, document)


def caption(document: dict[str, Any]) -> list[str]:
    """Return what holds for every row, as people read it: the model and the machine."""
    row = document["rows"][0]
    known = {"AVX-512": document["avx512"], "AMX-bf16": document["amx_bf16"]}
    features = [
        f"{name} {'yes' if there else 'no'}" for name, there in known.items() if there is not None
    ]
    return [
        f"{document['preset']} in {document['dtype']}, mixing {row['mixing']}",
        f"{document['backend']} on {document['device']}, {row['workers']} at once",
        ", ".join([document["processor"], f"{document['cores']} cores", *features]),
        ", ".join(f"{name} {version}" for name, version in document["versions"].items()),
    ]
