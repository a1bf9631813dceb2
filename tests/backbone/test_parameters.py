"""The parameter table agrees with Keras, with the published counts, and refuses odd configs."""

from __future__ import annotations

import pytest
from builders import TINY

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import layer_table, parameter_count
from fnet_cli.presets.registry import BUILTIN_PRESETS


@pytest.mark.parametrize(
    ("name", "published"), [("f_net_base_en", 82_861_056), ("f_net_large_en", 236_945_408)]
)
def test_counts_equal_the_published_ones(name, published):
    assert parameter_count(BUILTIN_PRESETS[name].config) == published


def test_every_layer_counts_what_keras_counts():
    from fnet_cli import FNetBackbone

    model = FNetBackbone(**TINY.to_dict())
    for layer in layer_table(TINY):
        outer, _, inner = layer.path.partition("/")
        keras_layer = model.get_layer(outer)
        counted = getattr(keras_layer, f"_{inner}") if inner else keras_layer
        assert layer.size == counted.count_params(), layer.path
    assert parameter_count(TINY) == model.count_params()


def test_the_table_names_parameters_as_keras_does():
    from fnet_cli import FNetBackbone

    model = FNetBackbone(**TINY.to_dict())
    table = {
        f"{layer.path}/{p.name}": p.shape for layer in layer_table(TINY) for p in layer.parameters
    }
    assert {weight.path: tuple(weight.shape) for weight in model.weights} == table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size must be between 1 and"),
        ({"num_layers": -1}, "num_layers must be between"),
        ({"hidden_dim": 10**9}, "hidden_dim must be between"),
        ({"hidden_dim": 16.0}, "hidden_dim must be an integer"),
        ({"num_segments": True}, "num_segments must be an integer"),
        ({"max_sequence_length": "512"}, "max_sequence_length must be an integer"),
        ({"dropout": float("nan")}, "dropout must be in"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"dropout": None}, "dropout must be a number"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        BackboneConfig(**{**TINY.to_dict(), **change})
