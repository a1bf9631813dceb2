"""A job that is stopped or killed goes on, and its output is that of a job that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from running import FNET, SCRIPT, run_fnet, run_once
from slow_jobs import names, slow_job, started, write_source

ROWS = 1_200
SOURCES = ["tokens.parquet", "tokens.jsonl", "texts.txt"]
STARTING, WORKING = 0, 1


def wait_for_data(process: subprocess.Popen, directory: Path, size: int) -> None:
    """Wait until the growing file is there and has `size` bytes."""
    data = directory / "out.parquet.fnet/data"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if data.exists() and data.stat().st_size >= size:
            return
        time.sleep(0.05)
    pytest.fail(f"no data of {size} bytes; the job's exit code is {process.returncode}")


def wait_for_more(process: subprocess.Popen, journal: Path) -> None:
    """Wait until the journal says that this run has added rows."""
    before = time.time()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        # Where a run begins, it writes what it goes on from.
        if journal.exists() and journal.stat().st_mtime > before and line_count(journal) > 1:
            return
        time.sleep(0.05)
    pytest.fail(f"no more rows; the job's exit code is {process.returncode}")


def line_count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Return the output of a job that nothing disturbed."""

    def encode(directory: Path) -> subprocess.CompletedProcess[str]:
        write_source(directory / "tokens.parquet", ROWS)
        return run_fnet(*slow_job("tokens.parquet", "out.parquet", "--quiet"), cwd=directory)

    ran, directory = run_once(tmp_path_factory, "undisturbed", encode)
    assert (ran.returncode, ran.stderr) == (0, "")
    return directory / "out.parquet"


def equal(path: Path, other: Path) -> bool:
    if path.suffix == ".jsonl":
        return path.read_bytes() == other.read_bytes()
    return pq.read_table(path, page_checksum_verification=True).equals(pq.read_table(other))


# --- Signals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "number"),
    [(FNET, signal.SIGINT), (SCRIPT, signal.SIGTERM), (FNET, signal.SIGHUP)],
    ids=["int", "script-term", "hup"],
)
def test_a_signal_before_the_first_row_ends_with_130_and_leaves_nothing(tmp_path, program, number):
    write_source(tmp_path / "tokens.parquet", ROWS)
    with started(program, slow_job("tokens.parquet", "out.parquet"), tmp_path) as process:
        wait_for_data(process, tmp_path, STARTING)
        os.kill(process.pid, number)
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    assert shown == "fnet: interrupted; no file was written\n"
    assert names(tmp_path) == ["tokens.parquet"]


@pytest.mark.parametrize(
    ("program", "number"), [(SCRIPT, signal.SIGINT), (FNET, signal.SIGTERM)],
    ids=["script-int", "term"],
)  # fmt: skip
def test_a_signal_keeps_the_rows_and_says_how_to_go_on(tmp_path, whole, program, number):
    write_source(tmp_path / "tokens.parquet", ROWS)
    with started(program, slow_job("tokens.parquet", "out.parquet"), tmp_path) as process:
        wait_for_data(process, tmp_path, WORKING)
        os.kill(process.pid, number)
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    stopping, kept, interrupted = [line for line in shown.splitlines() if " rows/s, " not in line]
    assert stopping == (
        "fnet: stopping when the rows that are under way are written; once more stops at once"
    )
    rows, _, rest = kept.removeprefix("fnet: ").partition(" ")
    directory = tmp_path / "out.parquet.fnet"
    assert rest == f"rows are kept in {directory}; --resume goes on from there"
    assert interrupted == "fnet: interrupted"
    assert names(tmp_path) == ["out.parquet.fnet", "tokens.parquet"]

    ran = run_fnet(*slow_job("tokens.parquet", "out.parquet", "--resume", "--json"), cwd=tmp_path)
    record = json.loads(ran.stdout)
    assert (record["rows_in"], record["rows_out"]) == (ROWS, ROWS)
    assert record["rows_resumed"] == int(rows.replace(",", ""))
    assert names(tmp_path) == ["out.parquet", "tokens.parquet"]
    assert equal(tmp_path / "out.parquet", whole)


def test_a_second_signal_stops_at_once_and_keeps_what_is_written(tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    with started(FNET, slow_job("tokens.parquet", "out.parquet"), tmp_path) as process:
        wait_for_data(process, tmp_path, WORKING)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    kept, interrupted = shown.splitlines()[-2:]
    assert "rows are kept in" in kept
    assert interrupted == "fnet: interrupted"


# --- An unfinished job in the way -------------------------------------------------------------


def test_an_unfinished_job_is_neither_lost_nor_mixed_with_another(tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    arguments = slow_job("tokens.parquet", "out.parquet")
    with started(FNET, arguments, tmp_path) as process:
        wait_for_data(process, tmp_path, WORKING)
        second = run_fnet(*arguments, cwd=tmp_path)
        process.kill()
    again = run_fnet(*arguments, cwd=tmp_path)
    other = run_fnet(*arguments, "--resume", "--no-normalize", cwd=tmp_path)
    write_source(tmp_path / "tokens.parquet", ROWS + 1)
    changed = run_fnet(*arguments, "--resume", cwd=tmp_path)
    assert [ran.returncode for ran in (second, again, other, changed)] == [7] * 4
    assert f"out.parquet is being written by process {process.pid}" in second.stderr
    assert "rows of a job that did not end\n" in again.stderr
    assert "--resume goes on with it, --overwrite starts again" in again.stderr
    assert "has another job: normalize was True, and is False" in other.stderr
    assert "tokens.parquet has changed" in changed.stderr
    assert names(tmp_path) == ["out.parquet.fnet", "tokens.parquet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t.jsonl", "-o", "-", "--resume"], "--resume needs files"),
        (["-", "-o", "o.parquet", "--resume"], "--resume needs files"),
        (["t.jsonl", "-o", "o.parquet", "--resume", "--overwrite"], "give one of them"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(tmp_path, arguments, message):
    (tmp_path / "t.jsonl").write_text('{"token_ids": [4]}\n')
    ran = run_fnet("encode", *arguments, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert names(tmp_path) == ["t.jsonl"]


# --- Killed at any moment ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("tokens.parquet", "out.parquet"),
        ("tokens.jsonl", "out.jsonl"),
        ("texts.txt", "out.parquet"),
    ],
    ids=["parquet", "jsonl", "chunks"],
)
def test_a_job_that_is_killed_again_and_again_is_as_if_it_was_not(tmp_path, source, output):
    write_source(tmp_path / source, 700 if source != "texts.txt" else 500)
    chance = random.Random(source)
    for kill in range(4):
        with started(FNET, slow_job(source, output, "--resume", "--quiet"), tmp_path) as process:
            if kill % 3:
                wait_for_more(process, tmp_path / f"{output}.fnet/journal.jsonl")
            time.sleep(chance.uniform(0, 0.6))  # and here it is killed
    left = (tmp_path / f"{output}.fnet").exists()
    ran = run_fnet(*slow_job(source, output, "--resume", "--json", "--quiet"), cwd=tmp_path)
    record = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr, left) == (0, "", True)
    assert record["rows_out"] > record["rows_resumed"] > 0
    other = tmp_path / "other" / output
    other.parent.mkdir()
    assert run_fnet(*slow_job(source, str(other), "--quiet"), cwd=tmp_path).returncode == 0
    assert equal(tmp_path / output, other)
