"""How fast a preset is pulled, beside the plain kagglehub client; and how fast presets are listed.

`python benchmarks/pull.py [--rounds 5]`. A loopback Kaggle server, in a process of its own, serves
a synthetic preset of the true size of f_net_base_en. The contenders take turns, each in a new
process with an empty cache, so that start-up counts for both.
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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
HANDLE = "keras/f_net/keras/f_net_base_en"
VERSION = 3
CACHED_PRESETS = 50
# What keras_hub does: one call a file, each with a path.
PLAIN_CLIENT = """
import sys
from kagglesdk import kaggle_env
import kagglehub
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = sys.argv[1]
for name in sys.argv[3:]:
    kagglehub.model_download(sys.argv[2], path=name)
"""


SYNTHETIC_PRESET = """
import sys
from pathlib import Path
from builders import add_vocabulary, random_tensors, vocabulary, write_preset
from fnet_cli.presets.registry import BUILTIN_PRESETS
config = BUILTIN_PRESETS["f_net_base_en"].config
write_preset(Path(sys.argv[1]), config, random_tensors(config))
add_vocabulary(Path(sys.argv[1]), vocabulary())
"""


def write_synthetic_preset(directory: Path) -> list[str]:
    """Write a preset of the sizes of f_net_base_en, and return the names of its files.

    In a process of its own: a child's peak memory starts with what its parent has when it is
    started.
    """
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", SYNTHETIC_PRESET, str(directory)]
    subprocess.run(command, env=environment, check=True)
    return [path.relative_to(directory).as_posix() for path in directory.rglob("*.*")]


@contextmanager
def kaggle_server(directory: Path) -> Iterator[str]:
    """Serve the preset from a process of its own; gives the address."""
    command = [sys.executable, "-m", "fakes.kaggle", "--directory", directory, "--handle", HANDLE,
               "--version", str(VERSION)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a process and return its seconds and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {command}")
    return seconds, usage.ru_maxrss / 1000


def compare_pulls(directory: Path, rounds: int) -> None:
    """Print a line for each contender: median seconds, MB/s, peak memory, ratio."""
    names = write_synthetic_preset(directory / "preset")
    size = sum((directory / "preset" / name).stat().st_size for name in names)
    with kaggle_server(directory / "preset") as url:
        handle = f"{HANDLE}/{VERSION}"
        contenders = {
            "kagglehub": [sys.executable, "-c", PLAIN_CLIENT, url, handle, *names],
            "fnet": [sys.executable, "-m", "fnet_cli", "presets", "pull", "f_net_base_en"],
        }
        environment = {"KAGGLE_API_ENDPOINT": url, "KAGGLEHUB_CACHE": str(directory / "cache")}
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for index in range(rounds):
            for name in sorted(contenders, reverse=bool(index % 2)):
                shutil.rmtree(directory / "cache", ignore_errors=True)
                results[name].append(run(contenders[name], environment))
    plain = statistics.median(seconds for seconds, _ in results["kagglehub"])
    print(f"{'contender':<12}{'seconds':>9}{'MB/s':>8}{'peak MB':>9}{'speed':>8}{'spread':>8}")
    for name, runs in results.items():
        times = [seconds for seconds, _ in runs]
        middle = statistics.median(times)
        peak = max(memory for _, memory in runs)
        spread = max(times) / min(times)
        print(
            f"{name:<12}{middle:>9.2f}{size / middle / 1e6:>8.0f}{peak:>9.0f}"
            f"{plain / middle:>8.2f}{spread:>8.2f}"
        )


def time_listing(directory: Path, rounds: int) -> None:
    """Print how long `fnet presets list` takes with many presets pulled."""
    sys.path.insert(0, str(TESTS))
    from builders import write_preset

    from fnet_cli.presets.handles import Handle, SourceName
    from fnet_cli.presets.store.cached import CachedPreset
    from fnet_cli.presets.store.caches import KaggleCache
    from fnet_cli.presets.store.recording import adopt

    cache = KaggleCache(directory / "many")
    for number in range(CACHED_PRESETS):
        preset = CachedPreset(Handle(SourceName.KAGGLE, f"o/m/keras/p{number}", "1"), cache)
        write_preset(preset.directory)
        (preset.home / "1.complete").touch()
        adopt(preset)
    environment = {
        name: str(directory / "many") for name in ("KAGGLEHUB_CACHE", "HF_HOME", "FNET_CACHE")
    }
    command = [sys.executable, "-m", "fnet_cli", "presets", "list", "--json"]
    listed = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, check=True
    )
    count = sum(entry["state"] == "pulled" for entry in json.loads(listed.stdout))
    seconds = statistics.median(run(command, environment)[0] for _ in range(2 * rounds))
    print(f"\nfnet presets list with {count} presets pulled: {seconds:.2f} s")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        compare_pulls(Path(name), arguments.rounds)
        time_listing(Path(name), arguments.rounds)


if __name__ == "__main__":
    main()
