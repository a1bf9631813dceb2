"""`fnet verify-output`: whether a file of embeddings can be trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnet_cli.cli.presets import FormatOption, JsonOption, chosen_format, flattened
from fnet_cli.cli.streams import say
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
    from fnet_cli.encoding.verifying import verify_outputs

    checks = verify_outputs(files, column)
    print_table(
        _table(checks),
        chosen_format(table_format, as_json),
        {"files": [asdict(check) for check in checks]},
    )
    for check in checks:
        if check.unfinished_job and check.rows is not None:
            say(f"note: {check.file}: a job with this output has not ended, and is kept beside it")
    _end(checks)


def _end(checks: list[OutputCheck]) -> None:
    """Raise IntegrityError, which names the first fault, where there is one."""
    faults = [(check, fault) for check in checks for fault in check.faults]
    if not faults:
        return
    (check, first), *others = faults
    more = f" (and {len(others):,} more, listed above)" if others else ""
    hint = "encode it again"
    if check.unfinished_job and check.rows is None:
        hint = "the same fnet encode command with --resume goes on with the job"
    elif check.columns and check.number_type is None and not check.unreadable_rows:
        hint = f"--column names another; columns: {', '.join(list(check.columns)[:12])}"
    raise IntegrityError(f"{check.file}: {first}{more}", hint=hint)


def _table(checks: list[OutputCheck]) -> Table:
    columns = [Column("key", "Key"), Column("value", "Value", _shown)]
    if len(checks) > 1:
        columns.insert(0, Column("file", "File"))
    rows = [
        {"file": check.file, "key": key, "value": value}
        for check in checks
        for key, value in _facts(check)
        if key != "file" or len(checks) == 1
    ]
    return Table(columns, rows)


def _facts(check: OutputCheck) -> Iterator[tuple[str, Any]]:
    """Yield what is known of a file, a fact a row, and the faults numbered."""
    stated = {key: _told(value) for key, value in check.metadata.items()}
    faults = {str(index): fault for index, fault in enumerate(check.faults, 1)}
    yield from flattened({**asdict(check), "metadata": stated, "faults": faults})


def _told(value: Any) -> Any:
    """Return a value of the metadata as it is, or as JSON where it has values of its own."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return number(value) if value is None or isinstance(value, int) else str(value)
