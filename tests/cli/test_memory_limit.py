"""`--memory-limit`: refusals, what asks for too much at once, and the guard around a job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from running import clean_env, run_fnet

from fnet_cli.errors import ExitCode


def test_a_job_that_does_not_fit_is_refused_at_once(tmp_path):
    (tmp_path / "t.txt").write_text("the fox\n")
    ran = run_fnet("encode", "t.txt", "-o", "o.parquet", "--memory-limit", "300MB", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (ExitCode.MEMORY, "")
    error, hint = ran.stderr.splitlines()
    assert "and --memory-limit is 300MB" in error
    assert hint.startswith("fnet: hint: give at least")
    assert not (tmp_path / "o.parquet").exists()


def test_a_line_that_takes_too_much_at_once_ends_the_job_and_is_no_bad_row(tmp_path):
    line = b'{"token_ids": [' + b"5," * 60_000_000 + b"5]}\n"
    (tmp_path / "t.jsonl").write_bytes(b'{"token_ids": [5]}\n' + line)
    limit = ["--memory-limit", "1200MB", "--on-error", "skip"]
    ran = run_fnet("encode", "t.jsonl", "-o", "o.parquet", *limit, cwd=tmp_path)
    assert ran.returncode == ExitCode.MEMORY, ran.stderr
    assert ran.stderr.splitlines()[0] == "fnet: error: memory ran out"


GUARDED = """
import os, sys, time
from fnet_cli.cli.guarding import allow_guards, guard
from fnet_cli.errors import OutOfMemoryError
allow_guards()
try:
    assert guard(150_000_000, with_family=True)
except OutOfMemoryError as error:
    sys.exit(f"{error.exit_code} {error}")
print("job", flush=True)
JOB
"""


def guarded(job: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", GUARDED.replace("JOB", job)],
        env=clean_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("held = b'x' * 300_000_000; time.sleep(60)", "8 the job had"),
        (
            "import subprocess\nsubprocess.run([sys.executable, '-c', \"held = b'x' * 300_000_000;"
            'import time; time.sleep(60)"])',
            "8 the job had",
        ),
        ("os.abort()", "8 the job was ended by SIGABRT"),
    ],
)
def test_a_job_that_takes_too_much_or_breaks_is_ended_with_one_line(job, message):
    process = guarded(job)
    out, shown = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "job\n")
    (line,) = shown.splitlines()
    assert line.startswith(message)


def test_how_a_job_ends_and_signals_pass_through_the_guard():
    process = guarded("sys.exit(5)")
    process.communicate(timeout=60)
    assert process.returncode == 5
    heard = "import signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(7)); print('on', "
    process = guarded(heard + "flush=True); time.sleep(60)")
    assert [process.stdout.readline(), process.stdout.readline()] == ["job\n", "on\n"]
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 7
