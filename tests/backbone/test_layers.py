"""The layers by themselves: Fourier mixing, the encoder layer, position embeddings."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnet_cli import FNetEncoder
from fnet_cli.backbone.embeddings import PositionEmbedding
from fnet_cli.backbone.mixing import fourier_mixing

INPUTS = np.random.default_rng(0).standard_normal((2, 7, 16)).astype(np.float32)


def as_numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def standardised(x: np.ndarray, epsilon: float) -> np.ndarray:
    spread = np.sqrt(x.var(-1, keepdims=True) + epsilon)
    return (x - x.mean(-1, keepdims=True)) / spread


# --- Mixing -----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(1, 3), st.integers(1, 33), st.integers(1, 33)))
def test_mixing_is_the_real_part_of_the_transform_over_sequence_and_hidden(shape):
    x = np.random.default_rng(1).standard_normal(shape)
    mixed = as_numpy(fourier_mixing(keras.ops.convert_to_tensor(x, "float64")))
    assert mixed.dtype == np.float64
    assert mixed == pytest.approx(np.fft.fft2(x).real, abs=1e-9)


def test_mixing_an_impulse_gives_ones():
    impulse = np.zeros((1, 4, 6), np.float32)
    impulse[0, 0, 0] = 1
    assert as_numpy(fourier_mixing(keras.ops.convert_to_tensor(impulse))) == pytest.approx(1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixing_half_precision_sums_in_float32(dtype):
    # 512 * 256 ones sum to 131,072, over float16's 65,504 and exact in float32.
    mixed = fourier_mixing(keras.ops.ones((1, 512, 256), dtype))
    assert keras.backend.standardize_dtype(mixed.dtype) == "float32"
    assert as_numpy(mixed)[0, 0, 0] == 512 * 256


# --- Encoder layer ----------------------------------------------------------------------------


def test_the_encoder_layers_arguments_have_kerashubs_defaults():
    layer = FNetEncoder(24)
    assert (layer.intermediate_dim, layer.dropout, layer.layer_norm_epsilon) == (24, 0, 1e-5)
    assert layer.activation is keras.activations.relu
    assert isinstance(layer.kernel_initializer, keras.initializers.GlorotUniform)
    assert isinstance(layer.bias_initializer, keras.initializers.Zeros)


def encode_by_hand(layer: FNetEncoder, x: np.ndarray, epsilon: float) -> np.ndarray:
    """Compute a fresh layer with relu: its normalisations have no scale or shift, biases are 0."""
    inner, outer = (as_numpy(d.kernel) for d in (layer._intermediate_dense, layer._output_dense))
    x = standardised(x + np.fft.fft2(x).real, epsilon)
    return standardised(x + np.maximum(x @ inner, 0) @ outer, epsilon)


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_the_encoder_layer_uses_its_activation_and_epsilon(epsilon):
    layer = FNetEncoder(24, activation="relu", layer_norm_epsilon=epsilon)
    made = as_numpy(layer(INPUTS))
    assert made == pytest.approx(encode_by_hand(layer, INPUTS.astype("f8"), epsilon), abs=2e-5)


def test_the_encoder_layer_uses_its_initializers():
    layer = FNetEncoder(24, kernel_initializer="ones", bias_initializer="zeros")
    layer.build(INPUTS.shape)
    for dense in (layer._intermediate_dense, layer._output_dense):
        assert (as_numpy(dense.kernel) == 1).all()
        assert (as_numpy(dense.bias) == 0).all()


def test_two_kernels_of_one_initializer_differ():
    layer = FNetEncoder(16, kernel_initializer=keras.initializers.RandomNormal())
    layer.build(INPUTS.shape)
    kernels = [as_numpy(d.kernel) for d in (layer._intermediate_dense, layer._output_dense)]
    assert not np.array_equal(*kernels)


def test_the_encoder_layers_dropout_acts_in_training_only():
    layer = FNetEncoder(24, dropout=0.5)
    assert np.array_equal(as_numpy(layer(INPUTS)), as_numpy(layer(INPUTS)))
    assert not np.allclose(as_numpy(layer(INPUTS)), as_numpy(layer(INPUTS, training=True)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "float64"])
def test_the_encoder_layer_returns_its_compute_dtype(dtype):
    layer = FNetEncoder(24, dtype=dtype)
    made = layer(keras.ops.convert_to_tensor(INPUTS))
    assert keras.backend.standardize_dtype(made.dtype) == layer.compute_dtype
    assert made.shape == INPUTS.shape


# --- Position embeddings ----------------------------------------------------------------------


def test_position_embeddings_are_the_first_rows_of_their_table():
    layer = PositionEmbedding(9)
    made = as_numpy(layer(INPUTS))
    assert made.shape == (1, 7, 16)
    assert np.array_equal(made[0], as_numpy(layer.position_embeddings)[:7])


def test_position_embeddings_are_rebuilt_from_their_config():
    layer = PositionEmbedding(9, initializer="zeros", name="places", dtype="bfloat16")
    assert PositionEmbedding.from_config(layer.get_config()).get_config() == layer.get_config()
