"""The model and `fnet encode` give the same on every Keras backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import TINY, write_preset
from helpers import peer
from reference import fnet_forward

BACKENDS = ["torch", "jax"]


def require(backend: str) -> None:
    if backend == "jax":  # a backend of choice, not among the peers that CI must have
        pytest.importorskip("jax", reason="jax is not installed; pip install jax brings it")
    else:
        peer(backend)


def run_python(backend: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
        timeout=240,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_equals_the_float64_reference(backend, tmp_path):
    require(backend)
    tensors = write_preset(tmp_path / "preset")
    ids = np.arange(26).reshape(2, 13)
    script = (
        "import sys, numpy as np, keras\n"
        "from fnet_cli import FNetBackbone\n"
        "ids = np.arange(26).reshape(2, 13)\n"
        "model = FNetBackbone.from_preset(sys.argv[1])\n"
        "made = model({'token_ids': ids, 'segment_ids': ids % 4}, training=False)\n"
        "np.savez(sys.argv[2], **{k: keras.ops.convert_to_numpy(v) for k, v in made.items()})\n"
    )
    run_python(backend, "-c", script, str(tmp_path / "preset"), str(tmp_path / "made.npz"))
    made = np.load(tmp_path / "made.npz")
    sequence, pooled = fnet_forward(tensors, TINY, ids, ids % 4)
    assert np.abs(made["sequence_output"] - sequence).max() <= 2e-5
    assert np.abs(made["pooled_output"] - pooled).max() <= 2e-5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_mixing_method_equals_float64_numpy(backend, dtype, tmp_path):
    require(backend)
    shapes = [(2, 1, 5), (2, 5, 1), (2, 6, 4), (2, 7, 9)]
    inputs = {str(shape): np.random.default_rng(0).standard_normal(shape) for shape in shapes}
    np.savez(tmp_path / "inputs.npz", **inputs)
    script = (
        "import os, sys\n"
        "os.environ['JAX_ENABLE_X64'] = '1'\n"
        "import numpy as np, keras\n"
        "from fnet_cli.backbone.mixing import fourier_mixing\n"
        "def mix(x, method):\n"
        "    x = keras.ops.convert_to_tensor(x, sys.argv[2])\n"
        "    return keras.ops.convert_to_numpy(fourier_mixing(x, method))\n"
        "made = {f'{method} {shape}': mix(x, method) for shape, x in np.load(sys.argv[1]).items()\n"
        "        for method in ('fft', 'rfft', 'matmul')}\n"
        "np.savez(sys.argv[3], **made)\n"
    )
    run_python(backend, "-c", script, f"{tmp_path}/inputs.npz", dtype, f"{tmp_path}/made.npz")
    with np.load(tmp_path / "made.npz") as made:
        for name, mixed in made.items():
            method, _, shape = name.partition(" ")
            # On JAX Keras computes cosines of float64 in float32.
            narrow = dtype == "float32" or (backend, method) == ("jax", "matmul")
            assert mixed.dtype == dtype, name
            wanted = np.fft.fft2(inputs[shape]).real
            assert np.abs(mixed - wanted).max() <= (2e-5 if narrow else 1e-12), name


def encode(backend: str, directory: Path, pooling: str) -> np.ndarray:
    output = directory / f"{backend}.parquet"
    run_python(
        backend, "-m", "fnet_cli", "encode", str(directory / "tokens.parquet"), "-o", str(output),
        "--preset", str(directory / "preset"), "--pad-id", "3", "--padding", "bucket",
        "--pooling", pooling, "--batch-size", "8", "-q",
    )  # fmt: skip
    column = pq.read_table(output)["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pooling", ["pooled", "mean", "max"])
def test_encode_gives_what_it_gives_on_tensorflow(backend, pooling, tmp_path):
    require(backend)
    write_preset(tmp_path / "preset")
    rng = np.random.default_rng(3)
    rows = [rng.integers(0, 60, rng.integers(1, 40)).tolist() for _ in range(50)]
    pq.write_table(pa.table({"token_ids": rows}), tmp_path / "tokens.parquet")
    wanted = encode("tensorflow", tmp_path, pooling)
    assert np.abs(encode(backend, tmp_path, pooling) - wanted).max() <= 2e-5


UNDER_A_LIMIT = """
import resource
import sys

import numpy as np

from fnet_cli.config import Settings
from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.engine.base import EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.options import ComputeDtype, Pooling
from fnet_cli.memory import data_bytes
from fnet_cli.presets.resolving import resolve_preset

preset = resolve_preset(sys.argv[1], Settings())
engine = load_engine(EngineRequest(preset, Pooling.MEAN, ComputeDtype.FLOAT32, "cpu"))
ids = np.random.default_rng(1).integers(5, 40, (8192, 32), dtype=np.int32)
batch = Batch(np.arange(len(ids)), ids, np.zeros_like(ids), np.full(len(ids), 32, np.int32), 8192)
free = engine.embed(batch)
resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + 24 * 2**20, -1))
held = engine.embed(batch)
assert engine._most_tokens < ids.size, "it fitted"
assert np.abs(held - free).max() < 2e-5
"""


def test_torch_without_memory_on_the_processor_halves_the_batch_with_the_same_result(tmp_path):
    require("torch")
    write_preset(tmp_path / "preset")
    run_python("torch", "-c", UNDER_A_LIMIT, str(tmp_path / "preset"))
