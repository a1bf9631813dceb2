"""`fnet verify-output`: whether a file of embeddings can be trusted."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnet_cli.cli.presets import FormatOption, JsonOption, chosen_format
from fnet_cli.cli.tables import Column, Table, number, print_table
from fnet_cli.constants import EMBEDDING_COLUMN
from fnet_cli.errors import IntegrityError

if TYPE_CHECKING:
    from fnet_cli.encoding.verifying import OutputCheck


def verify_output(
    files: Annotated[
        list[str],
        typer.Argument(help="Parquet or JSON lines files of embeddings.", metavar="FILE"),
    ],
    column: Annotated[str, typer.Option(help="Column of embeddings.")] = EMBEDDING_COLUMN,
    table_format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read files of embeddings to their end and check every vector.

    Shows rows, columns, dimension, lengths, zero vectors and how they were
    made. Ends with 6 where one is damaged, unfinished, or holds a NaN.

    Example: fnet verify-output embeddings.parquet
    """
    from fnet_cli.encoding.verifying import verify_output as verify

    checks = [verify(name, column) for name in files]
    print_table(
        _table(checks),
        chosen_format(table_format, as_json),
        {"files": [asdict(check) for check in checks]},
    )
    for check in checks:
        if check.faults:
            first, others = check.faults[0], len(check.faults) - 1
            more = f" (and {others} more)" if others else ""
            raise IntegrityError(
                f"{check.file}: {first}{more}", hint="encode it again; --resume goes on with a job"
            )


def _table(checks: list[OutputCheck]) -> Table:
    columns = [Column("key", "key"), Column("value", "value", _shown)]
    if len(checks) > 1:
        columns.insert(0, Column("file", "file"))
    rows = [
        {"file": check.file, "key": key, "value": value}
        for check in checks
        for key, value in _flat(asdict(check))
    ]
    return Table(columns, rows)


def _flat(record: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return nested keys joined by a point, and the faults numbered."""
    faults = dict(enumerate(record.pop("faults"), 1))
    pairs = []
    for key, value in {**record, "faults": faults}.items():
        if isinstance(value, dict):
            pairs += [(f"{key}.{inner}", found) for inner, found in value.items()]
        else:
            pairs.append((key, value))
    return pairs


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return number(value) if value is None or type(value) is int else str(value)
