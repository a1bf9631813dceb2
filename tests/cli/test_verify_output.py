"""`fnet verify-output` as a person and a script see it."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import clean_env, run_fnet


@pytest.fixture
def files(tmp_path):
    kind = pa.list_(pa.float32(), 2)
    metadata = {"fnet": json.dumps({"preset": "p", "pooling": "mean"})}
    schema = pa.schema([("embedding", kind)], metadata)
    for name, rows in {"good": [[3.0, 4.0]] * 2, "bad": [[1.0, 0.0], [float("nan"), 0.0]]}.items():
        pq.write_table(
            pa.table([pa.array(rows, kind)], schema=schema), tmp_path / f"{name}.parquet"
        )
    return tmp_path


def test_a_good_file_is_told_by_key_and_ends_with_0(files):
    ran = run_fnet("verify-output", "good.parquet", cwd=files)
    assert (ran.returncode, ran.stderr) == (0, "")
    heading, *lines = ran.stdout.splitlines()
    found = dict(line.split("\t") for line in lines)
    assert heading == "key\tvalue"
    assert (found["rows"], found["dimension"], found["mean_length"]) == ("2", "2", "5.0")
    assert found["metadata.pooling"] == "mean"
    assert (found["all_length_1"], found["number_type"]) == ("false", "float32")
    assert found["columns.embedding"] == "fixed_size_list<element: float>[2]"


def test_a_bad_file_ends_with_6_after_all_was_told(files):
    ran = run_fnet("verify-output", "bad.parquet", "good.parquet", "--json", cwd=files)
    bad, good = json.loads(ran.stdout)["files"]
    assert (ran.returncode, good["faults"], bad["first_non_finite_row"]) == (6, [], 1)
    assert ran.stderr.splitlines() == [
        "fnet: error: bad.parquet: 1 vector has a NaN or infinite number: row 1",
        "fnet: hint: encode it again",
    ]
    several = run_fnet("verify-output", "bad.parquet", "good.parquet", cwd=files).stdout
    assert several.splitlines()[0] == "file\tkey\tvalue"


def test_a_file_that_is_not_there_is_3(files):
    ran = run_fnet("verify-output", "good.parquet", "none.parquet", cwd=files)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("fnet: error: none.parquet: no such file\nfnet: hint: ")


def test_facts_are_told_as_json_has_them_and_faults_a_row_each(files):
    vector = pa.list_(pa.float32(), 2)
    stated = {"normalize": True, "text_columns": ["a", "b"], "chunk": None, "\t\x1b[1m": {"x": [1]}}
    schema = pa.schema([("embedding", vector)], {"fnet": json.dumps(stated)})
    rows = pa.array([[3.0, 4.0], None], vector)
    pq.write_table(pa.table([rows], schema), files / "odd.parquet")
    ran = run_fnet("verify-output", "odd.parquet", "bad.parquet", cwd=files)
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert {len(line) for line in lines} == {3}
    found = {(name, key): value for name, key, value in lines}
    assert found["odd.parquet", "metadata.normalize"] == "true"
    assert found["odd.parquet", "metadata.text_columns"] == '["a", "b"]'
    assert found["odd.parquet", "metadata.chunk"] == ""
    assert found["odd.parquet", "faults.2"].startswith("1 vector is not of length 1")
    error = ran.stderr.splitlines()[0]
    wanted = "odd.parquet: 1 vector is null or has a null in it: row 1 (and 2 more, listed above)"
    assert error == f"fnet: error: {wanted}"
    assert ran.returncode == 6


def test_an_unfinished_job_is_6_and_beside_a_file_a_note(files):
    directory = files / "new.parquet.fnet"
    directory.mkdir()
    for name, text in {"job.json": '{"format": 1}', "data": "", "rejected.jsonl": ""}.items():
        (directory / name).write_text(text)
    ran = run_fnet("verify-output", "new.parquet", "--json", cwd=files)
    (found,) = json.loads(ran.stdout)["files"]
    assert (found["unfinished_job"], found["unfinished_rows"], found["rows"]) == (True, 0, None)
    assert ran.returncode == 6
    assert ran.stderr.splitlines() == [
        "fnet: error: new.parquet: the job has not ended: 0 rows are kept, and --resume goes on",
        "fnet: hint: the same fnet encode command with --resume goes on with the job",
    ]
    directory.rename(files / "good.parquet.fnet")
    ran = run_fnet("verify-output", "good.parquet", cwd=files)
    note = "fnet: note: good.parquet: a job with this output has not ended, and is kept beside it\n"
    assert (ran.returncode, ran.stderr) == (0, note)


def test_it_starts_without_a_framework(files):
    code = (
        "import sys; from fnet_cli.cli.main import main; "
        "code = main(['verify-output', 'good.parquet', '--json']); "
        "found = {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules); "
        "sys.exit(f'{found}' if found else code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=files, env=clean_env(), capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_column_that_is_not_there_is_6_and_the_hint_has_those_that_are(files):
    ran = run_fnet("verify-output", "good.parquet", "--column", "vectors", cwd=files)
    assert ran.returncode == 6
    assert ran.stderr.splitlines() == [
        "fnet: error: good.parquet: there is no column vectors",
        "fnet: hint: --column names another; columns: embedding",
    ]
    ran = run_fnet("verify-output", "", cwd=files)
    assert ran.returncode == 2
    assert ran.stderr.startswith("fnet: error: the name of a file is empty\n")
