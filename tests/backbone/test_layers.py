"""The layers by themselves: the encoder layer, position embeddings."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from fnet_cli import FNetEncoder
from fnet_cli.backbone.embeddings import PositionEmbedding
from fnet_cli.backbone.mixing import mixing_scope

INPUTS = np.random.default_rng(0).standard_normal((2, 7, 16)).astype(np.float32)


def as_numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def standardised(x: np.ndarray, epsilon: float) -> np.ndarray:
    spread = np.sqrt(x.var(-1, keepdims=True) + epsilon)
    return (x - x.mean(-1, keepdims=True)) / spread


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


@pytest.mark.parametrize("method", ["fft", "rfft", "matmul"])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_the_encoder_layer_gives_the_same_with_every_method(method, graph):
    layer = FNetEncoder(24, activation="relu")
    run = tf.function(layer.call, autograph=False) if graph else layer.call
    layer.build(INPUTS.shape)
    with mixing_scope(method):
        made = as_numpy(run(tf.constant(INPUTS)))
    assert made == pytest.approx(encode_by_hand(layer, INPUTS.astype("f8"), 1e-5), abs=2e-5)


@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_the_first_position_of_the_encoder_layer_is_that_of_a_call(length, graph):
    layer = FNetEncoder(24, dropout=0.5)
    x = tf.constant(INPUTS[:, :length])
    wanted = as_numpy(layer(x))[:, 0]
    run = tf.function(layer.first_position, autograph=False) if graph else layer.first_position
    assert as_numpy(run(x)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16", "float64"])
def test_the_first_position_of_the_encoder_layer_has_its_compute_dtype(dtype):
    layer = FNetEncoder(24, dtype=dtype)
    layer.build(INPUTS.shape)
    assert layer.first_position(tf.cast(INPUTS, layer.compute_dtype)).dtype == layer.compute_dtype


# --- Position embeddings ----------------------------------------------------------------------


def test_position_embeddings_are_the_first_rows_of_their_table():
    layer = PositionEmbedding(9)
    made = as_numpy(layer(INPUTS))
    assert made.shape == (1, 7, 16)
    assert np.array_equal(made[0], as_numpy(layer.position_embeddings)[:7])


def test_position_embeddings_are_rebuilt_from_their_config():
    layer = PositionEmbedding(9, initializer="zeros", name="places", dtype="bfloat16")
    assert PositionEmbedding.from_config(layer.get_config()).get_config() == layer.get_config()
