"""From a request to a loaded engine: one model, or a copy on each of several devices."""

from __future__ import annotations

import queue
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.compiling import Compilation, compile_forward
from fnet_cli.encoding.engine.devices import (
    device_names,
    keep_weights_packed,
    parse_device,
    share_threads,
)
from fnet_cli.encoding.engine.importing import import_backend
from fnet_cli.encoding.engine.memory import is_of_memory, memory_errors
from fnet_cli.errors import DeviceMemoryError

# Tokens of a batch; TensorFlow's is measured (docs/performance.md), and long jobs try others. Each
# batch reads all weights from memory, and a small one leaves and finds its activations in the
# cache; a GPU wants enough work to hide what starting it costs.
_CPU_BATCH_TOKENS = {"tensorflow": 2048, "jax": 4096, "torch": 4096}
_GPU_BATCH_TOKENS = 32_768
# Up to so many columns a graph for each of many shapes pays on a processor. The time of wider
# models is in their products: 2% are saved of 768 columns, and each graph takes 10 MB and a second
# to make, and may keep a copy of the weights.
_NARROW_DIM = 384
# One batch is copied to or from a GPU while another is computed.
_GPU_WORKERS = 2


def load_engine(request: EngineRequest) -> Engine:
    """Import Keras, load the preset's weights and compile the forward pass.

    Raises UsageError for a backend or device that is not there, InstallationError and PresetError.
    """
    backend = import_backend(only_model=request.only_model)
    number, shares = request.share
    every = device_names(backend, parse_device(request.device))
    names = every[number::shares] or [every[number % len(every)]]
    # Before anything runs: what holds for all of TensorFlow is fixed with its first operation.
    on_cpu = backend == "tensorflow" and names == ["cpu"]
    alone = on_cpu and request.own_process
    workers = share_threads(request.cores, request.most_workers) if alone else 1
    if on_cpu and request.only_model and request.dtype.computes_in == "bfloat16":
        # In float32 the products are as fast without, and no copy of the weights is kept.
        keep_weights_packed()
    if on_cpu and not request.one_shape and request.preset.config.hidden_dim > _NARROW_DIM:
        request = replace(request, fixed_shapes=False)
    engines = [KerasEngine(request, backend, name, workers) for name in names]
    return engines[0] if len(engines) == 1 else ReplicatedEngine(engines)


class KerasEngine:
    """An FNetBackbone on one device of the running Keras backend."""

    def __init__(self, request: EngineRequest, backend: str, device: str, workers: int) -> None:
        from fnet_cli.backbone.mixing import choose_mixing, has_matrix_units
        from fnet_cli.backbone.model import FNetBackbone
        from fnet_cli.presets.loading import load_backbone

        self.backend = backend
        self.device = device
        on_cpu = device == "cpu"
        self.workers = workers if on_cpu else _GPU_WORKERS
        self.batch_tokens = _CPU_BATCH_TOKENS[backend] if on_cpu else _GPU_BATCH_TOKENS
        self._fixed_shapes = request.fixed_shapes
        self._most_tokens = float(request.most_tokens or "inf") if on_cpu else float("inf")
        self._largest = 0
        with self._scope():
            model = load_backbone(request.preset, FNetBackbone, dtype=request.dtype.policy)
            self.mixing = choose_mixing(
                model.compute_dtype, matrix_units=has_matrix_units(device)
            ).value
            compilation = Compilation(model, request.pooling, self.mixing)
            self._compiled = compile_forward(backend, compilation)

    def embed(self, batch: Batch) -> np.ndarray:
        """Return float32 (B, H), or (B, S, H) for `tokens` pooling.

        A batch for which the device has not enough memory is halved, and those after it, too.
        Raises DeviceMemoryError where a single row is too much.
        """
        tokens = batch.capacity * batch.token_ids.shape[1]
        if batch.capacity == 1 or tokens <= self._most_tokens:
            self._largest = max(self._largest, tokens)
            try:
                return self._embed(batch)
            except memory_errors(self.backend) as error:
                if not is_of_memory(self.backend, error):
                    raise
                if batch.capacity == 1:
                    raise DeviceMemoryError(
                        f"{self.device}: not enough memory for one row of {tokens} tokens",
                        hint="free some, use --device cpu, or shorten rows with --sequence-length",
                    ) from error
            half_tokens = (batch.capacity + 1) // 2 * batch.token_ids.shape[1]
            self._most_tokens = min(self._most_tokens, half_tokens)
        return np.concatenate([self.embed(half) for half in batch.halves()])

    def give_way(self) -> None:
        """Embed in halves, from now on, what is as large as the largest batch so far."""
        self._most_tokens = min(self._most_tokens, max(1, self._largest // 2))
        self._largest = 0

    def _embed(self, batch: Batch) -> np.ndarray:
        arrays = [batch.token_ids, batch.segment_ids, batch.lengths]
        missing = batch.capacity - len(batch.rows)
        forward = self._compiled.open
        if forward is None:  # every size of a batch is compiled: to the next power of two
            missing = min(missing, (1 << (len(batch.rows) - 1).bit_length()) - len(batch.rows))
        # The last rows of a length are not worth a graph of their own, nor much filling up.
        if forward is None or (self._fixed_shapes and missing <= len(batch.rows)):
            forward = self._compiled.fixed
            if missing:
                arrays = [_repeat_last(array, missing) for array in arrays]
        with self._scope():
            return forward(*arrays)[: len(batch.rows)]

    def _scope(self) -> AbstractContextManager[Any]:
        import keras

        scope: AbstractContextManager[Any] = keras.device(self.device)
        return scope


def _repeat_last(array: np.ndarray, times: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[-1:], times, axis=0)])


class ReplicatedEngine:
    """The same model on several devices; each batch goes to one that is free."""

    def __init__(self, engines: list[KerasEngine]) -> None:
        first, self._engines = engines[0], engines
        self.backend, self.mixing, self.batch_tokens = (
            first.backend,
            first.mixing,
            first.batch_tokens,
        )
        self.device = ",".join(engine.device for engine in engines)
        self.workers = sum(engine.workers for engine in engines)
        self._free: queue.SimpleQueue[KerasEngine] = queue.SimpleQueue()
        # In turn, so that every device has work before one has a second batch.
        for _ in range(first.workers):
            for engine in engines:
                self._free.put(engine)

    def embed(self, batch: Batch) -> np.ndarray:
        """Return what the free engine's `embed` returns, waiting for one."""
        engine = self._free.get()
        try:
            return engine.embed(batch)
        finally:
            self._free.put(engine)

    def give_way(self) -> None:
        """Let each of the engines give way."""
        for engine in self._engines:
            engine.give_way()
