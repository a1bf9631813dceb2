"""The engine: what it embeds with, memory that runs out, copies on several devices, batch sizes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from builders import write_preset

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.engine import compiling
from fnet_cli.encoding.engine.base import EngineRequest
from fnet_cli.encoding.engine.compiling import Compiled
from fnet_cli.encoding.engine.loading import ReplicatedEngine, load_engine
from fnet_cli.encoding.engine.memory import is_of_memory, memory_errors
from fnet_cli.encoding.engine.tuning import tuned_batch_tokens
from fnet_cli.encoding.options import ComputeDtype, Pooling
from fnet_cli.errors import DeviceMemoryError, FnetError
from fnet_cli.presets.resolving import resolve_preset


def batch_of(rows: int, width: int = 8, capacity: int | None = None, seed: int = 0) -> Batch:
    ids = np.random.default_rng(seed).integers(0, 60, (rows, width), dtype=np.int32)
    lengths = np.full(rows, width, np.int32)
    return Batch(np.arange(rows), ids, np.zeros_like(ids), lengths, capacity or rows)


@pytest.fixture(scope="module")
def request_for(preset):
    local = resolve_preset(str(preset), Settings())

    def make(pooling: Pooling = Pooling.POOLED, **changes) -> EngineRequest:
        made = EngineRequest(local, pooling, ComputeDtype.FLOAT32, "cpu")
        return replace(made, **changes)

    return make


# --- Shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", Pooling)
def test_fixed_and_open_shapes_give_the_same_vectors(request_for, pooling):
    made = [
        load_engine(request_for(pooling, fixed_shapes=fixed)).embed(batch_of(3, capacity=4))
        for fixed in (True, False)
    ]
    assert made[0].shape[0] == 3
    assert made[0] == pytest.approx(made[1], abs=2e-5)


def test_a_batch_less_than_half_full_makes_no_graph_of_its_own(request_for):
    engine = load_engine(request_for(fixed_shapes=True))
    called = []

    def noted(name):
        forward = getattr(engine._compiled, name)
        return lambda *arrays: called.append((name, len(arrays[0]))) or forward(*arrays)

    engine._compiled = Compiled(noted("fixed"), noted("open"))
    for rows in (8, 4, 3):
        engine.embed(batch_of(rows, capacity=8))
    assert called == [("fixed", 8), ("fixed", 8), ("open", 3)]


def traced(monkeypatch) -> list[tuple[int | None, ...]]:
    """Note the shape of the ids of every graph that is made from here on."""
    shapes: list[tuple[int | None, ...]] = []
    embedding = compiling._embedding

    def noted(compilation, token_ids, *rest):
        shapes.append(tuple(token_ids.shape))
        return embedding(compilation, token_ids, *rest)

    monkeypatch.setattr(compiling, "_embedding", noted)
    return shapes


def test_a_shape_gets_its_own_graph_also_after_the_open_one(request_for, monkeypatch):
    shapes = traced(monkeypatch)
    engine = load_engine(request_for(fixed_shapes=True))
    for batch in (batch_of(1, capacity=8), batch_of(8), batch_of(4, 16), batch_of(8)):
        engine.embed(batch)
    assert shapes == [(None, None), (8, 8), (4, 16)]


@pytest.mark.parametrize(
    ("hidden_dim", "one_shape", "graphs"), [(392, False, 1), (392, True, 2), (384, False, 2)]
)
def test_of_many_shapes_only_a_narrow_model_gets_graphs_of_their_own(
    tmp_path, monkeypatch, hidden_dim, one_shape, graphs
):
    write_preset(tmp_path / "preset", BackboneConfig(60, 2, hidden_dim, 8, max_sequence_length=64))
    local = resolve_preset(str(tmp_path / "preset"), Settings())
    request = EngineRequest(local, Pooling.POOLED, ComputeDtype.FLOAT32, "cpu", fixed_shapes=True)
    shapes = traced(monkeypatch)
    engine = load_engine(replace(request, one_shape=one_shape))
    engine.embed(batch_of(4))
    engine.embed(batch_of(2, 16))
    assert len(shapes) == graphs


def test_workers_that_meet_a_shape_together_make_one_graph(request_for, monkeypatch):
    shapes = traced(monkeypatch)
    engine = load_engine(request_for(fixed_shapes=True))
    together = threading.Barrier(4)

    def embed():
        together.wait()
        engine.embed(batch_of(8))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(embed) for _ in range(4)]:
            done.result()
    assert shapes == [(8, 8)]


def test_pooled_and_cls_need_one_position_of_the_last_layer(request_for):
    tokens = load_engine(request_for(Pooling.TOKENS)).embed(batch_of(3))
    first = load_engine(request_for(Pooling.CLS)).embed(batch_of(3))
    assert first == pytest.approx(tokens[:, 0], abs=2e-5)


# --- Memory ---------------------------------------------------------------------------------


def engine_that_holds(engine, most_rows: int, seen: list[int], error: Exception):
    """Let an engine run out of memory with more rows than that."""
    forward = engine._compiled.open

    def limited(*arrays):
        seen.append(len(arrays[0]))
        if len(arrays[0]) > most_rows:
            raise error
        return forward(*arrays)

    engine._compiled = Compiled(limited, limited)
    return engine


OUT_OF_MEMORY = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_a_batch_too_large_for_the_device_is_halved_with_the_same_result(request_for):
    seen: list[int] = []
    plain = load_engine(request_for()).embed(batch_of(13))
    engine = engine_that_holds(load_engine(request_for()), 4, seen, OUT_OF_MEMORY)
    assert engine.embed(batch_of(13)) == pytest.approx(plain, abs=2e-5)
    assert seen == [13, 7, 4, 3, 4, 2]


def test_what_did_not_fit_is_not_tried_again(request_for):
    seen: list[int] = []
    engine = engine_that_holds(load_engine(request_for()), 4, seen, OUT_OF_MEMORY)
    engine.embed(batch_of(16))
    seen.clear()
    engine.embed(batch_of(16))
    assert max(seen) <= 4


def test_a_single_row_that_does_not_fit_is_an_error_that_says_what_to_do(request_for):
    engine = engine_that_holds(load_engine(request_for()), 0, [], MemoryError())
    with pytest.raises(DeviceMemoryError, match="one row of 8 tokens") as caught:
        engine.embed(batch_of(2))
    assert "--sequence-length" in caught.value.hint
    assert issubclass(DeviceMemoryError, FnetError)


def test_another_error_is_not_taken_for_one_of_memory(request_for):
    error = tf.errors.InvalidArgumentError(None, None, "out of memory, it says")
    engine = engine_that_holds(load_engine(request_for()), 1, [], error)
    with pytest.raises(tf.errors.InvalidArgumentError):
        engine.embed(batch_of(4))


def test_jaxs_errors_of_memory_are_told_from_others():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    kind = jax.errors.JaxRuntimeError
    assert kind in memory_errors("jax")
    assert is_of_memory("jax", kind("RESOURCE_EXHAUSTED: Out of memory"))
    assert not is_of_memory("jax", kind("INTERNAL: RESOURCE_EXHAUSTED"))


# --- Several devices ------------------------------------------------------------------------


class Recorder:
    """An engine that notes its batches, and waits until every replica has one."""

    backend, mixing, batch_tokens, workers = "tensorflow", "rfft", 64, 1

    def __init__(self, device: str, meeting: threading.Barrier):
        self.device, self._meeting, self.batches = device, meeting, []

    def embed(self, batch: Batch) -> np.ndarray:
        self.batches.append(batch)
        self._meeting.wait()
        return np.full((len(batch.rows), 2), float(self.device[-1]))


def test_replicas_work_side_by_side_each_on_batches_of_its_own():
    meeting = threading.Barrier(2, timeout=10)
    replicas = [Recorder("gpu:0", meeting), Recorder("gpu:1", meeting)]
    engine = ReplicatedEngine(replicas)
    assert (engine.device, engine.workers) == ("gpu:0,gpu:1", 2)
    threads = [threading.Thread(target=engine.embed, args=(batch_of(2),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert [len(replica.batches) for replica in replicas] == [3, 3]


def test_two_copies_of_a_model_give_what_one_gives(request_for):
    one = load_engine(request_for())
    both = ReplicatedEngine([one, load_engine(request_for())])
    for seed in range(3):
        batch = batch_of(4, seed=seed)
        assert both.embed(batch) == pytest.approx(one.embed(batch), abs=1e-6)


# --- Batch sizes ----------------------------------------------------------------------------


class Timed:
    """An engine whose batches take a time of its own, told by a clock of its own."""

    workers, batch_tokens = 1, 1024

    def __init__(self, seconds):
        self._seconds, self.now, self.sizes = seconds, 0.0, []

    def embed(self, batch: Batch) -> np.ndarray:
        self.sizes.append(batch.token_ids.size)
        self.now += self._seconds(batch.token_ids.size)
        return np.zeros((len(batch.rows), 1), np.float32)


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        (lambda tokens: 1 + tokens / 1e9, 1 << 20),  # a cost a batch: the larger the better
        (lambda tokens: tokens**2, 8),  # the smaller the better, down to a row
        (lambda tokens: float(tokens), 1024),  # all the same: as it is
        (lambda tokens: 1 + tokens / 1000 + max(0, tokens - 4096), 4096),
    ],
)
def test_the_batch_size_that_is_fastest_is_found(seconds, best):
    engine = Timed(seconds)
    assert tuned_batch_tokens(engine, 8, lambda: engine.now) == best


def test_a_batch_size_that_does_not_fit_is_not_chosen():
    def seconds(tokens):
        if tokens > 2048:
            raise DeviceMemoryError("too much")
        return 1.0

    engine = Timed(seconds)
    assert tuned_batch_tokens(engine, 8, lambda: engine.now) == 2048
