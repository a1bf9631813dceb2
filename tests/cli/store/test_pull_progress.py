"""What a pull shows: plain lines in a log, a bar on a terminal that goes away at the end."""

from __future__ import annotations

import re

import pytest
from fakes.faults import slow, status
from scene import BOTH, LARGE_ON_HUB, LARGE_ON_KAGGLE, ON_KAGGLE, VOCABULARY, WEIGHTS
from terminals import COLUMNS, on_terminal


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_in_a_log_a_pull_is_plain_lines_and_nothing_on_standard_output(scene, env):
    log = scene.pull(*BOTH, **env)
    lines = log.removesuffix("\n").split("\n")
    assert all(line.startswith("fnet: ") and line.isprintable() for line in lines)
    assert len(lines) == 4


def test_quiet_is_silent_until_something_fails(scene):
    assert scene.pull(ON_KAGGLE, "--quiet") == ""
    scene.kaggle.faults.append(status(500))
    ran = scene.fnet("presets", "pull", ON_KAGGLE, "--quiet", "--force")
    assert ran.returncode == 5
    assert ran.stderr.startswith("fnet: error: ")


@pytest.mark.parametrize("handle", [LARGE_ON_KAGGLE, LARGE_ON_HUB])
def test_on_a_terminal_a_bar_moves_and_goes_away(scene, handle):
    scene.server_of(handle).faults.append(slow(4_000_000, WEIGHTS))
    seen = on_terminal(scene, "presets", "pull", handle)
    assert seen.code == 0
    bars = [line for line in seen.drawn if line.startswith(WEIGHTS)]
    assert any(re.search(r"\d+% .* of 3\.\d MB \(\d+%\), .*/s, .* left", line) for line in bars)
    assert len({re.sub(r"\D", "", line) for line in bars}) > 2
    # The line that says where it is may be as long as the path.
    assert max(len(line) for line in seen.drawn if not line.startswith("fnet: ")) <= COLUMNS
    text = " ".join(seen.screen)
    assert text.startswith("fnet: pulling ")
    assert "fnet: pulled " in text
    assert "━" not in text
    assert seen.raw.count("\x1b[?25l") == seen.raw.count("\x1b[?25h") > 0  # the cursor is back


def test_a_long_name_leaves_room_for_the_bar(scene):
    scene.kaggle.faults.append(slow(400_000, VOCABULARY))
    seen = on_terminal(scene, "presets", "pull", ON_KAGGLE)
    bars = [line for line in seen.drawn if line.startswith("vocabulary.spm")]
    assert max(map(len, bars)) <= COLUMNS
    assert max(line.count("━") for line in bars) >= 4


def test_trouble_is_told_above_the_bar(scene):
    scene.kaggle.faults.append(status(503, match=WEIGHTS, times=1))
    seen = on_terminal(scene, "presets", "pull", ON_KAGGLE, FNET_RETRIES="1")
    assert seen.code == 0
    assert "the server answers 503; trying again in 1s" in " ".join(seen.screen)


def test_without_colour_there_is_none(scene):
    seen = on_terminal(scene, "presets", "pull", ON_KAGGLE, NO_COLOR="1")
    assert (seen.code, re.findall(r"\x1b\[[0-9;]*m", seen.raw)) == (0, [])


def test_a_plan_on_a_terminal_is_a_table_and_no_bar_is_left(scene):
    seen = on_terminal(scene, "presets", "pull", ON_KAGGLE, "--dry-run")
    assert seen.code == 0
    text = "\n".join(seen.screen)
    assert "━" not in text
    assert re.search(r"to fetch +4 files +\d+\.\d kB", text)
    assert max(map(len, seen.drawn)) <= COLUMNS
