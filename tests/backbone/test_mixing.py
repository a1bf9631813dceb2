"""Fourier mixing: every method, what it costs in digits, and which one is taken."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fnet_cli.backbone import mixing
from fnet_cli.backbone.mixing import (
    Mixing,
    choose_mixing,
    first_position,
    fourier_mixing,
    has_matrix_units,
    mixing_scope,
)

METHODS = ["fft", "rfft", "matmul"]
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40))
# Lengths of one, two, odd and even, on both axes.
SMALL_SHAPES = [(1, 1, 1), (2, 1, 5), (2, 5, 1), (1, 2, 2), (3, 2, 7), (2, 6, 4), (2, 7, 9)]
over_methods = pytest.mark.parametrize("method", METHODS)
over_shapes = pytest.mark.parametrize("shape", SMALL_SHAPES, ids=str)


def random(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def truth(x: np.ndarray) -> np.ndarray:
    return np.fft.fft2(x).real


def mix(x: np.ndarray, dtype: str, method: str | None = None) -> np.ndarray:
    return keras.ops.convert_to_numpy(fourier_mixing(tf.constant(x, dtype), method))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype("f8"), b.astype("f8")  # or its own rounding is more than what is looked for
    return float(np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


# --- Numbers --------------------------------------------------------------------------------


@over_methods
@settings(max_examples=40, deadline=None)
@given(shape=SHAPES)
def test_mixing_float64_is_the_real_part_of_the_transform(method, shape):
    x = random(shape)
    mixed = mix(x, "float64", method)
    assert mixed.dtype == np.float64
    assert mixed == pytest.approx(truth(x), abs=1e-11 * math.sqrt(x[0].size))


@over_methods
@settings(max_examples=40, deadline=None)
@given(shape=SHAPES)
def test_mixing_float32_is_the_real_part_of_the_transform(method, shape):
    x = random(shape).astype(np.float32)
    mixed = mix(x, "float32", method)
    assert mixed.dtype == np.float32
    assert mixed == pytest.approx(truth(x.astype("f8")), abs=4e-6 * math.sqrt(x[0].size))


@over_methods
@pytest.mark.parametrize("length", [128, 509, 512])
def test_mixing_float32_long_rows_keeps_its_digits(method, length):
    x = random((1, length, 256)).astype(np.float32)
    assert mix(x, "float32", method) == pytest.approx(truth(x.astype("f8")), abs=4e-6 * 362)


@over_methods
def test_mixing_an_impulse_gives_ones(method):
    impulse = np.zeros((1, 4, 6))
    impulse[0, 0, 0] = 1
    assert mix(impulse, "float32", method) == pytest.approx(1, abs=1e-6)


@over_methods
def test_mixing_treats_every_row_of_a_batch_by_itself(method):
    x = random((3, 6, 8))
    alone = [mix(row[None], "float64", method) for row in x]
    assert mix(x, "float64", method) == pytest.approx(np.concatenate(alone), abs=1e-12)


# --- Half precision -------------------------------------------------------------------------


@over_methods
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixing_half_precision_sums_in_float32(dtype, method):
    # 512 * 256 ones sum to 131,072, over float16's 65,504 and exact in float32.
    mixed = mix(np.ones((1, 512, 256)), dtype, method)
    assert mixed.dtype == np.float32
    assert np.isfinite(mixed).all()
    assert mixed[0, 0, 0] == 512 * 256


@pytest.mark.parametrize(("method", "limit"), [("fft", 1e-9), ("rfft", 1e-9), ("matmul", 1e-4)])
@pytest.mark.parametrize("shape", [(2, 7, 16), (2, 128, 256)], ids=str)
def test_mixing_bfloat16_keeps_its_direction(method, limit, shape):
    x = keras.ops.convert_to_numpy(keras.ops.cast(random(shape), "bfloat16")).astype("f8")
    assert cosine(mix(x, "bfloat16", method), truth(x)) >= 1 - limit


# --- Gradients ------------------------------------------------------------------------------


@over_methods
@over_shapes
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_the_gradient_of_mixing_is_the_mixing_of_the_gradient(method, shape, graph):
    # The mixing is a symmetric linear map.
    weights = random(shape, 2)

    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(weights * fourier_mixing(x, method))
        return tape.gradient(loss, x)

    run = tf.function(gradient, autograph=False) if graph else gradient
    assert run(tf.constant(random(shape))).numpy() == pytest.approx(truth(weights), abs=1e-11)


# --- Graphs ---------------------------------------------------------------------------------


@over_methods
@pytest.mark.parametrize("hidden", [1, 2, 7, 16])
def test_one_open_graph_mixes_rows_of_every_length(method, hidden):
    mixed = tf.function(
        lambda x: fourier_mixing(x, method),
        input_signature=[tf.TensorSpec((None, None, hidden))],
        autograph=False,
    )
    for batch, length in [(1, 1), (3, 2), (2, 5), (1, 12)]:
        x = random((batch, length, hidden))
        assert mixed(tf.constant(x, "float32")).numpy() == pytest.approx(truth(x), abs=1e-4)


@over_methods
def test_an_open_graph_knows_the_hidden_size_of_a_mixing(method):
    mixed = tf.function(lambda x: fourier_mixing(x, method), autograph=False)
    traced = mixed.get_concrete_function(tf.TensorSpec((None, None, 6)))
    assert traced.structured_outputs.shape[2] == 6


@over_methods
@over_shapes
def test_a_graph_of_fixed_shapes_mixes_as_without(method, shape):
    mixed = tf.function(lambda x: fourier_mixing(x, method), autograph=False)
    x = random(shape)
    assert mixed(tf.constant(x)).numpy() == pytest.approx(mix(x, "float64", method), abs=1e-12)


# --- First position -------------------------------------------------------------------------


@over_shapes
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_first_position_is_the_first_of_the_mixing(shape, dtype):
    x = random(shape)
    made = first_position(tf.constant(x, dtype)).numpy()
    assert made.dtype == dtype
    assert made == pytest.approx(truth(x)[:, 0], abs=1e-11 if dtype == "float64" else 1e-4)


def test_first_position_of_half_precision_sums_in_float32():
    made = first_position(tf.ones((1, 512, 256), "float16"))
    assert made.dtype == "float32"
    assert made.numpy()[0, 0] == 512 * 256


# --- Which method ---------------------------------------------------------------------------


def method_taken(dtype: str = "float32", method: str | None = None) -> str:
    """Return the method whose assembly `transformed` hands out."""
    _, assemble = mixing.transformed(tf.ones((1, 4, 6), dtype), method)
    return assemble.__name__.strip("_").removesuffix("_assemble")


@over_methods
def test_the_scope_chooses_the_method(method):
    with mixing_scope(method):
        assert method_taken() == method
    assert method_taken() == "rfft"


def test_a_method_that_is_given_wins_over_the_scope():
    with mixing_scope("fft"):
        assert method_taken(method="matmul") == "matmul"


def test_an_inner_scope_ends_where_the_outer_goes_on():
    with mixing_scope(Mixing.FFT):
        with mixing_scope(Mixing.MATMUL):
            assert method_taken() == "matmul"
        assert method_taken() == "fft"


def test_an_error_ends_the_scope():
    with pytest.raises(KeyError), mixing_scope("fft"):
        raise KeyError
    assert method_taken() == "rfft"


def test_an_unknown_method_of_a_scope_is_refused_and_changes_nothing():
    with mixing_scope("fft"):
        with pytest.raises(ValueError, match="dct"), mixing_scope("dct"):
            pass
        assert method_taken() == "fft"


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="dct"):
        fourier_mixing(tf.ones((1, 2, 2)), "dct")


@pytest.mark.parametrize(
    ("dtype", "matrix_units", "wanted"),
    [
        ("float64", True, "rfft"), ("float32", True, "rfft"), ("float16", True, "rfft"),
        ("bfloat16", True, "matmul"),
        ("float64", False, "rfft"), ("float32", False, "rfft"), ("bfloat16", False, "rfft"),
    ],
)  # fmt: skip
def test_auto_is_rfft_but_for_bfloat16_on_matrix_units(dtype, matrix_units, wanted):
    assert choose_mixing(dtype, matrix_units=matrix_units) == wanted


@pytest.mark.parametrize(("matrix_units", "wanted"), [(True, "matmul"), (False, "rfft")])
def test_auto_looks_at_the_device(monkeypatch, matrix_units, wanted):
    monkeypatch.setattr(mixing, "has_matrix_units", lambda device: matrix_units)
    assert method_taken("bfloat16") == wanted
    assert method_taken("float32") == "rfft"


@pytest.mark.parametrize(
    ("device", "features", "wanted"),
    [("cpu", {"avx2", "amx_bf16"}, True), ("cpu", {"avx2"}, False), ("gpu:0", set(), True)],
)
def test_gpus_and_cpus_with_amx_have_matrix_units(monkeypatch, device, features, wanted):
    monkeypatch.setattr(mixing, "_cpu_features", lambda: frozenset(features))
    assert has_matrix_units(device) is wanted
