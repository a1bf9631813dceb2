"""How long `fnet encode` takes from the start of its process to its first embedding.

python benchmarks/first_embedding.py --preset base --tokens 512
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import inputs
from racing import print_table, write_json


def run(command: list[str]) -> tuple[float, float]:
    """Return the seconds until the first row is on standard output, and until the end."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        first = time.perf_counter() - started
        process.stdout.read()
    if process.returncode or b'"embedding"' not in line:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    return first, time.perf_counter() - started


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="base", help=inputs.PRESET_HELP)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the line to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        preset = inputs.preset_of(arguments.preset, Path(directory))
        path = Path(directory) / "tokens.parquet"
        lengths = inputs.equal_lengths(arguments.rows, arguments.tokens)
        inputs.write_rows(path, lengths, inputs.preset_at(preset).config.vocabulary_size)
        command = [
            sys.executable, "-m", "fnet_cli", "encode", str(path), "-o", "-", "--preset", preset,
            "--sequence-length", str(arguments.tokens), "--dtype", arguments.dtype, "-q",
        ]  # fmt: skip
        times = [run(command) for _ in range(arguments.runs + 1)][1:]  # the first fills the cache
    first, end = (statistics.median(part) for part in zip(*times, strict=True))
    lines = [
        {
            "preset": arguments.preset,
            "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
            "dtype": arguments.dtype,
            "first_embedding_seconds": round(first, 2),
            "end_seconds": round(end, 2),
            "spread": round(max(one for one, _ in times) / min(one for one, _ in times), 2),
        }
    ]
    print(
        f"{arguments.rows} row of {arguments.tokens} tokens, from the start of the process, median "
        f"of {arguments.runs} runs"
    )
    print_table(lines)
    write_json(arguments.json, lines)


if __name__ == "__main__":
    main()
