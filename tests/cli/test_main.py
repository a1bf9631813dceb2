"""The outermost layer: one line an error, documented exit codes, signals, closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import FNET, clean_env, run_fnet, run_shell

from fnet_cli.constants import __version__


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


def test_without_arguments_the_help_is_shown():
    ran = run_fnet()
    assert ran.returncode == 2
    assert "encode" in ran.stdout + ran.stderr


def test_the_version_is_printed_by_both_ways_to_start():
    assert run_fnet("--version").stdout == f"fnet {__version__}\n"
    script = Path(sys.executable).with_name("fnet")
    ran = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
    assert ran.stdout == f"fnet {__version__}\n"


def test_an_unexpected_error_shows_its_traceback_and_ends_with_1():
    code = (
        "import fnet_cli.cli.summary as s\n"
        "def broken(): raise RuntimeError('a bug')\n"
        "s.print_table = lambda *a, **k: broken()\n"
        "from fnet_cli.cli import main\n"
        "import sys; sys.argv = ['fnet', 'summary']\n"
        "main.entry_point()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert "RuntimeError: a bug" in ran.stderr


@pytest.mark.parametrize(
    "command",
    ["summary f_net_large_en --by layer", "presets list --format table", "encode --help"],
)
def test_a_reader_that_goes_away_ends_the_program_quietly(command):
    # The reader is gone before the first byte is written.
    ran = run_shell(f"(sleep 1; fnet {command}; echo $? >&2) | true")
    assert ran.stderr == "0\n"


def test_encode_into_a_closed_pipe_ends_quietly(tmp_path):
    pq.write_table(pa.table({"token_ids": [[4, 5]] * 2000}), tmp_path / "t.parquet")
    ran = run_shell(f"fnet encode {tmp_path}/t.parquet -o - --padding none -q | head -n 1")
    assert ran.returncode == 0
    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("working", [False, True], ids=["starting", "working"])
def test_a_signal_ends_a_job_with_130_and_leaves_nothing(tmp_path, number, working):
    pq.write_table(pa.table({"token_ids": [[4] * 100] * 200_000}), tmp_path / "tokens.parquet")
    process = subprocess.Popen(
        [*FNET, "encode", "tokens.parquet", "-o", "out.parquet"],
        cwd=tmp_path,
        env=clean_env(),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.parquet.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.05)
    if working:
        assert "rows/s" in process.stderr.readline()
    os.kill(process.pid, number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "fnet: interrupted; no file was written"
    assert "Traceback" not in rest
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.parquet"]


def test_a_program_started_without_streams_does_its_work(tmp_path):
    example = Path(__file__).parents[2] / "docs/examples/sentences.parquet"
    ran = run_shell(f"fnet encode {example} -o {tmp_path}/o.parquet --limit 1 <&- >&- 2>&-")
    assert ran.returncode == 0
    assert pq.read_metadata(tmp_path / "o.parquet").num_rows == 1
