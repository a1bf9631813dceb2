"""Learned position embeddings."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def check_length(length: object, limit: int) -> None:
    """Raise ValueError for a row length over `limit`; one that is not known yet passes."""
    if isinstance(length, int) and length > limit:
        raise ValueError(
            f"the input has {length} tokens a row, but this model has positions for "
            f"{limit} (max_sequence_length); shorten the rows"
        )


@keras.saving.register_keras_serializable(package="fnet_cli")
class PositionEmbedding(keras.layers.Layer):
    """The embedding of each position of its input, to be added to it: (1, S, H).

    Args:
        sequence_length: number of positions that have an embedding.
        initializer: initializer of the (sequence_length, H) table.
        **kwargs: `name`, `dtype`, `trainable`, for `keras.layers.Layer`.

    Raises ValueError on inputs that are longer than `sequence_length`.

    """

    def __init__(
        self,
        sequence_length: int,
        initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sequence_length = sequence_length
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the table for inputs of (B, S, H)."""
        self.position_embeddings = self.add_weight(
            name="embeddings",
            shape=(self.sequence_length, input_shape[-1]),
            initializer=self.initializer,
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the first S rows of the table for `inputs` (B, S, H)."""
        # Known while tracing with a fixed length or running eagerly. A graph with an open length
        # stops one step later, where the sum of the embeddings does not broadcast.
        check_length(inputs.shape[1], self.sequence_length)
        table = ops.convert_to_tensor(self.position_embeddings)
        table = ops.cast(table, self.compute_dtype)
        return ops.expand_dims(table[: ops.shape(inputs)[1]], 0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return (1, S, H)."""
        return (1, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, serialised."""
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "initializer": keras.initializers.serialize(self.initializer),
        }
