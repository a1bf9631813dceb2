"""What depends on backend and device: elementwise work in one kernel, and which device that is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras


def fused(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return `function(*arguments)`, compiled into one kernel where that is worth it.

    That is in a TensorFlow graph of fixed shapes: there every operation passes over memory of its
    own, and XLA makes one pass of them all. (A whole model through XLA is slower on a CPU, for its
    matrix products are.) JAX compiles everything anyway, and torch has kernels of its own. In a
    graph with open shapes XLA would compile anew for each.

    `arguments` are tensors, nested or not, and hashable values; `function` is looked up by
    identity, so give it by name.
    """
    if keras.backend.backend() == "tensorflow" and is_in_fixed_graph(*arguments):
        return _cluster(function)(*arguments)
    return function(*arguments)


def is_in_fixed_graph(*arguments: Any) -> bool:
    """Whether TensorFlow traces a graph in which the shape of every tensor given is known.

    So it is in the kernels of `fused`. `arguments` are as there.
    """
    import tensorflow as tf

    tensors = [value for value in tf.nest.flatten(arguments) if tf.is_tensor(value)]
    return not tf.executing_eagerly() and all(tensor.shape.is_fully_defined() for tensor in tensors)


@cache
def _cluster(function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    cluster: Callable[..., Any] = tf.function(function, autograph=False, jit_compile=True)
    return cluster


def running_device() -> str:
    """Return the kind of device that the running backend puts tensors on: "cpu", or another."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return "gpu" if tf.config.list_logical_devices("GPU") else "cpu"
    if backend == "jax":
        import jax

        return str(jax.default_backend())
    return str(keras.ops.zeros(()).device.type)
