"""Rows for people and for pipelines: one set of rows, four formats."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from fnet_cli.cli.streams import console_for, one_line, style_of
from fnet_cli.units import show_bytes

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]


# What rich puts between two columns.
_GAP = 3
# The lines of box.SIMPLE_HEAD where only ASCII can be sure to be there.
_ASCII = "    \n    \n -- \n" + "    \n" * 5


class TableFormat(StrEnum):
    """Output formats of a table."""

    TABLE = "table"
    TSV = "tsv"
    JSON = "json"
    MARKDOWN = "markdown"


@dataclass(frozen=True)
class Column:
    """One column: the key of its values, its heading, and how people read its values.

    Machine formats print the plain value; `shown` is for tables and Markdown. Columns that are
    `optional` are left out where a terminal is too narrow, the one with the highest number first.
    """

    key: str
    heading: str
    shown: Callable[[Any], str] = str
    right: bool = False
    optional: int = 0


@dataclass(frozen=True)
class Table:
    """Rows with their columns. `footer` is for people only, so that summing a TSV is right."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    footer: Row | None = None


def number(value: Any) -> str:
    """Show an int with thousands separators, and nothing for None."""
    return "-" if value is None else f"{value:,}"


def size(value: Any) -> str:
    """Show a number of bytes, and nothing for None."""
    return "-" if value is None else show_bytes(value)


def print_table(
    table: Table,
    kind: TableFormat | None,
    document: Any,
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Print `table`, or for JSON the `document`; without a kind, TSV unless on a terminal."""
    stream = stream or sys.stdout
    terminal = style_of(stream, environ).terminal
    kind = kind or (TableFormat.TABLE if terminal else TableFormat.TSV)
    if kind is TableFormat.JSON:
        stream.write(json.dumps(document, indent=2 if terminal else None) + "\n")
    elif kind is TableFormat.TABLE:
        _print_rich(table, stream, environ)
    else:
        lines = _tsv(table) if kind is TableFormat.TSV else _markdown(table)
        stream.writelines(f"{line}\n" for line in lines)


def _tsv(table: Table) -> list[str]:
    def cell(value: Any) -> str:
        # A separator inside a value would shift every column after it.
        return "" if value is None else str(value).translate({9: " ", 10: " ", 13: " "})

    heading = "\t".join(column.key for column in table.columns)
    return [heading] + [
        "\t".join(cell(row[column.key]) for column in table.columns) for row in table.rows
    ]


def _shown_rows(table: Table, encoding: str = "utf-8") -> list[list[str]]:
    """Return the cells for people, in letters that `encoding` has: an escape is wider."""

    def cell(text: str) -> str:
        return one_line(text).encode(encoding, "backslashreplace").decode(encoding)

    rows = [*table.rows, *([table.footer] if table.footer else [])]
    return [[cell(column.shown(row[column.key])) for column in table.columns] for row in rows]


def _markdown(table: Table) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    rules = ["---:" if column.right else "---" for column in table.columns]
    headings = [column.heading for column in table.columns]
    return [line(headings), line(rules), *(line(cells) for cells in _shown_rows(table))]


def _print_rich(table: Table, stream: TextIO, environ: Mapping[str, str]) -> None:
    from rich import box
    from rich.table import Table as RichTable

    console = console_for(stream, environ)
    table = _fitted(table, console)
    fits = sum(_widths(table, console.encoding)) <= console.width
    lines = box.SIMPLE_HEAD if console.encoding.startswith("utf") else box.Box(_ASCII, ascii=True)
    drawn = RichTable(box=lines, show_footer=table.footer is not None, pad_edge=False)
    cells = _shown_rows(table, console.encoding)
    body = cells[:-1] if table.footer else cells
    for index, column in enumerate(table.columns):
        drawn.add_column(
            column.heading,
            footer=cells[-1][index] if table.footer else "",
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=fits and (column.right or index == 0),
        )
    for row in body:
        drawn.add_row(*row)
    console.print(drawn)


def _fitted(table: Table, console: Console) -> Table:
    """Return the table without the optional columns that make it wider than the console."""
    optional = [column for column in table.columns if column.optional]
    for column in sorted(optional, key=lambda column: -column.optional):
        if sum(_widths(table, console.encoding)) > console.width:
            kept = [other for other in table.columns if other is not column]
            table = replace(table, columns=kept)
    return table


def _widths(table: Table, encoding: str) -> list[int]:
    from rich.cells import cell_len

    cells = [[column.heading for column in table.columns], *_shown_rows(table, encoding)]
    return [max(map(cell_len, column)) + _GAP for column in zip(*cells, strict=True)]
