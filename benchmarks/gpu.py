"""The same comparison on a GPU: the engine on JAX and on torch beside transformers in bfloat16.

python benchmarks/gpu.py --model base --tokens 512
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import floor
import inputs
import numpy as np
from comparing import Comparison, numbers, true_outputs
from contenders import ENGINE, PEERS
from encode import peers
from racing import Contender, Job, Variants, print_table, race, timed, write_json

_BACKENDS = ("jax", "torch")
_PEAK = "matmul peak"
# Side of the square matrices, and how many products of them: enough to fill the device.
_PEAK_SIZES = {"cpu": (512, 4), "gpu": (8192, 50)}
_FIRST_DEVICE = """
import sys
from fnet_cli.encoding.engine.devices import device_names, parse_device
print(device_names(sys.argv[1], parse_device("auto"))[0])
"""


def first_device(backend: str) -> str:
    """Return the backend's first device: "gpu:0" or "cpu", or nothing where it does not run."""
    command = [sys.executable, "-c", _FIRST_DEVICE, backend]
    environment = {**os.environ, "KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout.strip()


def peak_operations(device: str) -> int:
    """Return the operations of a round of `prepare_peak`."""
    size, count = _PEAK_SIZES[device.partition(":")[0]]
    return 2 * count * size**3


def prepare_peak(job: Job, *, backend: str) -> Variants:
    """Prepare large matrix products, one after the other: what the device can do at most."""
    size, count = _PEAK_SIZES[job.device.partition(":")[0]]
    values = np.random.default_rng(0).standard_normal((size, size), np.float32) / size**0.5
    if backend == "jax":
        import jax
        import jax.numpy as jnp

        x = jnp.asarray(values, job.dtype)
        product: Any = jax.jit(jnp.matmul)
    else:
        import torch

        device = "cpu" if job.device == "cpu" else "cuda"
        x = torch.from_numpy(values).to(device, getattr(torch, job.dtype))
        product = torch.mm

    def run() -> np.ndarray:
        made = x
        for _ in range(count):
            made = product(made, x)
        float(made[0, 0])  # waits for the device
        return np.empty((0, 0), np.float32)

    return {backend: timed(run)}


def contenders(backends: list[str], peers: list[Contender]) -> list[Contender]:
    """Return who runs: ours on each backend, the peers, and the peak."""
    ours = [
        replace(ENGINE, name=f"{ENGINE.name} {backend}", backend=backend) for backend in backends
    ]
    peak = [
        Contender(_PEAK, backend, partial(prepare_peak, backend=backend), (backend,))
        for backend in backends
    ]
    return [contender for contender in (*ours, *peers, *peak) if contender.is_installed]


def line(comparison: Comparison, name: str, best: str, peak: float) -> dict[str, Any]:
    """Return a contender's rates, and how it compares with our best and with the peak."""
    share = comparison.operations / comparison.medians[name] / peak
    return {
        **comparison.rates(name),
        "fnet_is_faster_by": comparison.times_slower(name, best),
        "share_of_peak": round(share, 3),
        "spread": comparison.spread(name),
        "max_difference": comparison.max_difference(name, best),
        "min_cosine": comparison.min_cosine(name),
    }


def compare(arguments: argparse.Namespace, backends: list[str]) -> list[dict[str, Any]]:
    """Race and return the lines."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        preset = inputs.preset_of(arguments.model, scratch)
        lengths = inputs.equal_lengths(arguments.rows, arguments.tokens)
        path = scratch / "tokens.parquet"
        inputs.write_rows(path, lengths, inputs.preset_at(preset).config.vocabulary_size)
        sizes = arguments.peer_batch_sizes
        job = Job(preset, path, arguments.dtype, arguments.device, batch_sizes=sizes)
        results = race(contenders(backends, arguments.peers), job, arguments.rounds)
        rows = inputs.read_rows(path)
        comparison = Comparison(results, rows, floor.operations(job), true_outputs(job))
    peak = peak_operations(arguments.device) / comparison.medians[_PEAK]
    print(f"peak: {peak / 1e12:.1f} TFLOP/s in {arguments.dtype}")
    names = [name for name in results if name != _PEAK]
    ours = [name for name in names if name.startswith(ENGINE.name)]
    best = min(ours, key=comparison.medians.__getitem__)
    return [line(comparison, name, best, peak) for name in names]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=inputs.MODELS, default="base")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer-batch-sizes", type=numbers, default=(32, 128))
    parser.add_argument("--peers", type=peers, default=[PEERS["transformers-eager"]])
    parser.add_argument("--json", type=Path, help="also write the lines to this file")
    # For trying this file out where there is no GPU.
    parser.add_argument("--device", default="gpu:0", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    on_cpu = arguments.device == "cpu"
    backends = [name for name in _BACKENDS if on_cpu or first_device(name).startswith("gpu")]
    if not backends:
        print("skipped: no GPU")
        return
    lines = compare(arguments, backends)
    print(
        f"{arguments.model}, {arguments.rows} rows of {arguments.tokens} tokens, "
        f"{arguments.dtype}, median of {arguments.rounds} rounds"
    )
    print_table(lines)
    write_json(arguments.json, lines)


if __name__ == "__main__":
    main()
