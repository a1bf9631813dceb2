"""The floor: the dense products that a pooled output needs, and nothing else.

No embedding, no mixing, no normalisation, no activation. Whatever is exact and makes its products
with the running backend cannot take less, so that this tells how good a model's time is.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import POOLER_BLOCK, layer_table
from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.engine.base import Engine
from fnet_cli.encoding.engine.memory import is_of_memory, memory_errors
from fnet_cli.encoding.options import ComputeDtype
from fnet_cli.errors import DeviceMemoryError

# (x, rows, kernels for all tokens, kernels for one token a row) -> both products
Chain = Callable[[Any, int, list[Any], list[Any]], tuple[Any, Any]]
# (tokens, rows): makes the products and waits for them
Run = Callable[[int, int], None]


@dataclass(frozen=True)
class Products:
    """The inner and outer sizes of the products, in order, for all tokens and for one a row."""

    of_tokens: tuple[tuple[int, int], ...]
    of_rows: tuple[tuple[int, int], ...]

    def operations(self, tokens: int, rows: int) -> int:
        """Return the multiplications and additions for `tokens` tokens in `rows` rows."""
        per_token, per_row = (
            2 * sum(inner * outer for inner, outer in part)
            for part in (self.of_tokens, self.of_rows)
        )
        return tokens * per_token + rows * per_row


def products(config: BackboneConfig) -> Products:
    """Return what a pooled output needs: of the last layer and the pooler one position a row."""
    late = {f"f_net_layer_{config.num_layers - 1}", POOLER_BLOCK}
    of_tokens: list[tuple[int, int]] = []
    of_rows: list[tuple[int, int]] = []
    for layer in layer_table(config):
        for parameter in layer.parameters:
            if parameter.name == "kernel":
                inner, outer = parameter.shape
                (of_rows if layer.block in late else of_tokens).append((inner, outer))
    return Products(tuple(of_tokens), tuple(of_rows))


class Floor:
    """The products on an engine's devices, in its model's dtype, side by side like its batches."""

    def __init__(self, config: BackboneConfig, engine: Engine, dtype: ComputeDtype) -> None:
        self._backend = engine.backend
        self._device = engine.device
        wanted = products(config)
        runs = [
            _on_device(engine.backend, name, dtype.computes_in, wanted)
            for name in engine.device.split(",")
        ]
        self._free: queue.SimpleQueue[Run] = queue.SimpleQueue()
        for _ in range(engine.workers // len(runs)):
            for run in runs:
                self._free.put(run)

    def run(self, batch: Batch) -> None:
        """Make the products that the batch needs, padding included.

        May be called from several threads at once. Raises DeviceMemoryError.
        """
        run = self._free.get()
        try:
            run(batch.token_ids.size, len(batch.rows))
        except memory_errors(self._backend) as error:
            if not is_of_memory(self._backend, error):
                raise
            raise DeviceMemoryError(
                f"{self._device}: not enough memory for the products of {batch.token_ids.size} "
                "tokens beside the model",
                hint="free some, use --device cpu, or give smaller --lengths",
            ) from error
        finally:
            self._free.put(run)


def _on_device(backend: str, device: str, dtype: str, wanted: Products) -> Run:
    """Return the compiled products for one of Keras' devices."""
    import keras
    from keras import ops

    rng = np.random.default_rng(0)

    def kernel(inner: int, outer: int) -> Any:
        # Scaled so that no chain of products leaves float16's range.
        values = rng.standard_normal((inner, outer), np.float32) / np.sqrt(inner, dtype=np.float32)
        return ops.convert_to_tensor(values, dtype)

    with keras.device(device):
        of_tokens, of_rows = (
            [kernel(*size) for size in part] for part in (wanted.of_tokens, wanted.of_rows)
        )
    compiled = _COMPILERS[backend](chain)
    inputs: dict[int, Any] = {}

    def run(tokens: int, rows: int) -> None:
        with keras.device(device):
            if tokens not in inputs:  # beforehand, as a model's activations are: in the warm-up
                inputs[tokens] = ops.ones((tokens, wanted.of_tokens[0][0]), dtype)
            _, last = compiled(inputs[tokens], rows, of_tokens, of_rows)
            ops.convert_to_numpy(last)

    return run


def chain(x: Any, rows: int, of_tokens: list[Any], of_rows: list[Any]) -> tuple[Any, Any]:
    """Return the last product of all tokens, (tokens, H), and the last one of the rows, (B, H).

    A product's input is the one before's output, and both ends are returned, so that a compiler
    can leave none out, nor make one for fewer tokens.
    """
    for kernel in of_tokens:
        x = x @ kernel
    first = x[:rows]
    for kernel in of_rows:
        first = first @ kernel
    return x, first


def _compile_tensorflow(made: Chain) -> Chain:
    import tensorflow as tf

    compiled: Chain = tf.function(made, autograph=False)
    return compiled


def _compile_jax(made: Chain) -> Chain:
    import jax

    compiled: Chain = jax.jit(made, static_argnums=1)
    return compiled


def _compile_torch(made: Chain) -> Chain:
    import torch

    compiled: Chain = torch.inference_mode()(made)
    return compiled


_COMPILERS: dict[str, Callable[[Chain], Chain]] = {
    "tensorflow": _compile_tensorflow,
    "jax": _compile_jax,
    "torch": _compile_torch,
}
