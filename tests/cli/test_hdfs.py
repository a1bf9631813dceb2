"""`fnet` on hdfs://: the real program and Arrow's client, over a stand-in for Hadoop's library."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fakes.hdfs import hdfs_over
from running import run_fnet

from fnet_cli import Encoder

EXAMPLE = Path(__file__).parents[2] / "docs/examples/sentences.parquet"


@pytest.fixture(scope="module")
def hdfs(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    root = tmp_path_factory.mktemp("root")
    (root / "data/lang=en").mkdir(parents=True)
    shutil.copy(EXAMPLE, root / "data/lang=en/part-0.parquet")
    return root, hdfs_over(root, tmp_path_factory.mktemp("hadoop"))


def test_a_directory_becomes_a_file(hdfs):
    root, env = hdfs
    job = ("encode", "hdfs://name:8020/data", "-o", "hdfs://name:8020/out.parquet")
    ran = run_fnet(*job, "--columns", "id,lang", "--part-rows", "200", env=env)
    assert ran.returncode == 0, ran.stderr
    made = pq.read_table(root / "out.parquet")
    assert made["lang"].unique().to_pylist() == ["en"]
    source = pq.read_table(EXAMPLE)
    assert made["id"].equals(source["id"])
    wanted = Encoder.from_preset("f_net_mini_en").encode(
        source.select(["token_ids", "segment_ids"])
    )
    vectors = [np.array(table["embedding"].to_pylist()) for table in (made, wanted)]
    np.testing.assert_allclose(*vectors, atol=1e-5)
    assert sorted(path.name for path in root.iterdir()) == ["data", "out.parquet"]

    again = run_fnet(*job, env=env)
    assert again.returncode == 7
    assert again.stderr.splitlines()[0] == "fnet: error: hdfs://name:8020/out.parquet exists"
    seen = run_fnet("verify-output", "hdfs://name:8020/out.parquet", env=env)
    assert "rows\t300" in seen.stdout


def test_a_file_that_is_not_there_is_named(hdfs, tmp_path):
    ran = run_fnet("encode", "hdfs://name/dat", "-o", str(tmp_path / "x.parquet"), env=hdfs[1])
    assert ran.returncode == 3
    assert ran.stderr.splitlines()[0] == "fnet: error: hdfs://name/dat: no such file"
