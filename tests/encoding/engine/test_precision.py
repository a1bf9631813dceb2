"""Half precision against float64: every row's direction, on random and on the bundled weights."""

from __future__ import annotations

import numpy as np
import pytest
from builders import write_preset
from reference import fnet_forward

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.mixing import Mixing
from fnet_cli.config import Settings
from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.engine.base import EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.options import ComputeDtype, Pooling
from fnet_cli.presets.resolving import resolve_preset

# As deep as the base model.
DEEP = BackboneConfig(300, 12, 64, 256, max_sequence_length=64)
ROWS, WIDTH = 4, 64


@pytest.fixture(scope="module", params=["random", "bundled"])
def local_preset(request, tmp_path_factory):
    if request.param == "bundled":
        return resolve_preset("f_net_mini_en", Settings())
    directory = tmp_path_factory.mktemp("deep")
    write_preset(directory, DEEP)
    return resolve_preset(str(directory), Settings())


@pytest.fixture(scope="module")
def batch(local_preset) -> Batch:
    most = local_preset.config.vocabulary_size
    ids = np.random.default_rng(5).integers(0, most, (ROWS, WIDTH), dtype=np.int32)
    lengths = np.full(ROWS, WIDTH, np.int32)
    return Batch(np.arange(ROWS), ids, np.zeros_like(ids), lengths, ROWS)


@pytest.fixture(scope="module")
def truth(local_preset, batch) -> np.ndarray:
    with local_preset.open_weights() as weights:
        tensors = dict(weights.tensors())
    return fnet_forward(tensors, local_preset.config, batch.token_ids, batch.segment_ids)[1]


def cosines(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    made = made.astype(np.float64)
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(truth, axis=1)
    return (made * truth).sum(axis=1) / lengths


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("method", [Mixing.RFFT, Mixing.MATMUL])
def test_every_row_points_where_float64_does(
    local_preset, batch, truth, dtype, method, monkeypatch
):
    monkeypatch.setattr("fnet_cli.backbone.mixing.choose_mixing", lambda *_, **__: method)
    request = EngineRequest(
        local_preset, Pooling.POOLED, ComputeDtype(dtype), "cpu", fixed_shapes=True
    )
    engine = load_engine(request)
    assert engine.mixing == method
    least = 0.9999999 if dtype == "float32" else 0.9995
    assert cosines(engine.embed(batch), truth).min() >= least
