"""`fnet encode` with a preset that is not here: it is pulled, and later used without a network."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
from builders import TINY
from scene import ON_KAGGLE


def test_encode_pulls_what_it_needs_and_needs_no_network_afterwards(scene):
    rows = [{"token_ids": [4, 10 + number, 5], "name": f"row {number}"} for number in range(20)]
    source = scene.root / "tokens.jsonl"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    job = ("encode", source, "--preset", ON_KAGGLE)
    ran = scene.fnet(*job, "-o", "first.parquet")
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    pulling, counted, how, wrote = ran.stderr.splitlines()
    assert pulling.startswith(f"fnet: pulling {ON_KAGGLE}: ")
    assert counted.startswith("fnet: 20 rows in ")
    assert how.endswith(f", preset {ON_KAGGLE}")
    assert wrote == "fnet: wrote first.parquet"
    first = pq.read_table(scene.root / "first.parquet")
    assert (first.num_rows, first["embedding"].type.list_size) == (20, TINY.hidden_dim)
    assert first["name"].to_pylist() == [row["name"] for row in rows]
    assert scene.states() == ["pulled"]

    scene.stop()
    scene.shut_sockets()
    ran = scene.fnet(*job, "-o", "second.parquet", "--offline")
    assert ran.returncode == 0, ran.stderr
    assert "pulling" not in ran.stderr
    assert not scene.canary.exists()
    second = pq.read_table(scene.root / "second.parquet")
    assert second["embedding"].to_pylist() == first["embedding"].to_pylist()
