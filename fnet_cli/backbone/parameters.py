"""Every parameter of an FNet, from its config alone: names, shapes, counts.

This one table is what the summary prints, what a weight file is checked against before a byte
of it is read, and what tells the loader where each tensor goes. Tests hold it against Keras.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fnet_cli.backbone.config import BackboneConfig

EMBEDDINGS_BLOCK = "embeddings"
POOLER_BLOCK = "pooler"
ENCODER_LAYERS = ("mixing_layer_norm", "intermediate_dense", "output_dense", "output_layer_norm")


@dataclass(frozen=True)
class Parameter:
    """One weight tensor: `name` within its layer, as Keras calls it, and its shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of scalars."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class LayerParameters:
    """One layer with weights.

    `path` is its Keras name, `f_net_layer_3/output_dense` for a layer inside an encoder layer.
    `output_shape` names the axes that depend on the input: B (batch) and S (sequence).
    """

    path: str
    block: str
    output_shape: tuple[str | int, ...]
    parameters: tuple[Parameter, ...]

    @property
    def size(self) -> int:
        """Number of scalars over all its parameters."""
        return sum(parameter.size for parameter in self.parameters)


def layer_table(config: BackboneConfig) -> list[LayerParameters]:
    """List the layers that have weights, in the order data flows through them."""
    hidden, inner = config.hidden_dim, config.intermediate_dim
    wide = ("B", "S", hidden)
    norm = (Parameter("gamma", (hidden,)), Parameter("beta", (hidden,)))

    def dense(rows: int, columns: int) -> tuple[Parameter, ...]:
        return Parameter("kernel", (rows, columns)), Parameter("bias", (columns,))

    def table(rows: int) -> tuple[Parameter, ...]:
        return (Parameter("embeddings", (rows, hidden)),)

    layers = [
        LayerParameters("token_embedding", EMBEDDINGS_BLOCK, wide, table(config.vocabulary_size)),
        LayerParameters(
            "position_embedding", EMBEDDINGS_BLOCK, wide, table(config.max_sequence_length)
        ),
        LayerParameters("segment_embedding", EMBEDDINGS_BLOCK, wide, table(config.num_segments)),
        LayerParameters("embeddings_layer_norm", EMBEDDINGS_BLOCK, wide, norm),
        LayerParameters("embedding_projection", EMBEDDINGS_BLOCK, wide, dense(hidden, hidden)),
    ]
    for index in range(config.num_layers):
        block = f"f_net_layer_{index}"
        shapes = {
            "mixing_layer_norm": (wide, norm),
            "intermediate_dense": (("B", "S", inner), dense(hidden, inner)),
            "output_dense": (wide, dense(inner, hidden)),
            "output_layer_norm": (wide, norm),
        }
        layers += [
            LayerParameters(f"{block}/{name}", block, *shapes[name]) for name in ENCODER_LAYERS
        ]
    pooler = LayerParameters("pooled_dense", POOLER_BLOCK, ("B", hidden), dense(hidden, hidden))
    return [*layers, pooler]


def parameter_count(config: BackboneConfig) -> int:
    """Total number of scalars of the model."""
    return sum(layer.size for layer in layer_table(config))
