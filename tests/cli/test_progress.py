"""Progress on standard error: a bar on a terminal, plain lines in a log, nothing when quiet."""

from __future__ import annotations

import os
import pty
import re
import sys

import pytest

from fnet_cli.cli.progress import _Lines, describe, shown_progress
from fnet_cli.encoding.report import Progress

LATE = Progress(rows=10, tokens=100, seconds=60.0, total_rows=1000)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")


def shown_on_a_terminal(monkeypatch, *, quiet: bool = False) -> str:
    """Return what reaches a pseudo-terminal that stands for standard error."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with shown_progress(quiet=quiet) as tell:
            tell(LATE)
        terminal.write("the end")
        terminal.flush()
        shown = ""
        while not shown.endswith("the end"):
            shown += os.read(leader, 65536).decode()
    os.close(leader)
    return shown


def test_progress_tells_rows_rates_and_the_time_left():
    assert describe(Progress(500, 10_000, 10.0, 2000)) == (
        "500 of 2,000 rows (25%), 50 rows/s, 1,000 tokens/s, 30s left"
    )


def test_without_a_known_total_progress_tells_no_share_and_no_time_left():
    assert describe(Progress(500, 10_000, 10.0, None)) == "500 rows, 50 rows/s, 1,000 tokens/s"


def test_without_a_terminal_progress_is_a_line_every_few_seconds(capsys):
    lines = _Lines()
    for second in range(13):
        lines(Progress(10 * second, 100 * second, float(second), 1000))
    shown = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in shown] == ["50", "100"]
    assert all(line.startswith("fnet: ") for line in shown)


def test_a_log_file_gets_lines_without_escape_codes_and_standard_output_nothing(capsys):
    with shown_progress(quiet=False) as tell:
        tell(LATE)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("fnet: 10 of 1,000 rows (1%), ")
    assert "\x1b" not in shown.err


def test_quiet_shows_nothing_in_a_log(capsys):
    with shown_progress(quiet=True) as tell:
        tell(LATE)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_coloured_bar_that_is_gone_at_the_end(monkeypatch):
    shown = shown_on_a_terminal(monkeypatch)
    assert "10 of 1,000 rows (1%)" in shown
    assert "━" in shown
    assert COLOUR.search(shown)
    assert shown.endswith("\x1b[2Kthe end")  # the bar's line is erased before what follows


def test_no_color_leaves_a_bar_without_colour(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = shown_on_a_terminal(monkeypatch)
    assert "10 of 1,000 rows (1%)" in shown
    assert "━" in shown
    assert not COLOUR.search(shown)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    shown = shown_on_a_terminal(monkeypatch)
    assert shown.startswith("fnet: 10 of 1,000 rows (1%), ")
    assert "\x1b" not in shown


def test_quiet_shows_nothing_on_a_terminal(monkeypatch):
    assert shown_on_a_terminal(monkeypatch, quiet=True) == "the end"
