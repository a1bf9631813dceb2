"""One encoder layer: Fourier mixing, then a feed-forward network, each added and normalised."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from fnet_cli.backbone import mixing
from fnet_cli.backbone.normalization import AddNormalization, normalization_dtype

Tensor = Any


@keras.saving.register_keras_serializable(package="fnet_cli")
def gelu_approximate(x: Tensor) -> Tensor:
    """GELU in its tanh form, the activation that FNet checkpoints were trained with."""
    return keras.activations.gelu(x, approximate=True)


@keras.saving.register_keras_serializable(package="fnet_cli")
class FNetEncoder(keras.layers.Layer):
    """FNet encoder layer, with the arguments of `keras_hub.layers.FNetEncoder`.

    x = LayerNorm(x + Re(FFT2(x))), then LayerNorm(x + Dropout(Dense(activation(Dense(x))))).
    Input and output are (B, S, H) in the layer's compute dtype; sums and normalisation run in
    float32 where that is half precision.

    Args:
        intermediate_dim: width of the first Dense of the feed-forward network.
        dropout: dropout rate after the second Dense, in training only.
        activation: activation of the first Dense, a Keras name or callable.
        layer_norm_epsilon: epsilon of both normalisations.
        kernel_initializer: initializer of both Dense kernels.
        bias_initializer: initializer of both Dense biases.
        **kwargs: `name`, `dtype`, `trainable`, for `keras.layers.Layer`.

    Source: Lee-Thorp et al. 2021, arXiv 2105.03824, section 3.2 and figure 1.

    """

    def __init__(
        self,
        intermediate_dim: int,
        dropout: float = 0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of (B, S, H)."""
        # The attribute names are paths inside a weight file: KerasHub's, and so kept.
        self._mixing_layer_norm = self._norm("mixing_layer_norm")
        self._output_layer_norm = self._norm("output_layer_norm")
        self._intermediate_dense = self._dense(
            "intermediate_dense", self.intermediate_dim, self.activation
        )
        self._output_dense = self._dense("output_dense", input_shape[-1], None)
        self._output_dropout = keras.layers.Dropout(
            self.dropout, dtype=self.dtype_policy, name="output_dropout"
        )
        for layer in (self._mixing_layer_norm, self._output_layer_norm, self._intermediate_dense):
            layer.build(input_shape)
        self._output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.built = True

    def _norm(self, name: str) -> AddNormalization:
        return AddNormalization(
            epsilon=self.layer_norm_epsilon,
            dtype=normalization_dtype(self.dtype_policy),
            output_dtype=self.compute_dtype,
            name=name,
        )

    def _dense(self, name: str, units: int | None, activation: Any) -> keras.layers.Layer:
        # A copy of the initializer for each kernel: one object draws the same numbers every time.
        def fresh(initializer: Any) -> Any:
            return initializer.__class__.from_config(initializer.get_config())

        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Encode `inputs` (B, S, H); dropout acts only where `training` is true."""
        parts, assemble = mixing.transformed(inputs)
        return self._transform(self._mixing_layer_norm.after(assemble, inputs, parts), training)

    def first_position(self, inputs: Tensor) -> Tensor:
        """Return `self(inputs)[:, 0]`, (B, H), computing no other position; without dropout."""
        mixed = mixing.first_position(inputs)
        return self._transform(self._mixing_layer_norm((inputs[:, 0], mixed)), training=False)

    def _transform(self, x: Tensor, training: bool | None) -> Tensor:
        """Apply the second half of the layer to x, (B, S, H) or (B, H)."""
        outer = self._output_dropout(self._feed_forward(x), training=training)
        return self._output_layer_norm((x, outer))

    def _feed_forward(self, x: Tensor) -> Tensor:
        # As (B * S, H): only for two-dimensional products does TensorFlow fuse bias and
        # activation into the matmul.
        shape = ops.shape(x)
        flat = ops.reshape(x, (-1, shape[-1]))
        return ops.reshape(self._output_dense(self._intermediate_dense(flat)), shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, serialised."""
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `input_shape`: an encoder layer keeps it."""
        return input_shape
