"""Weights of bfloat16 products, put into the processor's order once in a program of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fnet_cli.config import Settings
from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.encoder import Encoder
from fnet_cli.encoding.engine import devices, loading
from fnet_cli.encoding.engine.base import EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.options import ComputeDtype, Pooling
from fnet_cli.presets.resolving import resolve_preset

VARIABLE = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"
# Rows and tokens of batches: twice the same with other ids, larger, smaller, one row.
SHAPES = [(4, 64), (4, 64), (8, 128), (2, 16), (4, 64), (1, 512)]

# A program of its own: TensorFlow looks at the variable once, before its first graph.
PROGRAM = f"""
import os, sys
import numpy as np
from test_packing import SHAPES, a_request, embedded
from fnet_cli.encoding.engine.loading import load_engine

request = a_request(one_shape=True, fixed_shapes=True, only_model=True)
np.save(sys.argv[1], embedded(load_engine(request)))
print(os.environ["{VARIABLE}"])
"""


def a_request(**changes) -> EngineRequest:
    preset = resolve_preset("f_net_mini_en", Settings())
    return replace(EngineRequest(preset, Pooling.POOLED, ComputeDtype.BFLOAT16, "cpu"), **changes)


def embedded(engine) -> np.ndarray:
    """Return the vectors of batches of all `SHAPES`, one below the other."""
    made = []
    for seed, (rows, width) in enumerate(SHAPES):
        ids = np.random.default_rng(seed).integers(0, 60, (rows, width), dtype=np.int32)
        lengths = np.full(rows, width, np.int32)
        made.append(engine.embed(Batch(np.arange(rows), ids, np.zeros_like(ids), lengths, rows)))
    return np.concatenate(made)


@pytest.fixture
def packed(monkeypatch) -> list[bool]:
    """Note when weights are to be packed, and leave this process as it is."""
    noted: list[bool] = []
    monkeypatch.setattr(loading, "keep_weights_packed", lambda: noted.append(True))
    return noted


def test_with_packed_weights_every_batch_is_embedded_as_without(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "packed.npy"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout == "1\n", ran.stderr
    ours, theirs = np.load(tmp_path / "packed.npy"), embedded(load_engine(a_request()))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert ((ours * theirs).sum(axis=1) / lengths).min() >= 0.9999


@pytest.mark.parametrize(
    ("dtype", "only_model", "wanted"),
    [
        ("bfloat16", True, [True]),
        ("mixed_bfloat16", True, [True]),
        ("bfloat16", False, []),  # a program that trains beside it would keep its old weights
        ("float32", True, []),
        ("float16", True, []),
    ],
)
def test_only_a_program_of_our_own_in_bfloat16_packs(packed, dtype, only_model, wanted):
    load_engine(a_request(dtype=ComputeDtype(dtype), only_model=only_model))
    assert packed == wanted


def test_an_encoder_in_a_users_process_never_packs(packed):
    Encoder("f_net_mini_en", dtype="bfloat16", device="cpu", own_process=True).encode(["a text"])
    assert packed == []


@pytest.mark.parametrize(("said", "stands"), [(None, "1"), ("0", "0")])
def test_a_users_own_setting_stands(monkeypatch, said, stands):
    monkeypatch.delenv(VARIABLE, raising=False)
    if said:
        monkeypatch.setenv(VARIABLE, said)
    environ = dict(os.environ)
    monkeypatch.setattr(os, "environ", environ)
    devices.keep_weights_packed()
    assert environ[VARIABLE] == stands
