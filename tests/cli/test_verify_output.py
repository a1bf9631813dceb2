"""`fnet verify-output` as a person and a script see it."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import run_fnet


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
    assert found["columns.embedding"] == "fixed_size_list<element: float>[2]"


def test_a_bad_file_ends_with_6_after_all_was_told(files):
    ran = run_fnet("verify-output", "bad.parquet", "good.parquet", "--json", cwd=files)
    bad, good = json.loads(ran.stdout)["files"]
    assert (ran.returncode, good["faults"], bad["first_non_finite_row"]) == (6, [], 1)
    error, hint = ran.stderr.splitlines()
    assert error == (
        "fnet: error: bad.parquet: 1 vectors have a NaN or infinite number, the first in row 1"
    )
    assert hint.startswith("fnet: hint: ")
    several = run_fnet("verify-output", "bad.parquet", "good.parquet", cwd=files).stdout
    assert several.splitlines()[0] == "file\tkey\tvalue"


def test_a_file_that_is_not_there_is_3(files):
    ran = run_fnet("verify-output", "good.parquet", "none.parquet", cwd=files)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == "fnet: error: none.parquet: no such file\n"
