"""What a pull tells of its progress, from events alone."""

from __future__ import annotations

import sys

import pytest

from fnet_cli.cli.pull_progress import _Totals, shown_pull
from fnet_cli.presets.pulling.events import Advanced, Planned, Retrying

EVIL = "\x1b]0;owned\x07\x1b[2J\r\nfnet: done"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def totals():
    clock = Clock()
    made = _Totals(clock)
    made.total = 3000
    clock.now = 1.0
    return made


def test_what_was_here_before_is_no_speed(totals):
    totals.add(Advanced("a", 1000, 3000, resumed=1000))
    totals.add(Advanced("a", 1500, 3000))
    assert totals.describe() == "1.5 kB of 3.0 kB (50%), 500 B/s, 3.0s left"


def test_what_this_process_fetched_before_a_retry_is_its_own(totals):
    totals.add(Advanced("a", 1000, 3000))
    totals.add(Advanced("a", 1000, 3000, resumed=1000))
    assert ", 1.0 kB/s," in totals.describe()


def test_a_file_that_begins_anew_never_makes_the_speed_negative(totals):
    totals.add(Advanced("a", 2000, 3000, resumed=2000))
    totals.add(Advanced("a", 0, 3000))
    assert ", 0 B/s" in totals.describe()
    totals.add(Advanced("a", 500, 3000))
    assert ", 500 B/s," in totals.describe()


def test_a_line_does_not_read_as_if_the_total_were_the_files(capsys, monkeypatch):
    monkeypatch.setattr("fnet_cli.cli.pull_progress.PROGRESS_SECONDS", 0)
    with shown_pull() as on_event:
        on_event(Planned("hf://owner/tiny", "1", 2, 3000))
        on_event(Advanced("model.weights.h5", 1500, 2000))
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("fnet: all files: 1.5 kB of 3.0 kB (50%), ")
    assert line.endswith("; now model.weights.h5")


@pytest.mark.parametrize("animated", [False, True])
def test_what_a_server_says_cannot_steer_a_terminal(capsys, monkeypatch, animated):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: animated)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with shown_pull() as on_event:
        on_event(Advanced(f"[red]x{EVIL}", 1, 3))
        on_event(Retrying(EVIL, 1))
    said = capsys.readouterr().err
    assert "\x1b]0;" not in said
    assert "\x1b[2J" not in said
    assert "\\x1b]0;owned\\x07\\x1b[2J fnet: done; trying again in 1s" in said
