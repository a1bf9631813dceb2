"""`fnet encode` into one file, in S3 or by two processes: the real program, killed at moments."""

from __future__ import annotations

import io
import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.object_store import ObjectStore
from running import FNET, run_fnet, run_once
from slow_jobs import slow_job, started, write_source

ROWS = 400
OUT = "s3://files/out.parquet"
PARTS = ["--part-rows", "100"]


@pytest.fixture
def store(monkeypatch, tmp_path) -> Iterator[ObjectStore]:
    with ObjectStore("files") as store:
        for name, value in store.variables.items():
            monkeypatch.setenv(name, value)
        yield store


def keys(store: ObjectStore) -> list[str]:
    listed = store.client.list_objects_v2(Bucket="files").get("Contents", [])
    return [item["Key"] for item in listed]


def content(store: ObjectStore, key: str) -> bytes:
    return store.client.get_object(Bucket="files", Key=key)["Body"].read()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> pa.Table:
    """Return the rows of parts of the same size, that nothing disturbed."""

    def encode(directory: Path) -> subprocess.CompletedProcess[str]:
        write_source(directory / "tokens.parquet", ROWS)
        return run_fnet(*slow_job("tokens.parquet", "out/", *PARTS, "--quiet"), cwd=directory)

    ran, directory = run_once(tmp_path_factory, "undisturbed-of-one", encode)
    assert (ran.returncode, ran.stderr) == (0, "")
    return pq.read_table(directory / "out")


def test_a_job_in_s3_that_is_killed_again_and_again_is_as_if_it_was_not(store, whole, tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    job = slow_job("tokens.parquet", OUT, *PARTS, "--resume", "--quiet")
    chance = random.Random(4)
    for kill in range(4):
        before = len(keys(store))
        with started(FNET, job, tmp_path) as process:
            deadline = time.monotonic() + 60
            while kill % 2 and len(keys(store)) <= before + 1 and time.monotonic() < deadline:
                time.sleep(0.1)
                if process.poll() is not None:
                    break
            time.sleep(chance.uniform(0, 0.5))  # and here it is killed
        assert "out.parquet" not in keys(store)
    unfinished = run_fnet("verify-output", OUT, cwd=tmp_path)
    assert unfinished.returncode == 6
    assert "the job has not ended" in unfinished.stdout
    ran = run_fnet(*job, "--json", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    record = json.loads(ran.stdout)
    assert (record["rows_in"], record["rows_out"]) == (ROWS, ROWS)
    assert record["rows_resumed"] > 0
    assert pq.read_table(io.BytesIO(content(store, "out.parquet"))).equals(whole)
    assert keys(store) == ["out.parquet"]  # and nothing that is hidden beside it


def test_joining_that_is_killed_again_and_again_is_as_if_it_was_not(whole, tmp_path, monkeypatch):
    write_source(tmp_path / "tokens.parquet", ROWS)
    # Each part that is joined waits, so that there is a moment to be killed at.
    (tmp_path / "sitecustomize.py").write_text(SLOW_JOINING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    job = slow_job("tokens.parquet", "out.parquet", *PARTS, "--workers", "2", "--resume", "--quiet")
    hidden = tmp_path / "out.parquet.fnet"
    for joined in range(1, 4):
        with started(FNET, job, tmp_path) as process:
            deadline = time.monotonic() + 90
            while len(list(hidden.glob("part-*"))) != 4 - joined or not joining(hidden):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert not (tmp_path / "out.parquet").exists()
    ran = run_fnet(*job, "--json", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["rows_resumed"] == ROWS
    assert pq.read_table(tmp_path / "out.parquet").equals(whole)
    assert hidden not in tmp_path.iterdir()


def joining(hidden: Path) -> bool:
    return (hidden / "_fnet/.whole").exists()


SLOW_JOINING = """
import shutil, time
copy = shutil.copyfileobj
def slowly(source, target, length=0):
    copy(source, target, length)
    time.sleep(1)
shutil.copyfileobj = slowly
"""


def test_an_output_that_exists_is_replaced_only_where_that_is_asked_for(store, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"token_ids": [5]}\n{"token_ids": [99999999]}\n')
    job = ["encode", "rows.jsonl", "-o", "s3://files/out.jsonl", "--on-error", "quarantine"]
    store.put("out.jsonl", b"before\n")
    refused = run_fnet(*job, cwd=tmp_path)
    assert refused.returncode == 7
    assert refused.stderr == (
        "fnet: error: s3://files/out.jsonl exists\nfnet: hint: --overwrite replaces it\n"
    )
    ran = run_fnet(*job, "--overwrite", cwd=tmp_path)
    assert ran.returncode == 0
    assert "wrote what was rejected to s3://files/out.jsonl.rejected.jsonl" in ran.stderr
    assert len(content(store, "out.jsonl").splitlines()) == 1
    assert json.loads(content(store, "out.jsonl.rejected.jsonl"))["row"] == 2
    assert keys(store) == ["out.jsonl", "out.jsonl.rejected.jsonl"]
