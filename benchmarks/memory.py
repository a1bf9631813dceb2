"""Peak memory of `fnet encode` on files of different lengths: it must not grow with the rows.

python benchmarks/memory.py --rows 2000 20000 200000
python benchmarks/memory.py --preset base --tokens 1 --padding none --rows 10000 1000000
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import inputs

from fnet_cli.errors import PresetError


def peak_megabytes(path: Path, preset: str, padding: str) -> float:
    """Return the peak resident set of one encode."""
    command = [
        sys.executable, "-m", "fnet_cli", "encode", str(path), "-o", str(path.with_suffix(".out")),
        "--format", "parquet", "--padding", padding, "--pad-id", str(inputs.PAD_ID),
        "--preset", preset, "--overwrite", "-q",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    # A child's count starts at what its parent held when it was started.
    if usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise SystemExit("this process is larger than the encode that it measures")
    return usage.ru_maxrss * 1024 / 1e6  # Linux counts in KiB


def main() -> None:
    """Print the peak for every number of rows, and its ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--padding", choices=("bucket", "none"), default="bucket")
    parser.add_argument("--preset", default="f_net_mini_en", help=inputs.PRESET_HELP)
    arguments = parser.parse_args()
    first = 0.0
    with tempfile.TemporaryDirectory() as directory:
        preset = inputs.preset_of(arguments.preset, Path(directory))
        try:
            vocabulary_size = inputs.preset_at(preset).config.vocabulary_size
        except PresetError as error:
            print(f"skipped: {error}")
            return
        for rows in arguments.rows:
            path = Path(directory) / "tokens.parquet"
            inputs.write_rows(path, inputs.equal_lengths(rows, arguments.tokens), vocabulary_size)
            peak = peak_megabytes(path, preset, arguments.padding)
            first = first or peak
            print(f"{rows:>10,} rows  {peak:8.0f} MB  {peak / first:.3f}", flush=True)


if __name__ == "__main__":
    main()
