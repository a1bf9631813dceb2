"""The forward pass, compiled for each backend. The model is the layers' own: none is rewritten."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fnet_cli.encoding.engine.base import Forward
from fnet_cli.encoding.options import Pooling

if TYPE_CHECKING:
    from fnet_cli.backbone.model import FNetBackbone

# What the first position alone tells, by its name in `FNetBackbone.first_position`.
_OF_FIRST_POSITION = {Pooling.POOLED: "pooled_output", Pooling.CLS: "cls_output"}


@dataclass(frozen=True)
class Compilation:
    """What is compiled: a model, a pooling and a mixing method."""

    model: FNetBackbone
    pooling: Pooling
    mixing: str


@dataclass(frozen=True)
class Compiled:
    """The forward pass as functions of NumPy arrays.

    `fixed` compiles for each shape anew, which takes a moment, and is faster then; `open` is one
    for all shapes, None where the backend has no such thing.
    """

    fixed: Forward
    open: Forward | None


def compile_forward(backend: str, compilation: Compilation) -> Compiled:
    """Return the forward pass of a model; nothing is compiled before it is called."""
    return _COMPILERS[backend](compilation)


def _embedding(compilation: Compilation, token_ids: Any, segment_ids: Any, lengths: Any) -> Any:
    """Return the embedding of each row in float32: (B, H), or (B, S, H) for `tokens`."""
    from keras import ops

    from fnet_cli.backbone.mixing import mixing_scope

    inputs = {"token_ids": token_ids, "segment_ids": segment_ids}
    with mixing_scope(compilation.mixing):
        name = _OF_FIRST_POSITION.get(compilation.pooling)
        if name:
            return ops.cast(compilation.model.first_position(inputs)[name], "float32")
        outputs = compilation.model(inputs, training=False)
    return _pool(ops.cast(outputs["sequence_output"], "float32"), lengths, compilation.pooling)


def _pool(hidden: Any, lengths: Any, pooling: Pooling) -> Any:
    """Return `hidden` (B, S, H), or its mean or maximum over the real tokens, (B, H)."""
    from keras import ops

    if pooling is Pooling.TOKENS:
        return hidden
    real = ops.arange(ops.shape(hidden)[1])[None, :] < lengths[:, None]  # (B, S)
    real = real[:, :, None]
    if pooling is Pooling.MEAN:
        total = ops.sum(ops.where(real, hidden, 0.0), axis=1)
        return total / ops.cast(lengths, "float32")[:, None]
    return ops.max(ops.where(real, hidden, float("-inf")), axis=1)


def _compile_tensorflow(compilation: Compilation) -> Compiled:
    import tensorflow as tf

    def forward(token_ids: Any, segment_ids: Any, lengths: Any) -> Any:
        return _embedding(compilation, token_ids, segment_ids, lengths)

    @cache
    def graph(rows: int | None, width: int | None) -> Any:
        ids = tf.TensorSpec((rows, width), tf.int32)
        # A function for each: one that has an open graph gives that to every further shape.
        function = tf.function(forward, autograph=False)
        return function.get_concrete_function(ids, ids, tf.TensorSpec((rows,), tf.int32))

    tracing = threading.Lock()  # or two workers make the same graph

    def run(shape: tuple[int | None, ...], arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        with tracing:
            compiled = graph(*shape)
        return np.asarray(compiled(*(tf.constant(array) for array in arrays)))

    return Compiled(
        fixed=lambda *arrays: run(arrays[0].shape, arrays),
        open=lambda *arrays: run((None, None), arrays),
    )


def _compile_jax(compilation: Compilation) -> Compiled:
    import jax
    import keras

    variables = compilation.model.variables
    values = [variable.value for variable in variables]

    @jax.jit
    def forward(values: Any, token_ids: Any, segment_ids: Any, lengths: Any) -> Any:
        with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
            return _embedding(compilation, token_ids, segment_ids, lengths)

    return Compiled(fixed=lambda *arrays: np.asarray(forward(values, *arrays)), open=None)


def _compile_torch(compilation: Compilation) -> Compiled:
    import torch
    from keras import ops

    def forward(*arrays: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            made = _embedding(compilation, *map(ops.convert_to_tensor, arrays))
            result: np.ndarray = ops.convert_to_numpy(made)
            return result

    return Compiled(fixed=forward, open=forward)


_COMPILERS: dict[str, Callable[[Compilation], Compiled]] = {
    "tensorflow": _compile_tensorflow,
    "jax": _compile_jax,
    "torch": _compile_torch,
}
