"""Any locale, any width, any terminal: every command reads, and none breaks on a letter."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from builders import write_preset
from running import FNET, clean_env, on_a_terminal, run_fnet

# Without Python's help, which takes UTF-8 for the locale C.
POSIX = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
WORLDS = {
    "posix": (POSIX, 40),
    "c": ({"LC_ALL": "C"}, 80),
    "ascii": ({"PYTHONIOENCODING": "ascii"}, 40),
    "latin-1": ({"PYTHONIOENCODING": "latin-1:strict"}, 80),
    "another language": ({"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}, 80),
    "dumb": ({"TERM": "dumb", "COLUMNS": "40"}, 40),
    "plain and wide": ({"NO_COLOR": "1"}, 200),
}
# Light commands, with names that only UTF-8 has, and one that is no text at all.
WIDE = [("help", "plain and wide"), ("list", "plain and wide")]
NOT_TEXT = os.fsdecode(b"pr\xe9set")
COMMANDS = {
    "help": (["encode", "--help"], 0),
    "list": (["presets", "list", "."], 0),
    "error": (["summary", "nöpe→"], 4),
    "refused": (["encode", "tür→.txt", "-o", "nowhere→/x.parquet"], None),
}


@pytest.fixture
def place(tmp_path) -> Path:
    write_preset(tmp_path / "pré→set")
    write_preset(tmp_path / NOT_TEXT)
    (tmp_path / "tür→.txt").write_text("the fox\n")
    return tmp_path


@pytest.mark.parametrize(
    ("world", "command"),
    [
        *((world, command) for world in WORLDS for command in ("list", "error")),
        *((world, "help") for world in ("posix", "dumb", "plain and wide")),
        *((world, "refused") for world in ("posix", "latin-1")),
    ],
)
def test_no_letter_and_no_width_stops_a_command(place, world, command):
    (env, columns), (arguments, code) = WORLDS[world], COMMANDS[command]
    shown = on_a_terminal(*arguments, columns=columns, cwd=place, code=code, **env)
    assert "Traceback" not in shown
    lines = [line.rstrip("\r") for line in shown.split("\n")]
    if world == "dumb":
        assert "\x1b" not in shown
    # Of a dumb terminal rich believes that it has 80 columns.
    if "\x1b" not in shown and (command, world) in [("list", "dumb"), *WIDE]:
        assert max(map(len, lines)) <= columns


def test_a_table_stays_even_where_letters_become_escapes(place):
    ran = run_fnet(
        "presets", "list", ".", "--format", "table", cwd=place, env={"PYTHONIOENCODING": "ascii"}
    )
    heading, rule, *rows = [line for line in ran.stdout.splitlines() if line.strip()]
    assert rule.strip("- ") == ""
    state = heading.index("State")
    assert {row[state:].split()[0] for row in rows} == {"bundled", "not", "present"}
    assert any(row.startswith(r" pr\xe9\u2192set ") for row in rows)


def run_raw(*arguments: str, cwd: Path, env: dict[str, str]) -> bytes:
    """Return the bytes that the program prints."""
    ran = subprocess.run(
        [*FNET, *arguments], cwd=cwd, env=clean_env(env), capture_output=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_in_the_locale_c_a_name_is_printed_as_the_bytes_that_it_is(place):
    ran = run_raw("presets", "path", f"./{NOT_TEXT}", cwd=place, env=POSIX)
    assert ran == os.fsencode(place) + b"/pr\xe9set\n"


def test_a_name_that_is_no_text_is_refused_as_the_default_preset(place):
    env = {"FNET_CONFIG": str(place / "config.toml")}
    ran = run_fnet("presets", "use", f"./{NOT_TEXT}", cwd=place, env=env)
    error, hint = ran.stderr.splitlines()
    assert ran.returncode == 2
    assert error.endswith(r"/pr\udce9set cannot stand in a config file")
    assert "FNET_PRESET" in hint
    assert not (place / "config.toml").exists()


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_job_with_such_names_ends_well(place, env):
    ran = run_fnet("tokenize", "tür→.txt", "-o", "ö→.parquet", "--json", cwd=place, env=env)
    assert ran.returncode == 0, ran.stderr
    assert (json.loads(ran.stdout)["rows_out"], (place / "ö→.parquet").exists()) == (1, True)


def test_in_a_locale_without_such_letters_a_job_says_which_has_them(place):
    ran = run_fnet("tokenize", "tür→.txt", "-o", "out.parquet", cwd=place, env=POSIX)
    error, hint = ran.stderr.splitlines()
    assert (ran.returncode, error.endswith("its name is not UTF-8")) == (3, True)
    assert "LC_ALL=C.UTF-8" in hint
