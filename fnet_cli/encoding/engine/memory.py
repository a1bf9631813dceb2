"""Running out of a device's memory, as each backend says it."""

from __future__ import annotations


def memory_errors(backend: str) -> tuple[type[Exception], ...]:
    """Return the types that say it; `is_of_memory` tells where a type says more than that."""
    if backend == "tensorflow":
        import tensorflow as tf

        return MemoryError, tf.errors.ResourceExhaustedError
    if backend == "jax":
        import jax

        return MemoryError, jax.errors.JaxRuntimeError
    import torch

    return MemoryError, torch.OutOfMemoryError


def is_of_memory(backend: str, error: Exception) -> bool:
    """Whether an error of one of those types is one of memory."""
    # JAX has one type for all, and the status code only as the name that its message starts with.
    return (
        backend != "jax"
        or isinstance(error, MemoryError)
        or str(error).startswith("RESOURCE_EXHAUSTED")
    )
