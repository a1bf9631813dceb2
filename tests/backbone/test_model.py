"""FNetBackbone: numbers, API, dtypes, training, saving."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import TINY, random_tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import fnet_forward

from fnet_cli import FNetBackbone, FNetEncoder
from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.presets.loading import parameter_variables

BASE = BackboneConfig(1000, 12, 768, 3072)


def build(config: BackboneConfig, tensors, **arguments) -> FNetBackbone:
    model = FNetBackbone(**{**config.to_dict(), **arguments})
    for name, variable in parameter_variables(model).items():
        variable.assign(tensors[name])
    return model


def random_inputs(config: BackboneConfig, batch: int, length: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    shape = (batch, length)
    return {
        "token_ids": rng.integers(0, config.vocabulary_size, shape),
        "segment_ids": rng.integers(0, config.num_segments, shape),
    }


def outputs_of(model: FNetBackbone, inputs) -> tuple[np.ndarray, np.ndarray]:
    made = model(inputs, training=False)
    return tuple(
        keras.ops.convert_to_numpy(keras.ops.cast(made[name], "float64"))
        for name in ("sequence_output", "pooled_output")
    )


def errors_to_reference(model, tensors, config, inputs) -> tuple[float, float]:
    wanted = fnet_forward(tensors, config, inputs["token_ids"], inputs["segment_ids"])
    made = outputs_of(model, inputs)
    return tuple(float(np.abs(a - b).max()) for a, b in zip(made, wanted, strict=True))


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(TINY)


@pytest.fixture(scope="module")
def model(tensors):
    return build(TINY, tensors)


# --- Numbers --------------------------------------------------------------------------------


def test_base_width_equals_the_float64_reference():
    weights = random_tensors(BASE)
    inputs = random_inputs(BASE, 2, 512)
    assert max(errors_to_reference(build(BASE, weights), weights, BASE, inputs)) <= 2e-5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 99))
def test_every_length_equals_the_float64_reference(model, tensors, length, batch, seed):
    inputs = random_inputs(TINY, batch, length, seed)
    assert max(errors_to_reference(model, tensors, TINY, inputs)) <= 2e-5


@pytest.mark.parametrize("length", [1, 2, 3, 7, 31, 37, 40])
def test_lengths_of_one_odd_even_and_prime(model, tensors, length):
    assert max(errors_to_reference(model, tensors, TINY, random_inputs(TINY, 2, length))) <= 2e-5


@settings(max_examples=5, deadline=None)
@given(st.sampled_from([1, 5, 12, 17]), st.sampled_from([1, 3, 9]))
def test_odd_hidden_sizes_equal_the_float64_reference(hidden, length):
    config = BackboneConfig(20, 1, hidden, 7, max_sequence_length=9)
    weights = random_tensors(config)
    inputs = random_inputs(config, 2, length)
    # One hidden unit is normalised to zero and divides by epsilon: nothing to compare there.
    limit = 2e-5 if hidden > 1 else np.inf
    assert max(errors_to_reference(build(config, weights), weights, config, inputs)) <= limit


# --- Dtypes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "output", "limit"),
    [
        ("float64", "float64", 1e-10),
        ("float32", "float32", 2e-5),
        ("bfloat16", "bfloat16", 0.1),
        ("mixed_bfloat16", "bfloat16", 0.1),
        ("float16", "float16", 0.015),
        ("mixed_float16", "float16", 0.015),
        (keras.DTypePolicy("mixed_bfloat16"), "bfloat16", 0.1),
    ],
    ids=str,
)
def test_dtype_policies_compute_in_their_dtype(tensors, dtype, output, limit):
    model = build(TINY, tensors, dtype=dtype)
    inputs = random_inputs(TINY, 2, 33)
    made = model(inputs)
    assert {keras.backend.standardize_dtype(tensor.dtype) for tensor in made.values()} == {output}
    assert max(errors_to_reference(model, tensors, TINY, inputs)) <= limit


def test_float16_survives_a_row_of_equal_padding():
    config = BackboneConfig(20, 2, 256, 64)
    weights = random_tensors(config)
    # Sums over 512 equal positions of a shifted normalisation pass float16's largest number.
    weights["embedding_projection/bias"] += 1.0
    model = build(config, weights, dtype="float16")
    inputs = {name: np.zeros((1, 512), int) for name in ("token_ids", "segment_ids")}
    assert np.isfinite(outputs_of(model, inputs)[0]).all()
    assert max(errors_to_reference(model, weights, config, inputs)) < 0.05


# --- First position ---------------------------------------------------------------------------


def first_position_of(model: FNetBackbone, inputs) -> tuple[np.ndarray, np.ndarray]:
    made = model.first_position(inputs)
    return tuple(
        keras.ops.convert_to_numpy(keras.ops.cast(made[name], "float64"))
        for name in ("cls_output", "pooled_output")
    )


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("length", [1, 2, 17])
def test_the_first_position_is_that_of_a_call(layers, length):
    config = dataclasses.replace(TINY, num_layers=layers)
    model = build(config, random_tensors(config))
    inputs = random_inputs(config, 3, length)
    sequence, pooled = outputs_of(model, inputs)
    first, first_pooled = first_position_of(model, inputs)
    assert first == pytest.approx(sequence[:, 0], abs=1e-5)
    assert first_pooled == pytest.approx(pooled, abs=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16", "float16"])
def test_the_first_position_in_half_precision_points_where_a_call_does(tensors, dtype):
    model = build(TINY, tensors, dtype=dtype)
    inputs = random_inputs(TINY, 3, 17)
    sequence, pooled = outputs_of(model, inputs)
    pairs = zip(first_position_of(model, inputs), (sequence[:, 0], pooled), strict=True)
    for made, wanted in pairs:
        lengths = np.linalg.norm(made, axis=-1) * np.linalg.norm(wanted, axis=-1)
        assert ((made * wanted).sum(-1) / lengths).min() >= 0.999


def test_the_first_position_can_be_traced_for_every_length(model):
    spec = {name: tf.TensorSpec((None, None), "int32") for name in ("token_ids", "segment_ids")}
    traced = tf.function(model.first_position, input_signature=[spec])
    for length in (1, 9, 40):
        inputs = random_inputs(TINY, 2, length)
        made = traced({name: tf.constant(ids, "int32") for name, ids in inputs.items()})
        assert made["pooled_output"].numpy() == pytest.approx(
            outputs_of(model, inputs)[1], abs=1e-5
        )


def test_the_first_position_of_rows_that_are_too_long_is_a_clear_error(model):
    with pytest.raises(ValueError, match="41 tokens"):
        model.first_position(random_inputs(TINY, 1, 41))


# --- API --------------------------------------------------------------------------------------


def test_defaults_are_kerashubs():
    model = FNetBackbone(20, 1, 8, 16)
    assert (model.dropout, model.max_sequence_length, model.num_segments) == (0.1, 512, 4)


def test_constructor_arguments_are_attributes_and_config():
    sizes = {"vocabulary_size": 21, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 12,
             "dropout": 0.2, "max_sequence_length": 9, "num_segments": 3}  # fmt: skip
    model = FNetBackbone(**sizes, dtype="mixed_bfloat16", name="small", trainable=False)
    config = model.get_config()
    assert {name: getattr(model, name) for name in sizes} == sizes
    assert {name: config[name] for name in sizes} == sizes
    again = FNetBackbone.from_config(config)
    assert again.get_config() == config
    assert (again.name, again.trainable, again.dtype_policy.name) == (
        "small", False, "mixed_bfloat16",
    )  # fmt: skip


def test_presets_lists_the_builtin_ones():
    presets = FNetBackbone.presets
    assert presets["f_net_base_en"]["metadata"]["params"] == 82_861_056
    assert presets["f_net_base_en"]["kaggle_handle"] == "kaggle://keras/f_net/keras/f_net_base_en/3"
    assert "f_net_mini_en" in presets


def test_the_token_embedding_projects_back(model, tensors):
    hidden = np.ones((1, 2, 32), np.float32)
    logits = keras.ops.convert_to_numpy(model.token_embedding(hidden, reverse=True))
    assert logits == pytest.approx(hidden @ tensors["token_embedding/embeddings"].T, abs=1e-5)


@pytest.mark.parametrize("call", ["eager", "predict"])
def test_rows_beyond_the_last_position_are_a_clear_error(model, call):
    inputs = random_inputs(TINY, 1, 41)
    with pytest.raises(ValueError, match=r"41 tokens.*40 \(max_sequence_length\)"):
        model(inputs) if call == "eager" else model.predict(inputs, verbose=0)


def test_rows_that_are_too_long_are_a_clear_error_after_rows_of_several_lengths(tensors):
    # By then TensorFlow has one graph for every length.
    model = build(TINY, tensors)
    for length in (3, 5, 8):
        model.predict(random_inputs(TINY, 1, length), verbose=0)
    with pytest.raises(ValueError, match="41 tokens"):
        model.predict(random_inputs(TINY, 1, 41), verbose=0)


def test_the_encoder_layer_has_kerashubs_arguments():
    layer = FNetEncoder(12, dropout=0.3, activation="gelu", layer_norm_epsilon=1e-6,
                        kernel_initializer="he_normal", bias_initializer="ones")  # fmt: skip
    again = FNetEncoder.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert tuple(layer(np.ones((2, 5, 8), np.float32)).shape) == (2, 5, 8)


# --- Training and saving ----------------------------------------------------------------------


def test_training_lowers_the_loss_and_reaches_every_weight():
    keras.utils.set_random_seed(0)
    backbone = FNetBackbone(20, 2, 16, 32, max_sequence_length=8)
    outputs = backbone.output
    score = keras.layers.Dense(1)(outputs["pooled_output"])
    per_token = keras.layers.Dense(1)(outputs["sequence_output"])
    trained = keras.Model(backbone.input, [score, per_token])
    trained.compile(keras.optimizers.Adam(1e-3), loss=["mse", "mse"])
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in backbone.trainable_weights]
    inputs = random_inputs(BackboneConfig(20, 2, 16, 32, max_sequence_length=8), 32, 8)
    targets = [np.ones((32, 1)), np.ones((32, 8, 1))]
    losses = trained.fit(inputs, targets, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    for old, weight in zip(before, backbone.trainable_weights, strict=True):
        assert not np.array_equal(old, keras.ops.convert_to_numpy(weight)), weight.path


def test_dropout_acts_in_training_only(model):
    inputs = random_inputs(TINY, 1, 8)
    one, two = (model(inputs, training=True)["sequence_output"] for _ in range(2))
    assert not np.allclose(one, two)
    assert np.array_equal(outputs_of(model, inputs)[0], outputs_of(model, inputs)[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_keras_file_gives_the_same_model_back(tensors, tmp_path, dtype):
    model = build(TINY, tensors, dtype=dtype)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again, FNetBackbone)
    assert again.dtype_policy.name == dtype
    inputs = random_inputs(TINY, 2, 9)
    assert np.array_equal(outputs_of(model, inputs)[0], outputs_of(again, inputs)[0])


def test_a_clone_of_a_loaded_model_starts_from_random_weights():
    clone = keras.models.clone_model(FNetBackbone.from_preset("f_net_mini_en"))
    for name in ("token_embedding", "embedding_projection", "pooled_dense"):
        assert np.abs(keras.ops.convert_to_numpy(clone.get_layer(name).weights[0])).max() > 0
