"""Time each mixing method with the addition and the normalisation after it, in compiled form.

python benchmarks/mixing.py --backends tensorflow,jax,torch
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from comparing import numbers
from racing import THREADS, print_table, set_environment, write_json

METHODS = ("fft", "rfft", "matmul")
DTYPES = ("float32", "bfloat16")
BACKENDS = ("tensorflow", "jax", "torch")
_HIDDEN_DIM = 768
_FASTEST = "*"


def compiled(backend: str, layer: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Return `layer` as the engine runs it on the backend, waiting for its result."""
    if backend == "tensorflow":
        import tensorflow as tf

        graph = tf.function(layer, autograph=False)
        return lambda x: graph(x).numpy()
    if backend == "jax":
        import jax

        made = jax.jit(layer)
        return lambda x: made(x).block_until_ready()
    import torch

    # Nothing waits on a CPU; a GPU would need a synchronisation here.
    return torch.inference_mode()(layer)


def mixing_layer(method: str, dtype: str) -> Callable[[Any], Any]:
    """Return LayerNorm(x + mixing(x)), as in an encoder layer."""
    from fnet_cli.backbone import mixing
    from fnet_cli.backbone.normalization import AddNormalization

    norm = AddNormalization(epsilon=1e-12, dtype="float32", output_dtype=dtype)
    norm.build((None, None, _HIDDEN_DIM))

    def layer(x: Any) -> Any:
        parts, assemble = mixing.transformed(x, method)
        return norm.after(assemble, x, parts)

    return layer


def measure(backend: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a line a dtype and length: the median milliseconds of each method."""
    from keras import ops

    lines = []
    for dtype in DTYPES:
        for length in arguments.lengths:
            shape = (max(1, arguments.tokens // length), length, _HIDDEN_DIM)
            values = np.random.default_rng(0).standard_normal(shape, np.float32)
            x = ops.convert_to_tensor(values, dtype)
            calls = {name: compiled(backend, mixing_layer(name, dtype)) for name in METHODS}
            line = {"backend": backend, "dtype": dtype, "length": length, "rows": shape[0]}
            lines.append({**line, **_times(calls, x, arguments.rounds)})
    return lines


def _times(calls: dict[str, Callable[[Any], None]], x: Any, rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):  # the first compiles
        for name, call in calls.items():
            started = time.perf_counter()
            call(x)
            if number:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: round(statistics.median(every), 2) for name, every in times.items()}


def marked(line: dict[str, Any]) -> dict[str, Any]:
    """Return the line with the fastest method's time marked."""
    fastest = min(METHODS, key=lambda name: line[name])
    return {**line, fastest: f"{_FASTEST} {line[fastest]}"}


def in_own_process(backend: str, options: list[str]) -> list[dict[str, Any]]:
    """Return what `measure` gives in a process with this backend, or nothing, with a message."""
    command = [sys.executable, __file__, *options, "--backends", backend, "--here"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{backend}: left out: {done.stderr.strip().splitlines()[-1]}")
        return []
    lines: list[dict[str, Any]] = json.loads(done.stdout)
    return lines


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--lengths", type=numbers, default=(16, 64, 128, 512))
    parser.add_argument("--tokens", type=int, default=8192, help="of all rows together")
    parser.add_argument("--threads", type=int, default=THREADS, help="1 is what a worker has")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the lines to this file")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        set_environment(arguments.backends, "cpu", threads=arguments.threads)
        print(json.dumps(measure(arguments.backends, arguments)))
        return
    lines = [
        line
        for backend in arguments.backends.split(",")
        for line in in_own_process(backend, sys.argv[1:])
    ]
    print(
        f"milliseconds for {arguments.tokens} tokens, {arguments.threads} threads, median of "
        f"{arguments.rounds} rounds; {_FASTEST} is the fastest"
    )
    print_table([marked(line) for line in lines])
    write_json(arguments.json, lines)


if __name__ == "__main__":
    main()
