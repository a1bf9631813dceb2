"""Tables fit the terminal that they are printed on."""

from __future__ import annotations

import io

import pytest

from fnet_cli.cli.tables import Column, Table, TableFormat, print_table

TABLE = Table(
    (Column("name", "Name"), Column("where", "Where", optional=1),
     Column("size", "Size", right=True), Column("note", "Note", optional=2)),
    [{"name": "n" * 20, "where": "w" * 20, "size": 12345, "note": "o" * 30}],
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(width: int, kind: TableFormat | None = None) -> str:
    stream = Terminal()
    print_table(TABLE, kind, None, stream, {"COLUMNS": str(width), "TERM": "dumb"})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("width", "shown"), [(120, "NameWhereSizeNote"), (60, "NameWhereSize"), (40, "NameSize")]
)
def test_a_narrow_terminal_gets_fewer_columns(width, shown):
    text = printed(width)
    assert "".join(text.split("─")[0].split()) == shown
    assert max(map(len, text.splitlines())) <= width


def test_a_cell_steers_no_terminal():
    stream = Terminal()
    table = Table((Column("name", "Name"),), [{"name": "x\x1b[2J\ny"}])
    print_table(table, None, None, stream, {"TERM": "dumb"})
    assert "x\\x1b[2J y" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_what_is_not_optional_is_shown_on_any_width():
    assert "12345" in printed(20)


def test_formats_for_machines_have_every_column():
    assert printed(40, TableFormat.TSV).splitlines()[0] == "name\twhere\tsize\tnote"
