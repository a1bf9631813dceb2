"""Jobs that take seconds on few rows, so that there is time to stop and to kill them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from running import clean_env

# Many operations a row, few rows a window, and little to write: a window takes part of a second.
SLOW = ["--pooling", "tokens", "--padding", "max", "--sequence-length", "512", "--batch-size", "8"]


def write_source(path: Path, rows: int) -> Path:
    rng = np.random.default_rng(11)
    if path.suffix == ".txt":
        words = ["the", "fox", "sees", "no", "lazy", "dog", "tonight"]
        lines = [" ".join(rng.choice(words, rng.integers(0, 8))) for _ in range(rows)]
        path.write_text("\n".join(lines) + "\n")
        return path
    ids = [rng.integers(7, 12_000, rng.integers(1, 8)).tolist() for _ in range(rows)]
    if path.suffix == ".jsonl":
        lines = [json.dumps({"id": row, "token_ids": ids[row]}) for row in range(rows)]
        path.write_text("\n".join(lines) + "\n")
    else:
        table = pa.table({"id": np.arange(rows), "token_ids": ids})
        pq.write_table(table, path, row_group_size=100)
    return path


def slow_job(source: str, output: str, *options: str) -> list[str]:
    how = ["--chunk", "3", "--overlap", "1"] if source.endswith(".txt") else []
    return ["encode", source, "-o", output, *SLOW, *how, *options]


@contextmanager
def started(
    program: list[str], arguments: list[str], directory: Path
) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [*program, *arguments],
        cwd=directory,
        env=clean_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
