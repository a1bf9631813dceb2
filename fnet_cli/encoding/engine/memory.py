"""Running out of a device's memory, as each backend says it."""

from __future__ import annotations

import errno


def memory_errors(backend: str) -> tuple[type[Exception], ...]:
    """Return the types that say it; `is_of_memory` tells where a type says more than that."""
    if backend == "tensorflow":
        import tensorflow as tf

        return MemoryError, tf.errors.ResourceExhaustedError
    if backend == "jax":
        import jax

        return MemoryError, jax.errors.JaxRuntimeError
    import torch

    # On the processor it is any RuntimeError; that of a GPU is one of its own.
    return MemoryError, torch.OutOfMemoryError, RuntimeError


def is_of_memory(backend: str, error: Exception) -> bool:
    """Whether an error of one of those types is one of memory."""
    if backend == "tensorflow" or isinstance(error, MemoryError):
        return True
    # Two have one type for all, and the status code only in the message: JAX as the name that it
    # starts with, torch as the system's number, somewhere in what Keras makes of it.
    if backend == "jax":
        return str(error).startswith("RESOURCE_EXHAUSTED")
    import torch

    code = f"Error code {errno.ENOMEM} "
    return isinstance(error, torch.OutOfMemoryError) or code in str(error)
