"""A small preset, a file of token rows with other columns, and what the cases of jobs read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_preset
from job_cases import write_sources
from jobs import CONFIG


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("preset")
    write_preset(directory, CONFIG)
    return directory


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def rows() -> list[list[int]]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 60, rng.integers(1, 60)).tolist() for _ in range(70)]


@pytest.fixture
def tokens(tmp_path, rows) -> Path:
    path = tmp_path / "tokens.parquet"
    table = pa.table(
        {
            "id": [f"row {i}" for i in range(len(rows))],
            "token_ids": pa.array(rows, pa.list_(pa.uint16())),
            "score": pa.array([None if i % 5 == 0 else i / 2 for i in range(len(rows))]),
            "kind": pa.array(["a", "b"] * (len(rows) // 2)).dictionary_encode(),
        },
        metadata={"made": "by hand"},
    )
    pq.write_table(table, path, row_group_size=16)
    return path
