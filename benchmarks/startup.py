"""Time the commands that must answer at once, beside the bare interpreter.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT_SECONDS = 0.4
COMMANDS = ("--help", "summary", "summary f_net_large_en", "presets list")


def seconds_of(command: list[str]) -> float:
    """Return the wall time of one run, its output thrown away."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print the median of every command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    program = str(Path(sys.executable).with_name("fnet"))
    commands = {"python -c pass": [sys.executable, "-c", "pass"]}
    commands |= {f"fnet {line}": [program, *line.split()] for line in COMMANDS}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):  # interleaved, so that a noisy moment hits all alike
        for name, command in commands.items():
            times[name].append(seconds_of(command))
    print(f"median of {runs} runs; the limit for fnet is {LIMIT_SECONDS} s")
    for name, values in times.items():
        median = statistics.median(values)
        verdict = "" if median <= LIMIT_SECONDS else f"  over the limit of {LIMIT_SECONDS} s"
        print(f"{name:<30} {median:6.3f} s{verdict}")


if __name__ == "__main__":
    main()
