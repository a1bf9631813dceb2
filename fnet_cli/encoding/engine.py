"""The model as a function from dense batches to embeddings, compiled for the Keras backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.options import ComputeDtype, Pooling
from fnet_cli.errors import UsageError
from fnet_cli.presets.resolving import LocalPreset

if TYPE_CHECKING:
    from fnet_cli.backbone.model import FNetBackbone

# (token_ids, segment_ids, lengths) -> embeddings
Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
BACKENDS = ("tensorflow", "jax", "torch")


class Engine(Protocol):
    """What the job needs of a model."""

    backend: str
    device: str

    def embed(self, batch: Batch) -> np.ndarray:
        """Return float32 (B, H), or (B, S, H) where every token keeps its vector."""


@dataclass(frozen=True)
class EngineRequest:
    """What to load: a preset, how to pool, in which dtype, where, and batches of what size."""

    preset: LocalPreset
    pooling: Pooling
    dtype: ComputeDtype
    device: str
    batch_size: int


def load_engine(request: EngineRequest) -> Engine:
    """Import Keras, load the preset's weights and compile the forward pass.

    Raises UsageError for a backend or device that is not there, and PresetError.
    """
    _import_backend()
    return KerasEngine(request)


def _import_backend() -> None:
    chosen = os.environ.get("KERAS_BACKEND", "")
    if chosen and chosen not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND is {chosen!r}", hint=f"fnet runs on {', '.join(BACKENDS)}")
    try:
        import keras
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the Keras backend {chosen or 'tensorflow'} cannot be imported: {error}",
            hint="install it, or choose another with KERAS_BACKEND",
        ) from error
    if keras.backend.backend() not in BACKENDS:
        raise UsageError(
            f"Keras is set to the backend {keras.backend.backend()}",
            hint=f"set KERAS_BACKEND to one of {', '.join(BACKENDS)}",
        )


class KerasEngine:
    """An FNetBackbone on the running Keras backend."""

    def __init__(self, request: EngineRequest) -> None:
        import keras

        from fnet_cli.backbone.model import FNetBackbone
        from fnet_cli.presets.loading import load_backbone

        self.backend: str = keras.backend.backend()
        self.device = _device_name(self.backend, request.device)
        # Only JAX compiles anew for every shape; there, rows are added up to the full batch.
        self._fixed_rows = request.batch_size if self.backend == "jax" else 0
        with self._scope():
            model = load_backbone(request.preset, FNetBackbone, dtype=request.dtype.policy)
            self._forward = _COMPILERS[self.backend](model, request.pooling)

    def embed(self, batch: Batch) -> np.ndarray:
        """Return float32 (B, H), or (B, S, H) for `tokens` pooling."""
        arrays = [batch.token_ids, batch.segment_ids, batch.lengths]
        missing = self._fixed_rows - len(batch.rows)
        if missing > 0:
            arrays = [_repeat_last(array, missing) for array in arrays]
        with self._scope():
            return self._forward(*arrays)[: len(batch.rows)]

    def _scope(self) -> AbstractContextManager[Any]:
        import keras

        scope: AbstractContextManager[Any] = keras.device(self.device)
        return scope


def _repeat_last(array: np.ndarray, times: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[-1:], times, axis=0)])


# --- Devices --------------------------------------------------------------------------------


def _gpu_count_tensorflow() -> int:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:  # so that one job does not take the whole card
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # TensorFlow already runs: the caller's own setting stands
            break
    return len(gpus)


def _gpu_count_jax() -> int:
    import jax

    return sum(device.platform in ("gpu", "cuda", "rocm") for device in jax.devices())


def _gpu_count_torch() -> int:
    import torch

    return int(torch.cuda.device_count())


_GPU_COUNTS = {
    "tensorflow": _gpu_count_tensorflow,
    "jax": _gpu_count_jax,
    "torch": _gpu_count_torch,
}


def parse_device(text: str) -> tuple[str, int]:
    """Return ('auto' | 'cpu' | 'gpu', index) for auto, cpu, gpu or gpu:N; UsageError otherwise."""
    kind, colon, index = text.partition(":")
    if kind in ("auto", "cpu", "gpu") and not colon:
        return kind, 0
    if kind == "gpu" and index.isascii() and index.isdigit():
        return kind, int(index)
    raise UsageError(f"there is no device {text!r}", hint="use auto, cpu, gpu or gpu:N")


def _device_name(backend: str, wanted: str) -> str:
    kind, index = parse_device(wanted)
    # Without an index: Keras on torch compares device names, and takes "cpu:0" for another one.
    if kind == "cpu":
        return "cpu"
    gpus = _GPU_COUNTS[backend]()
    if kind == "auto":
        return "gpu:0" if gpus else "cpu"
    if index >= gpus:
        raise UsageError(
            f"{wanted} was asked for, and {backend} sees {gpus or 'no'} GPU{'s' * (gpus > 1)} here",
            hint="use --device cpu or auto",
        )
    return f"gpu:{index}"


# --- Forward passes -------------------------------------------------------------------------


def _pool(outputs: dict[str, Any], lengths: Any, pooling: Pooling) -> Any:
    """Return the embedding of each row in float32: (B, H), or (B, S, H) for `tokens`."""
    from keras import ops

    if pooling is Pooling.POOLED:
        return ops.cast(outputs["pooled_output"], "float32")
    hidden = ops.cast(outputs["sequence_output"], "float32")  # (B, S, H)
    if pooling is Pooling.TOKENS:
        return hidden
    if pooling is Pooling.CLS:
        return hidden[:, 0]
    real = ops.arange(ops.shape(hidden)[1])[None, :] < lengths[:, None]  # (B, S)
    real = real[:, :, None]
    if pooling is Pooling.MEAN:
        total = ops.sum(ops.where(real, hidden, 0.0), axis=1)
        return total / ops.cast(lengths, "float32")[:, None]
    return ops.max(ops.where(real, hidden, float("-inf")), axis=1)


def _inputs(token_ids: Any, segment_ids: Any) -> dict[str, Any]:
    return {"token_ids": token_ids, "segment_ids": segment_ids}


def _compile_tensorflow(model: FNetBackbone, pooling: Pooling) -> Forward:
    import tensorflow as tf

    ids = tf.TensorSpec((None, None), tf.int32)

    # One graph for all shapes: one a shape would retrace and hold memory on long jobs.
    @tf.function(input_signature=[ids, ids, tf.TensorSpec((None,), tf.int32)], autograph=False)
    def forward(token_ids: Any, segment_ids: Any, lengths: Any) -> Any:
        outputs = model(_inputs(token_ids, segment_ids), training=False)
        return _pool(outputs, lengths, pooling)

    return lambda *arrays: np.asarray(forward(*(tf.constant(array) for array in arrays)))


def _compile_jax(model: FNetBackbone, pooling: Pooling) -> Forward:
    import jax

    trainable = [variable.value for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]

    @jax.jit
    def forward(trainable: Any, fixed: Any, token_ids: Any, segment_ids: Any, lengths: Any) -> Any:
        inputs = _inputs(token_ids, segment_ids)
        outputs, _ = model.stateless_call(trainable, fixed, inputs, training=False)
        return _pool(outputs, lengths, pooling)

    return lambda *arrays: np.asarray(forward(trainable, fixed, *arrays))


def _compile_torch(model: FNetBackbone, pooling: Pooling) -> Forward:
    import torch
    from keras import ops

    def forward(*arrays: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            token_ids, segment_ids, lengths = map(ops.convert_to_tensor, arrays)
            outputs = model(_inputs(token_ids, segment_ids), training=False)
            pooled = _pool(outputs, lengths, pooling)
            result: np.ndarray = ops.convert_to_numpy(pooled)
            return result

    return forward


_COMPILERS: dict[str, Callable[[FNetBackbone, Pooling], Forward]] = {
    "tensorflow": _compile_tensorflow,
    "jax": _compile_jax,
    "torch": _compile_torch,
}
