"""`fnet encode` into a directory of parts: signals, deaths and workers, on the real program."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from running import FNET, SCRIPT, run_fnet, run_once
from slow_jobs import names, slow_job, started, write_source

ROWS = 600


def job(source: str, *options: str) -> list[str]:
    return slow_job(source, "out/", "--part-rows", "120", *options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Return the output of a job that nothing disturbed."""

    def encode(directory: Path):
        write_source(directory / "tokens.parquet", ROWS)
        return run_fnet(*job("tokens.parquet", "--quiet"), cwd=directory)

    ran, directory = run_once(tmp_path_factory, "undisturbed-parts", encode)
    assert (ran.returncode, ran.stderr) == (0, "")
    return directory / "out"


def wait_for_part(process, directory: Path, *, more_than: int = 0) -> None:
    """Wait until the job has more parts in their place."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(directory.glob("out/part-*"))) > more_than:
            return
        time.sleep(0.02)
    pytest.fail(f"no more parts; the job's exit code is {process.returncode}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_keeps_the_rows_and_says_how_to_go_on(tmp_path, whole, workers):
    write_source(tmp_path / "tokens.parquet", ROWS)
    arguments = job("tokens.parquet", "--workers", workers)
    with started(SCRIPT, arguments, tmp_path) as process:
        wait_for_part(process, tmp_path)
        os.kill(process.pid, signal.SIGTERM)
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    # Between two parts there is nothing under way to be waited for, and no line that says so.
    kept, interrupted = shown.splitlines()[-2:]
    rows, _, rest = kept.removeprefix("fnet: ").partition(" ")
    assert rest == f"rows are kept in {tmp_path / 'out'}; --resume goes on from there"
    assert interrupted == "fnet: interrupted"

    ran = run_fnet(*arguments, "--resume", "--json", cwd=tmp_path)
    record = json.loads(ran.stdout)
    assert (record["rows_in"], record["rows_out"]) == (ROWS, ROWS)
    assert record["rows_resumed"] == int(rows.replace(",", ""))
    assert pq.read_table(tmp_path / "out").equals(pq.read_table(whole))


def test_a_second_job_on_the_same_parts_is_refused_by_the_name_of_the_first(tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    with started(FNET, job("tokens.parquet"), tmp_path) as process:
        wait_for_part(process, tmp_path)
        second = run_fnet(*job("tokens.parquet", "--resume"), cwd=tmp_path)
        process.kill()
    again = run_fnet(*job("tokens.parquet"), cwd=tmp_path)
    assert (second.returncode, again.returncode) == (7, 7)
    assert f"out is being written by process {process.pid}" in second.stderr
    assert "parts of a job that did not end\n" in again.stderr
    assert "--resume goes on with it, --overwrite starts again" in again.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_job_that_is_killed_again_and_again_is_as_if_it_was_not(tmp_path, whole, workers):
    write_source(tmp_path / "tokens.parquet", ROWS)
    chance = random.Random(workers)
    arguments = job("tokens.parquet", "--resume", "--workers", workers)
    for kill in range(5):
        before = len(list(tmp_path.glob("out/part-*")))
        with started(FNET, [*arguments, "--quiet"], tmp_path) as process:
            if kill % 2 == 1 and before < 4:
                wait_for_part(process, tmp_path, more_than=before)
            time.sleep(chance.uniform(0, 1.5))  # and here it is killed
    ran = run_fnet(*arguments, "--json", "--quiet", cwd=tmp_path)
    record = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert record["rows_out"] == ROWS
    assert record["rows_resumed"] > 0
    assert pq.read_table(tmp_path / "out").equals(pq.read_table(whole))
    assert names(tmp_path / "out") == [
        "_SUCCESS", "_fnet", *(f"part-0000{number}.parquet" for number in range(6)),
    ]  # fmt: skip


def test_the_workers_of_a_job_that_is_killed_end(tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    with started(FNET, job("tokens.parquet", "--workers", "2"), tmp_path) as process:
        wait_for_part(process, tmp_path)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert (len(gone) >= 2, alive) == (True, [])
