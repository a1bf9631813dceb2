"""`fnet verify-output`: whether embeddings that were written can be trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import typer

from fnet_cli.cli.completing import complete_column
from fnet_cli.cli.presets import FormatOption, JsonOption, chosen_format, flattened
from fnet_cli.cli.settings import current_settings
from fnet_cli.cli.streams import say
from fnet_cli.cli.tables import Column, Table, number, print_table
from fnet_cli.constants import EMBEDDING_COLUMN
from fnet_cli.errors import IntegrityError

if TYPE_CHECKING:
    from fnet_cli.encoding.examining import OutputCheck
    from fnet_cli.encoding.examining_parts import DirectoryCheck

    Check = OutputCheck | DirectoryCheck


def verify_output(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Parquet or JSON lines files of embeddings, or directories of them.",
            metavar="FILE|DIR",
        ),
    ],
    column: Annotated[
        str, typer.Option(help="Column of embeddings.", autocompletion=complete_column)
    ] = EMBEDDING_COLUMN,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Address of a server that speaks the protocol of S3, for s3://.", metavar="URL"
        ),
    ] = None,
    table_format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read files of embeddings to their end and check every vector.

    Shows rows, columns, dimension, lengths, zero vectors and how they were
    made; of a directory all together, and what is wrong with its parts. Ends
    with 6 where one is damaged, unfinished, or holds a NaN.

    Example: fnet verify-output embeddings.parquet
    """
    from fnet_cli.encoding.verifying import verify_outputs

    checks = verify_outputs(files, column, current_settings(endpoint=endpoint))
    print_table(
        _table(checks),
        chosen_format(table_format, as_json),
        {"files": [asdict(check) for check in checks]},
    )
    for check in checks:
        if note := _note(check):
            say(f"note: {check.file}: {note}")
    _end(checks)


def _is_directory(check: Check) -> TypeGuard[DirectoryCheck]:
    from fnet_cli.encoding.examining_parts import DirectoryCheck

    return isinstance(check, DirectoryCheck)


def _note(check: Check) -> str:
    """Return what is no fault and should be known, or nothing."""
    if _is_directory(check):
        return (
            ""
            if check.has_journal
            else "no job of fnet has left its records here: each file was checked by itself"
        )
    if check.unfinished_job and check.rows is not None:
        return "a job with this output has not ended, and is kept beside it"
    return ""


def _end(checks: Sequence[Check]) -> None:
    """Raise IntegrityError, which names the first fault, where there is one."""
    faults = [(check, fault) for check in checks for fault in check.faults]
    if not faults:
        return
    (check, first), *others = faults
    more = f" (and {len(others):,} more, listed above)" if others else ""
    raise IntegrityError(f"{check.file}: {first}{more}", hint=_hint(check))


def _hint(check: Check) -> str:
    """Return what to do about an output with faults."""
    is_directory = _is_directory(check)
    if check.unfinished_job and (is_directory or check.rows is None):
        return "the same fnet encode command with --resume goes on with the job"
    if check.columns and check.number_type is None and not check.unreadable_rows:
        return f"--column names another; columns: {', '.join(list(check.columns)[:12])}"
    if _is_directory(check) and check.parts_stated is not None:
        return (
            "remove the faulty files; the same fnet encode command with --resume makes parts again"
        )
    return "encode it again"


def _table(checks: Sequence[Check]) -> Table:
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


def _facts(check: Check) -> Iterator[tuple[str, Any]]:
    """Yield what is known of a file, a fact a row, and the faults numbered."""
    stated = {key: _told(value) for key, value in check.metadata.items()}
    faults = {str(index): fault for index, fault in enumerate(check.faults, 1)}
    document = {**asdict(check), "metadata": stated, "faults": faults}
    if _is_directory(check):
        document["parts"] = {part.file: "; ".join(part.faults) for part in check.parts}
    yield from flattened(document)


def _told(value: Any) -> Any:
    """Return a value of the metadata as it is, or as JSON where it has values of its own."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return number(value) if value is None or isinstance(value, int) else str(value)
