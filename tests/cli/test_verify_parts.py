"""`fnet verify-output` of directories, on this machine and in a store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes.object_store import SECRET, ObjectStore
from running import run_fnet, run_once
from slow_jobs import write_source

ROWS = 30
RESUME = (
    "fnet: hint: remove the faulty files; the same fnet encode command with --resume makes parts "
    "again"
)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    """Return the output of a job: three parts."""

    def encode(directory: Path):
        write_source(directory / "tokens.parquet", ROWS)
        how = ("--part-rows", 10, "--columns", "id", "--quiet")
        return run_fnet("encode", "tokens.parquet", "-o", "out/", *how, cwd=directory)

    ran, directory = run_once(tmp_path_factory, "verified-parts", encode)
    assert (ran.returncode, ran.stderr) == (0, "")
    return directory / "out"


@pytest.fixture
def out(job, tmp_path) -> Path:
    return Path(shutil.copytree(job, tmp_path / "out"))


def test_a_good_directory_is_one_table_and_one_record(out):
    ran = run_fnet("verify-output", "out/", cwd=out.parent)
    assert (ran.returncode, ran.stderr) == (0, "")
    heading, *lines = ran.stdout.splitlines()
    found = dict(line.split("\t") for line in lines)
    assert heading == "key\tvalue"
    assert (found["file"], found["rows"], found["parts_done"]) == ("out/", "30", "3")
    assert (found["has_journal"], found["metadata.pooling"]) == ("true", "mean")
    assert not any(key.startswith(("parts.", "faults")) for key in found)
    ran = run_fnet("verify-output", "out", "--json", cwd=out.parent)
    (record,) = json.loads(ran.stdout)["files"]
    assert (record["rows"], record["parts"], record["faults"]) == (ROWS, [], [])


def test_parts_with_faults_are_a_line_each_and_records_under_parts(out):
    (out / "part-00000.parquet").unlink()
    part = out / "part-00002.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    shutil.copy(out / "part-00001.parquet", out.parent / "one.parquet")
    ran = run_fnet("verify-output", "out", "one.parquet", cwd=out.parent)
    assert ran.returncode == 6
    found = {tuple(line.split("\t")[:2]): line for line in ran.stdout.splitlines()}
    assert found["out", "parts.part-00000.parquet"].endswith("\tit is missing")
    both = found["out", "parts.part-00002.parquet"]
    assert "bytes, and its record says" in both
    assert "; not a complete Parquet file" in both
    assert ("one.parquet", "rows") in found
    first = "2 files have faults, the first is part-00000.parquet: it is missing"
    assert ran.stderr.splitlines() == [f"fnet: error: out: {first}", RESUME]

    ran = run_fnet("verify-output", "one.parquet", "out", "--json", cwd=out.parent)
    one, record = json.loads(ran.stdout)["files"]
    assert (ran.returncode, one["faults"], record["faults"]) == (6, [], [first])
    assert "parts" not in one
    missing, short = record["parts"]
    assert (missing["file"], missing["faults"]) == ("part-00000.parquet", ["it is missing"])
    assert (short["file"], short["rows"]) == ("part-00002.parquet", None)


def test_what_the_hint_says_makes_it_whole_again(out, job):
    (out / "part-00001.parquet").unlink()
    assert run_fnet("verify-output", "out", cwd=out.parent).returncode == 6
    how = ("--part-rows", 10, "--columns", "id", "--quiet", "--resume")
    ran = run_fnet("encode", "tokens.parquet", "-o", f"{out}/", *how, cwd=job.parent)
    assert ran.returncode == 0
    assert run_fnet("verify-output", "out", cwd=out.parent).returncode == 0
    assert pq.read_table(out).equals(pq.read_table(job))


def test_a_job_that_has_not_ended_is_6_and_said_in_place_of_a_note(out):
    (out / "_SUCCESS").unlink()
    (out / "_fnet/part-00002.json").unlink()
    ran = run_fnet("verify-output", "out", cwd=out.parent)
    assert ran.returncode == 6
    ended = "the job has not ended: 2 of 3 parts are done, and --resume goes on"
    assert ran.stderr.splitlines() == [
        f"fnet: error: out: {ended}",
        "fnet: hint: the same fnet encode command with --resume goes on with the job",
    ]
    assert "unfinished_job\ttrue" in ran.stdout.splitlines()


def test_files_without_a_journal_are_said_to_be(out):
    shutil.rmtree(out / "_fnet")
    ran = run_fnet("verify-output", "out", cwd=out.parent)
    note = "no job of fnet has left its records here: each file was checked by itself"
    assert (ran.returncode, ran.stderr) == (0, f"fnet: note: out: {note}\n")
    assert "parts_stated\t" in ran.stdout.splitlines()
    (out / "part-00001.parquet").write_bytes(b"PAR1")
    ran = run_fnet("verify-output", "out", cwd=out.parent)
    assert ran.returncode == 6
    assert ran.stderr.splitlines()[1].startswith("fnet: error: out: part-00001.parquet: not a comp")
    assert ran.stderr.splitlines()[2] == "fnet: hint: encode it again"


def test_a_job_of_another_version_cannot_be_gone_on_with(out):
    (out / "_fnet/job.json").write_text('{"format": 99}')
    ran = run_fnet("verify-output", "out", cwd=out.parent)
    assert ran.returncode == 6
    error, hint = ran.stderr.splitlines()
    assert error.startswith("fnet: error: out: _fnet/job.json is damaged, or of another version")
    assert hint == "fnet: hint: encode it again"


def test_a_column_that_is_not_there_is_6_and_the_hint_has_those_that_are(out):
    ran = run_fnet("verify-output", "out", "--column", "vectors", cwd=out.parent)
    assert ran.returncode == 6
    assert ran.stderr.splitlines() == [
        "fnet: error: out: 3 files have faults, the first is part-00000.parquet: there is no "
        "column vectors",
        "fnet: hint: --column names another; columns: id, embedding",
    ]


# --- In a store ----------------------------------------------------------------------------------


@pytest.fixture
def store(monkeypatch):
    with ObjectStore("parts") as store:
        for name, value in store.credentials.items():
            monkeypatch.setenv(name, value)
        yield store


def test_a_directory_in_a_store_is_checked_where_it_is(store, out):
    store.put_all(out, "out")
    verify = ("verify-output", "--endpoint", store.url, "--json")
    ran = run_fnet(*verify, "s3://parts/out/", cwd=out.parent)
    (record,) = json.loads(ran.stdout)["files"]
    assert (ran.returncode, ran.stderr, record["faults"]) == (0, "", [])
    assert (record["rows"], record["parts_done"], record["dimension"]) == (ROWS, 3, 256)

    (out / "_fnet/part-00000.json").write_text("{")
    store.put_all(out, "out")
    store.client.delete_object(Bucket="parts", Key="out/part-00001.parquet")
    part = out / "part-00002.parquet"
    store.put("out/part-00002.parquet", part.read_bytes()[:-9])
    ran = run_fnet(*verify, "s3://parts/out", cwd=out.parent)
    (record,) = json.loads(ran.stdout)["files"]
    unrecorded, missing, short = [part["faults"] for part in record["parts"]]
    assert unrecorded == ["its record, _fnet/part-00000.json, is damaged"]
    assert missing == ["it is missing"]
    assert short[1].startswith("not a complete Parquet file")
    assert (ran.returncode, record["rows"]) == (6, 10)
    assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("uri", "code", "message"),
    [
        ("s3://parts/nothing/", 3, "there is no Parquet or JSON lines file in it"),
        ("s3://no-such-bucket/out/", 3, "no Parquet or JSON lines file in it"),
        ("s3://someone:s3cr3t@parts/out/", 2, "credentials seem to stand in this URI"),
        ("https://example.org/out/", 2, "files on web servers are not read"),
    ],
)
def test_what_cannot_be_checked_in_a_store_is_said(store, tmp_path, uri, code, message):
    ran = run_fnet("verify-output", uri, "--endpoint", store.url, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert "s3cr3t" not in ran.stderr


def test_a_file_in_a_store_is_checked_where_it_is(store, out, tmp_path):
    store.put("good.parquet", (out / "part-00000.parquet").read_bytes())
    store.put("cut.parquet", b"PAR1")
    uris = ("s3://parts/good.parquet", "s3://parts/cut.parquet")
    ran = run_fnet("verify-output", *uris, "--json", "--endpoint", store.url, cwd=tmp_path)
    good, cut = json.loads(ran.stdout)["files"]
    assert ran.returncode == 6
    assert (good["file"], good["rows"], good["faults"]) == (uris[0], 10, [])
    assert len(cut["faults"]) == 1


def test_a_store_that_is_away_is_5(out):
    env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "FNET_RETRIES": "0"}
    where = ("--endpoint", "http://127.0.0.1:9")
    ran = run_fnet("verify-output", "s3://parts/out/", *where, env=env, cwd=out.parent)
    assert (ran.returncode, ran.stdout) == (5, "")
