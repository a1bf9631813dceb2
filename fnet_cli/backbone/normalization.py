"""Layer normalisation of a sum, as every sub-layer of FNet ends."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import keras
from keras import ops

from fnet_cli.backbone.fusing import fused, is_in_fixed_graph, running_device

Tensor = Any


def normalization_dtype(policy: Any) -> Any:
    """Return the dtype policy of a normalisation inside a layer of `policy`.

    Float32 wherever the layer computes in half precision: the unnormalised Fourier sums that it
    must bring back into range do not fit float16, and lose seven bits in bfloat16.
    """
    return "float32" if policy.compute_dtype in ("float16", "bfloat16") else policy


@keras.saving.register_keras_serializable(package="fnet_cli")
class AddNormalization(keras.layers.LayerNormalization):
    """LayerNormalization of the sum of its inputs, over their last axis.

    The weights are those of `keras.layers.LayerNormalization`.

    Args:
        epsilon: added to the variance.
        output_dtype: dtype of the result; None is the layer's compute dtype.
        **kwargs: `name`, `dtype`, `trainable`, for `keras.layers.Layer`.

    """

    def __init__(
        self, epsilon: float = 1e-3, output_dtype: str | None = None, **kwargs: Any
    ) -> None:
        # The sum casts its terms itself, inside the one kernel.
        super().__init__(epsilon=epsilon, autocast=False, **kwargs)
        self.output_dtype = output_dtype

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of (..., H), one or several."""
        single = isinstance(input_shape[-1], int)
        super().build(input_shape if single else input_shape[0])

    def call(self, inputs: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Return the normalised sum of `inputs`, shapes that broadcast to the first's."""
        return self.after(_as_given, inputs)

    def after(self, prepare: Callable[..., Any], *arguments: Any) -> Tensor:
        """Return the normalised sum of what `prepare(*arguments)` returns, in one kernel with it.

        `prepare` is a function by name; it returns a tensor or a tuple of tensors.
        """
        scale = (self.gamma.value, self.beta.value)
        dtypes = (self.compute_dtype, self.output_dtype or self.compute_dtype)
        return fused(_sum_and_normalise, prepare, arguments, scale, self.epsilon, dtypes)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the first input."""
        first = input_shape if isinstance(input_shape[-1], int) else input_shape[0]
        return tuple(first)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return shape and dtype of the result."""
        first = inputs[0] if isinstance(inputs, (tuple, list)) else inputs
        return keras.KerasTensor(first.shape, self.output_dtype or self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, serialised."""
        kept = ("name", "trainable", "dtype", "epsilon")
        config = super().get_config()
        return {**{name: config[name] for name in kept}, "output_dtype": self.output_dtype}


def _as_given(inputs: Any) -> Any:
    return inputs


def _sum_and_normalise(
    prepare: Callable[..., Any],
    arguments: tuple[Any, ...],
    scale: tuple[Tensor, Tensor],
    epsilon: float,
    dtypes: tuple[str, str],
) -> Tensor:
    """Return LayerNorm(sum of prepare(*arguments)); `dtypes` are of the sum and of the result."""
    terms = prepare(*arguments)
    terms = terms if isinstance(terms, (tuple, list)) else (terms,)
    total = reduce(operator.add, (ops.cast(term, dtypes[0]) for term in terms))
    return ops.cast(_normalise(total, *scale, epsilon), dtypes[1])


def _normalise(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    if keras.backend.backend() != "tensorflow":
        return ops.layer_normalization(x, gamma, beta, axis=-1, epsilon=epsilon)
    centred = x - _mean(x)
    variance = _mean(ops.square(centred))
    return centred * ops.rsqrt(variance + epsilon) * gamma + beta


def _mean(x: Tensor) -> Tensor:
    """Return the mean over the last axis, which is kept."""
    # On a GPU TensorFlow may make products of float32 in TF32, which has ten bits.
    if not is_in_fixed_graph(x) or running_device() != "cpu":
        return ops.mean(x, axis=-1, keepdims=True)
    # A product with a column, as XLA does not vectorise sums along the last axis.
    return ops.matmul(x, ops.full((x.shape[-1], 1), 1.0 / x.shape[-1], x.dtype))
