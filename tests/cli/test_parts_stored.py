"""`fnet encode` into S3: the real program, a local server, and signals at any moment."""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.object_store import SECRET, ObjectStore
from running import FNET, run_fnet
from slow_jobs import slow_job, started, write_source

ROWS = 500
OUT = "s3://parts/out"


@pytest.fixture
def store(monkeypatch) -> Iterator[ObjectStore]:
    with ObjectStore("parts") as store:
        for name, value in store.variables.items():
            monkeypatch.setenv(name, value)
        yield store


def keys(store: ObjectStore) -> list[str]:
    listed = store.client.list_objects_v2(Bucket="parts").get("Contents", [])
    return [item["Key"] for item in listed if not item["Key"].endswith("/")]


def rows_in(store: ObjectStore) -> pa.Table:
    parts = [key for key in keys(store) if key.startswith("out/part-")]
    contents = [store.client.get_object(Bucket="parts", Key=key)["Body"].read() for key in parts]
    return pa.concat_tables([pq.read_table(io.BytesIO(content)) for content in contents])


def job(*options: str) -> list[str]:
    return slow_job("tokens.parquet", f"{OUT}/", "--part-rows", "100", *options)


def test_from_s3_to_s3_by_two_processes(store, tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    store.put("in/tokens.parquet", (tmp_path / "tokens.parquet").read_bytes())
    there = ["encode", "s3://parts/in", "-o", f"{OUT}/", "--part-rows", "100", "--workers", "2"]
    here = ["encode", "tokens.parquet", "-o", "out/", "--part-rows", "100"]
    ran = run_fnet(*there, "--json", cwd=tmp_path)
    assert ran.returncode == 0
    assert SECRET not in ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["rows_out"] == ROWS
    assert run_fnet(*here, cwd=tmp_path).returncode == 0
    assert rows_in(store).equals(pq.read_table(tmp_path / "out"))
    assert "out/_SUCCESS" in keys(store)
    assert "out/_fnet/lock" not in keys(store)

    again = run_fnet(*there, cwd=tmp_path)
    assert again.returncode == 7
    assert again.stderr == f"fnet: error: {OUT} exists\nfnet: hint: --overwrite replaces it\n"
    replaced = run_fnet(*there[:4], "--overwrite", cwd=tmp_path)
    assert replaced.returncode == 0
    assert [key for key in keys(store) if key.startswith("out/part-")] == ["out/part-00000.parquet"]


def test_a_job_that_is_killed_again_and_again_is_as_if_it_was_not(store, tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    chance = random.Random(8)
    for kill in range(8):
        before = len(keys(store))
        with started(FNET, job("--resume", "--quiet"), tmp_path) as process:
            deadline = time.monotonic() + 60
            while kill % 2 and len(keys(store)) <= before + 1 and time.monotonic() < deadline:
                time.sleep(0.1)
                if process.poll() is not None:
                    break
            time.sleep(chance.uniform(0, 1.0))  # and here it is killed
    ran = run_fnet(*job("--resume", "--json", "--quiet"), cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    record = json.loads(ran.stdout)
    assert (record["rows_in"], record["rows_out"]) == (ROWS, ROWS)
    assert record["rows_resumed"] > 0
    whole = slow_job("tokens.parquet", "whole/", "--part-rows", "100", "--quiet")
    assert run_fnet(*whole, cwd=tmp_path).returncode == 0
    assert rows_in(store).equals(pq.read_table(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ("s3://someone:s3cr3t@parts/out/", 2, "credentials seem to stand in this URI"),
        ("s3://no-such-bucket/out/", 7, "no-such-bucket"),
        (
            "s3://no-such-bucket/one.parquet",
            7,
            "no-such-bucket/one.parquet: there is no such bucket",
        ),
        ("s3://parts/one.txt", 2, "the suffix does not tell the format"),
        ("s3://parts/in/tokens.parquet", 2, "is an input and the output"),
        ("s3://parts/in/", 2, "is the output, and has the input"),
    ],
)
def test_what_cannot_be_an_output_is_said_before_any_work(store, tmp_path, output, code, message):
    source = write_source(tmp_path / "tokens.parquet", 5)
    uri = store.put("in/tokens.parquet", source.read_bytes())
    ran = run_fnet("encode", uri, "-o", output, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert "s3cr3t" not in ran.stderr
    assert len(ran.stderr.splitlines()) <= 2


def test_rejected_rows_are_put_beside_the_parts(store, tmp_path):
    pq.write_table(pa.table({"token_ids": [[5], [99_999], [6]]}), tmp_path / "bad.parquet")
    ran = run_fnet(
        "encode", "bad.parquet", "-o", f"{OUT}/", "--on-error", "quarantine", cwd=tmp_path
    )
    assert ran.returncode == 0
    assert f"wrote what was rejected to {OUT}.rejected.jsonl" in ran.stderr
    content = store.client.get_object(Bucket="parts", Key="out.rejected.jsonl")["Body"].read()
    assert json.loads(content)["row"] == 1
