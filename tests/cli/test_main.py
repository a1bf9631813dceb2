"""The outermost layer: one line an error, documented exit codes, signals, closed pipes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import SCRIPT, clean_env, run_fnet, run_shell

from fnet_cli.constants import __version__


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=clean_env(), capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "message", "command"),
    [
        (["--bogus"], "No such option", "fnet"),
        (["encod"], "No such command 'encod'", "fnet"),
        (["encode", "x"], "Missing option '-o'", "fnet encode"),
        (["encode", "x", "-o", "y", "--pooling", "avg"], "'--pooling'", "fnet encode"),
        (["summary", "--by", "x"], "'--by'", "fnet summary"),
    ],
)
def test_usage_errors_are_one_line_and_a_hint(arguments, message, command):
    ran = run_fnet(*arguments)
    error, hint = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout) == (2, "")
    assert error.startswith("fnet: error: ")
    assert message in error
    assert hint == f"fnet: hint: {command} --help tells more"


def test_an_expected_error_is_one_line_and_a_hint_whatever_the_name_holds():
    error, hint = run_fnet("summary", "two\nlines").stderr.splitlines()
    assert error == "fnet: error: there is no preset named two lines"
    assert hint.startswith("fnet: hint: give one of f_net_mini_en, ")


def test_an_error_that_nobody_reads_keeps_its_exit_code():
    ran = run_shell("fnet summary nope 2>&-")
    assert (ran.returncode, ran.stdout, ran.stderr) == (4, "", "")


def test_without_arguments_the_help_is_shown():
    ran = run_fnet()
    assert ran.returncode == 2
    assert "encode" in ran.stdout + ran.stderr


def test_the_version_is_printed_by_both_ways_to_start():
    assert run_fnet("--version").stdout == f"fnet {__version__}\n"
    ran = subprocess.run(
        [*SCRIPT, "--version"], env=clean_env(), capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"fnet {__version__}\n", "")


def summary_that_raises(error: str) -> subprocess.CompletedProcess[str]:
    return run_python(
        "import fnet_cli.cli.summary as s\n"
        f"def broken(): raise {error}\n"
        "s.print_table = lambda *a, **k: broken()\n"
        "from fnet_cli.cli import main\n"
        "import sys; sys.argv = ['fnet', 'summary']\n"
        "main.entry_point()\n"
    )


def test_memory_that_runs_out_is_one_line_and_a_hint():
    ran = summary_that_raises("MemoryError('realloc of 5 failed')")
    assert (ran.returncode, ran.stdout) == (8, "")
    error, hint = ran.stderr.splitlines()
    assert error == "fnet: error: memory ran out"
    assert hint.startswith("fnet: hint: free memory, ")


def test_an_unexpected_error_shows_its_traceback_and_ends_with_1():
    ran = summary_that_raises("RuntimeError('a bug')")
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert "RuntimeError: a bug" in ran.stderr


@pytest.mark.parametrize(
    "command",
    ["summary f_net_large_en --by layer", "presets list", "presets list --format table",
     "encode --help"],
)  # fmt: skip
def test_a_reader_that_goes_away_ends_the_program_quietly(command):
    # The reader is gone before the first byte is written.
    ran = run_shell(f"(sleep 0.3; fnet {command}; echo $? >&2) | true")
    assert ran.stderr == "0\n"


def test_encode_into_a_closed_pipe_ends_quietly(tmp_path):
    pq.write_table(pa.table({"token_ids": [[4, 5]] * 2000}), tmp_path / "t.parquet")
    ran = run_shell(f"fnet encode {tmp_path}/t.parquet -o - --padding none | head -n 1")
    assert (ran.returncode, ran.stderr) == (0, "")
    (line,) = ran.stdout.splitlines()
    assert len(json.loads(line)["embedding"]) == 256


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize(
    "command",
    ["summary", "summary f_net_large_en --by layer", "presets list --format table", "--version",
     "--help"],
)  # fmt: skip
def test_a_full_disk_under_standard_output_is_one_line_and_7(command):
    ran = run_shell(f"fnet {command} > /dev/full")
    assert ran.returncode == 7
    assert ran.stderr == "fnet: error: cannot write: No space left on device\n"


# --- Signals ----------------------------------------------------------------------------------


def test_a_program_started_without_streams_does_its_work(tmp_path):
    example = Path(__file__).parents[2] / "docs/examples/sentences.parquet"
    ran = run_shell(f"fnet encode {example} -o {tmp_path}/o.parquet --limit 1 <&- >&- 2>&-")
    assert ran.returncode == 0
    assert pq.read_metadata(tmp_path / "o.parquet").num_rows == 1


def test_a_signal_that_is_ignored_stays_ignored_as_under_nohup():
    ran = run_python(
        "import signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from fnet_cli.cli import main as module\n"
        "def main(_): print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,\n"
        "                   signal.getsignal(signal.SIGTERM) is signal.SIG_DFL); return 0\n"
        "module.main = main\n"
        "module.entry_point()\n"
    )
    assert (ran.returncode, ran.stdout) == (0, "True False\n")


def test_names_in_messages_do_not_reach_the_terminal_as_commands(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"token_ids": [1], "\\u001b[31mred": 1}\n{"x": 1}\n')
    ran = run_fnet("encode", "t.jsonl", "-o", "o.parquet", "--token-column", "none", cwd=tmp_path)
    assert ran.returncode == 3
    assert "\\x1b[31mred" in ran.stderr
    assert "\x1b" not in ran.stderr


# --- Help ---------------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    from typer.main import get_command

    from fnet_cli.cli.app import app

    tree = get_command(app)
    nested = {
        f"{group} {name}": command
        for group in ("presets", "config")
        for name, command in tree.commands[group].commands.items()
    }
    return {**tree.commands, **nested}


def test_no_line_of_a_help_text_wraps_on_80_columns():
    for name, command in commands().items():
        for line in command.help.splitlines():
            assert len(line) <= 74, (name, line)


def test_every_command_has_an_example_of_itself():
    for name, command in commands().items():
        if not hasattr(command, "commands"):
            example = command.help.partition("\nExample: ")[2]
            assert re.search(rf"\bfnet {name}\b", example), name


def test_the_help_groups_the_commands_with_an_example_of_each():
    text = run_fnet("--help", env={"NO_COLOR": "1"}).stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    groups = [line.split()[1] for line in text.splitlines() if line.startswith("╭─ ")]
    assert groups == ["Options", "Encode", "Inspect", "Presets", "Settings"]
    examples = text.partition("Examples:")[2]
    for name in commands():
        if " " not in name:
            assert f" fnet {name} " in examples, name


def test_the_commands_about_presets_stand_in_the_order_of_use():
    lines = run_fnet("presets", "--help").stdout.partition("Commands")[2].splitlines()
    first = [line.split()[1] for line in lines if line.startswith("│ ") and line[2] != " "]
    assert first == [
        "list", "pull", "inspect", "path", "use", "verify", "remove", "prune", "convert", "export",
        "import",
    ]  # fmt: skip
