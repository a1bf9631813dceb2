"""Workers of a Ray cluster against one: rows a second, the driver's memory, and what a part costs.

python benchmarks/scaling.py --rows 20000 --rounds 3
python benchmarks/scaling.py --memory 1000 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import inputs

from fnet_cli.constants import DEFAULT_PRESET

ENCODE = [sys.executable, "-m", "fnet_cli", "encode"]


def encode(source: Path, *options: str) -> tuple[dict[str, float], float]:
    """Run one job on a cluster of its own; return its closing record, and its peak in MB."""
    output = source.parent / "out"
    shutil.rmtree(output, ignore_errors=True)
    command = [
        *ENCODE, str(source), "-o", f"{output}/", "--padding", "bucket", "--json", "-q",
        "--pad-id", str(inputs.PAD_ID), *options,
    ]  # fmt: skip
    with tempfile.TemporaryFile() as record:
        process = subprocess.Popen(command, stdout=record)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
        record.seek(0)
        return json.load(record), usage.ru_maxrss * 1024 / 1e6


def on_ray(workers: int, rows: int) -> list[str]:
    """Return the options of a job for single-core workers, two parts for each of two."""
    ray = ["--executor", "ray", "--cpus-per-worker", "1", "--workers", str(workers)]
    return [*ray, "--part-rows", str(max(1, rows // 4))]


def speed(source: Path, rows: int, rounds: int) -> None:
    """Print the rate of one and of two workers, in turn, and the median of their ratios."""
    ratios = []
    for number in range(rounds):
        rates = [encode(source, *on_ray(workers, rows))[0]["rows_per_second"] for workers in (1, 2)]
        ratios.append(rates[1] / rates[0])
        print(
            f"round {number + 1}: one worker {rates[0]:,.0f} rows/s, two {rates[1]:,.0f}, "
            f"{ratios[-1]:.2f}x",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.2f}x")


def memory(directory: Path, counts: list[int], tokens: int) -> None:
    """Print the driver's peak for each number of rows."""
    for rows in counts:
        source = directory / "memory.parquet"
        write(source, rows, tokens)
        _, peak = encode(source, *on_ray(1, 4 * min(rows, 250_000)))
        print(f"{rows:>10,} rows  driver {peak:,.0f} MB", flush=True)


def parts(source: Path, rows: int) -> None:
    """Print what a part costs: the same rows in few and in many, by one process of this machine."""
    seconds = {}
    for count in (2, 52):
        record, _ = encode(source, "--part-rows", str(-(-rows // count)))
        seconds[count] = record["seconds"] - record["startup_seconds"]
        print(f"{count:>4} parts  {seconds[count]:.2f} s", flush=True)
    print(f"a part costs {(seconds[52] - seconds[2]) / 50 * 1000:.0f} ms")


def write(source: Path, rows: int, tokens: int) -> None:
    """Write rows of equal length for the bundled preset."""
    vocabulary_size = inputs.preset_at(DEFAULT_PRESET).config.vocabulary_size
    inputs.write_rows(source, inputs.equal_lengths(rows, tokens), vocabulary_size)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[], metavar="ROWS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if arguments.memory:
            memory(directory, arguments.memory, min(arguments.tokens, 8))
            return
        source = directory / "tokens.parquet"
        write(source, arguments.rows, arguments.tokens)
        speed(source, arguments.rows, arguments.rounds)
        parts(source, arguments.rows)


if __name__ == "__main__":
    main()
