"""fused(): one kernel in a TensorFlow graph of fixed shapes, the function itself elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from fnet_cli.backbone import mixing
from fnet_cli.backbone.fusing import fused
from fnet_cli.backbone.normalization import AddNormalization

FIXED = tf.TensorSpec((2, 3))
OPEN = tf.TensorSpec((None, 3))


def scaled_sum(pair: tuple[tf.Tensor, tf.Tensor], factor: float) -> tf.Tensor:
    return (pair[0] + pair[1]) * factor


def fused_sum(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return fused(scaled_sum, (a, b), 2.0)


def kernels(function: Callable[..., Any], *shapes: tf.TensorSpec) -> int:
    """Return how many functions of the graph of `function` have to go through XLA."""
    graph = tf.function(function, autograph=False).get_concrete_function(*shapes).graph
    library = graph.as_graph_def().library.function
    return sum(function.attr["_XlaMustCompile"].b for function in library)


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [((FIXED, FIXED), 1), ((OPEN, OPEN), 0), ((FIXED, OPEN), 0)],
    ids=["fixed", "open", "one open"],
)
def test_only_a_graph_of_fixed_shapes_is_compiled(shapes, wanted):
    assert kernels(fused_sum, *shapes) == wanted


# The other kernel of matmul folds its input.
@pytest.mark.parametrize(("method", "wanted"), [("fft", 1), ("rfft", 1), ("matmul", 2)])
@pytest.mark.parametrize("length", [4, None], ids=["fixed", "open"])
def test_what_follows_the_transform_is_one_kernel(method, wanted, length):
    layer = AddNormalization()
    layer.build((2, length, 6))

    def normalised_mixing(x: tf.Tensor) -> tf.Tensor:
        parts, assemble = mixing.transformed(x, method)
        return layer.after(assemble, x, parts)

    made = kernels(normalised_mixing, tf.TensorSpec((2, length, 6)))
    assert made == (wanted if length else 0)


@pytest.mark.parametrize("shape", [FIXED, OPEN], ids=["fixed", "open"])
def test_a_graph_gives_the_functions_own_result(shape):
    traced = tf.function(fused_sum, input_signature=[shape, shape], autograph=False)
    assert (traced(tf.ones((2, 3)), tf.ones((2, 3))).numpy() == 4).all()


def test_eagerly_the_function_itself_is_called():
    eager = []

    def record(x: tf.Tensor) -> tf.Tensor:
        eager.append(tf.executing_eagerly())
        return x + 1

    assert fused(record, tf.constant(1.0)).numpy() == 2
    assert eager == [True]


def test_another_value_of_an_argument_is_another_kernel():
    traced = tf.function(
        lambda x: [fused(scaled_sum, (x, x), factor) for factor in (1.0, 3.0)], autograph=False
    )
    assert [float(made) for made in traced(tf.constant(1.0))] == [2, 6]


def test_a_gradient_goes_through_the_kernel_to_variables_too():
    variable = tf.Variable(3.0)

    @tf.function(autograph=False)
    def gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = fused(tf.multiply, x, variable)
        return tape.gradient(made, [x, variable])

    assert [float(gradient) for gradient in gradients(tf.constant(5.0))] == [3, 5]
