"""Peak memory of `fnet encode` on files of different lengths: it must not grow with the rows.

python benchmarks/memory.py --rows 2000 20000 200000
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.config import Settings
from fnet_cli.errors import PresetError
from fnet_cli.presets.resolving import resolve_preset

CHUNK_ROWS = 10_000


def write_rows(path: Path, rows: int, tokens: int, vocabulary_size: int) -> None:
    """Write seeded token rows of one length, a row group for every chunk."""
    rng = np.random.default_rng(0)
    schema = pa.schema([("token_ids", pa.list_(pa.int32()))])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, CHUNK_ROWS):
            count = min(CHUNK_ROWS, rows - start)
            ids = rng.integers(0, vocabulary_size, (count, tokens), dtype=np.int32)
            writer.write_table(pa.table({"token_ids": list(ids)}, schema=schema))


def peak_megabytes(path: Path, preset: str) -> float:
    """Return the peak resident set of one encode."""
    command = [
        sys.executable, "-m", "fnet_cli", "encode", str(path), "-o", str(path.with_suffix(".out")),
        "--format", "parquet", "--padding", "bucket", "--preset", preset, "--overwrite", "-q",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"failed: {' '.join(command)}")
    # A child's count starts at what its parent held when it was started.
    if usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise SystemExit("this process is larger than the encode that it measures")
    return usage.ru_maxrss * 1024 / 1e6  # Linux counts in KiB


def main() -> None:
    """Print the peak for every number of rows, and its ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--preset", default="f_net_mini_en")
    arguments = parser.parse_args()
    try:
        vocabulary_size = resolve_preset(arguments.preset, Settings()).config.vocabulary_size
    except PresetError as error:
        print(f"skipped: {error}")
        return
    first = 0.0
    with tempfile.TemporaryDirectory() as directory:
        for rows in arguments.rows:
            path = Path(directory) / "tokens.parquet"
            write_rows(path, rows, arguments.tokens, vocabulary_size)
            peak = peak_megabytes(path, arguments.preset)
            first = first or peak
            print(f"{rows:>10,} rows  {peak:8.0f} MB  {peak / first:.3f}", flush=True)


if __name__ == "__main__":
    main()
