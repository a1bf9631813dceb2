"""AddNormalization: Keras' layer normalisation of a sum, in every kind of graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import layer_norm

from fnet_cli.backbone import mixing
from fnet_cli.backbone.normalization import AddNormalization, normalization_dtype

B, S, H = 2, 5, 8
# A sub-layer's input and output, and positions, which are the same for every row.
SHAPES = [(B, S, H), (B, S, H), (1, S, H)]
over_runs = pytest.mark.parametrize("run", ["eager", "fixed", "open"])


def random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


TERMS = [random(shape, seed) for seed, shape in enumerate(SHAPES)]
GAMMA, BETA = 1 + 0.3 * random((H,), 10), 0.3 * random((H,), 11)
WEIGHTS = random((B, S, H), 12)


def normalization(**arguments: Any) -> AddNormalization:
    layer = AddNormalization(**{"epsilon": 1e-3, **arguments})
    layer.build((B, S, H))
    layer.set_weights([GAMMA, BETA])
    return layer


def run_as(run: str, function: Callable[..., Any], *tensors: tf.Tensor) -> Any:
    """Call `function`, as it is or as a graph whose batch and length are fixed or open."""
    if run == "eager":
        return function(*tensors)
    signature = [
        tf.TensorSpec((None, None, H) if run == "open" else tensor.shape, tensor.dtype)
        for tensor in tensors
    ]
    return tf.function(function, input_signature=signature, autograph=False)(*tensors)


def normalise(layer: AddNormalization, terms: list[np.ndarray], dtype: str, run: str) -> Any:
    tensors = [tf.constant(term, dtype) for term in terms]
    return run_as(run, lambda *given: layer(given), *tensors)


# --- Numbers --------------------------------------------------------------------------------


@over_runs
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_result_is_keras_layer_normalization_of_the_sum(run, count):
    keras_layer = keras.layers.LayerNormalization(epsilon=1e-3)
    keras_layer.build((B, S, H))
    keras_layer.set_weights([GAMMA, BETA])
    wanted = keras_layer(sum(TERMS[:count]).astype("f4")).numpy()
    made = normalise(normalization(), TERMS[:count], "float32", run)
    assert made.numpy() == pytest.approx(wanted, abs=1e-5)


def test_one_tensor_is_a_sum_of_one():
    x = tf.constant(TERMS[0], "float32")
    layer = normalization()
    assert np.array_equal(layer(x), layer((x,)))


@over_runs
def test_float64_is_computed_in_float64(run):
    made = normalise(normalization(dtype="float64", epsilon=1e-12), TERMS, "float64", run)
    assert made.dtype == "float64"
    assert made.numpy() == pytest.approx(layer_norm(sum(TERMS), GAMMA, BETA), abs=1e-12)


@over_runs
@pytest.mark.parametrize("epsilon", [1e-12, 0.5])
def test_epsilon_is_added_to_the_variance(run, epsilon):
    x = TERMS[0]
    spread = np.sqrt(x.var(-1, keepdims=True) + epsilon)
    wanted = (x - x.mean(-1, keepdims=True)) / spread * GAMMA + BETA
    made = normalise(normalization(epsilon=epsilon), [x], "float32", run)
    assert made.numpy() == pytest.approx(wanted, abs=1e-5)


@over_runs
def test_values_far_from_zero_keep_their_digits(run):
    # A variance as mean(x^2) - mean(x)^2 would have none left.
    x = TERMS[0] + 1000
    wanted = layer_norm(x.astype("f4").astype("f8"), GAMMA, BETA)
    made = normalise(normalization(epsilon=1e-12), [x], "float32", run)
    assert made.numpy() == pytest.approx(wanted, abs=5e-4)


# --- Dtypes ---------------------------------------------------------------------------------


@over_runs
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_terms_of_half_precision_are_summed_in_float32(run, dtype):
    terms = [tf.cast(tf.constant(term), dtype).numpy().astype("f8") for term in TERMS]
    made = normalise(normalization(dtype="float32", epsilon=1e-12), terms, dtype, run)
    assert made.dtype == "float32"
    assert made.numpy() == pytest.approx(layer_norm(sum(terms), GAMMA, BETA), abs=1e-5)


@over_runs
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_result_has_the_output_dtype(run, dtype):
    layer = normalization(dtype="float32", output_dtype=dtype)
    made = normalise(layer, TERMS, "float32", run)
    wanted = normalise(normalization(dtype="float32"), TERMS, "float32", "eager")
    assert made.dtype == dtype
    # A last digit may round the other way.
    assert keras.ops.cast(made, "float64").numpy() == pytest.approx(wanted.numpy(), rel=2**-7)


@pytest.mark.parametrize("output", [None, "bfloat16"])
def test_a_symbolic_result_has_the_first_terms_shape_and_the_output_dtype(output):
    inputs = [keras.Input((None, H), dtype="float16"), keras.Input((1, H), dtype="float16")]
    made = AddNormalization(dtype="float32", output_dtype=output)(inputs)
    assert (made.shape, made.dtype) == ((None, None, H), output or "float32")


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [("float16", "float32"), ("mixed_bfloat16", "float32"), ("float64", "float64")],
)
def test_a_layer_of_half_precision_normalises_in_float32(policy, wanted):
    made = normalization_dtype(keras.DTypePolicy(policy))
    assert keras.dtype_policies.get(made).compute_dtype == wanted


# --- Gradients ------------------------------------------------------------------------------


def gradients_by_hand(x: np.ndarray) -> list[np.ndarray]:
    """Return d sum(WEIGHTS * norm(x + mixing(x))) by x, gamma and beta, in float64."""
    total = x + np.fft.fft2(x).real
    spread = np.sqrt(total.var(-1, keepdims=True) + 1e-3)
    unit = (total - total.mean(-1, keepdims=True)) / spread
    scaled = WEIGHTS * GAMMA
    along = scaled.mean(-1, keepdims=True) + unit * (scaled * unit).mean(-1, keepdims=True)
    of_total = (scaled - along) / spread
    of_x = of_total + np.fft.fft2(of_total).real
    return [of_x, (WEIGHTS * unit).sum((0, 1)), WEIGHTS.sum((0, 1))]


@over_runs
@pytest.mark.parametrize("method", ["fft", "rfft", "matmul"])
@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-11), ("float32", 1e-4)])
def test_gradients_of_a_normalised_mixing_equal_those_by_hand(run, method, dtype, limit):
    layer = normalization(dtype=dtype)

    def gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            parts, assemble = mixing.transformed(x, method)
            loss = tf.reduce_sum(tf.constant(WEIGHTS, dtype) * layer.after(assemble, x, parts))
        return tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

    made = run_as(run, gradients, tf.constant(TERMS[0], dtype))
    for gradient, wanted in zip(made, gradients_by_hand(TERMS[0]), strict=True):
        assert gradient.numpy() == pytest.approx(wanted, abs=limit)


# --- Saving ---------------------------------------------------------------------------------


def test_the_layer_is_rebuilt_from_its_config():
    layer = AddNormalization(epsilon=0.1, dtype="float32", output_dtype="float16", name="norm")
    again = AddNormalization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.epsilon, again.output_dtype, again.name) == (0.1, "float16", "norm")


def test_a_keras_file_gives_the_same_layer_back(tmp_path):
    inputs = [keras.Input((None, H)), keras.Input((None, H))]
    layer = normalization(output_dtype="float16")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    terms = [term.astype("f4") for term in TERMS[:2]]
    assert np.array_equal(model(terms), again(terms))
    assert again(terms).dtype == "float16"
