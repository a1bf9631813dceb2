"""FNetBackbone: the model, with the API of `keras_hub.models.FNetBackbone`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import keras

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.embeddings import PositionEmbedding, check_length
from fnet_cli.backbone.encoder import FNetEncoder, gelu_approximate
from fnet_cli.backbone.normalization import AddNormalization, normalization_dtype

# Source: the original FNet code and checkpoints.
LAYER_NORM_EPSILON = 1e-12
INITIALIZER_STDDEV = 0.02


class _ClassProperty:
    """Read-only attribute of a class, computed by `getter(cls)`."""

    def __init__(self, getter: Any) -> None:
        self._getter = getter
        self.__doc__ = getter.__doc__

    def __get__(self, instance: object, owner: type) -> Any:
        return self._getter(owner)


_weights_come = ContextVar("weights_come", default=False)


@contextmanager
def weights_to_come() -> Iterator[None]:
    """Build models whose weights are all assigned afterwards; until then they are zeros.

    To draw 80 million random numbers takes most of a second.
    """
    token = _weights_come.set(True)
    try:
        yield
    finally:
        _weights_come.reset(token)


@keras.saving.register_keras_serializable(package="fnet_cli")
class LazyNormal(keras.initializers.RandomNormal):
    """RandomNormal, but for drawing nothing inside `weights_to_come`."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return zeros where the weights come later, and random numbers otherwise."""
        if _weights_come.get():
            return keras.ops.zeros(shape, dtype)
        return super().__call__(shape, dtype)


def _normal() -> keras.initializers.Initializer:
    kind = LazyNormal if _weights_come.get() else keras.initializers.RandomNormal
    return kind(stddev=INITIALIZER_STDDEV)


@keras.saving.register_keras_serializable(package="fnet_cli")
class FNetBackbone(keras.Model):
    """FNet encoder: token, position and segment embeddings, then Fourier encoder layers.

    `<pad>` is a token like any other and changes the result: FNet has no padding mask.

    Called with {"token_ids": (B, S) int, "segment_ids": (B, S) int}, it returns
    {"sequence_output": (B, S, H), "pooled_output": (B, H)} in the compute dtype of `dtype`;
    S may differ between calls, up to `max_sequence_length`, and ValueError is raised beyond it.

    Args:
        vocabulary_size: number of token ids.
        num_layers: number of encoder layers.
        hidden_dim: width H of embeddings, encoder and pooler.
        intermediate_dim: inner width of each feed-forward network.
        dropout: dropout rate of embeddings and encoder layers, in training only.
        max_sequence_length: number of positions.
        num_segments: number of segment ids.
        dtype: dtype policy, name or object; None takes Keras' global policy. Normalisation and
            mixing run in float32 under every half-precision policy.
        **kwargs: `name` and `trainable`.

    Source: Lee-Thorp et al. 2021, arXiv 2105.03824; KerasHub's FNetBackbone for the API.

    """

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        hidden_dim: int,
        intermediate_dim: int,
        dropout: float = 0.1,
        max_sequence_length: int = 512,
        num_segments: int = 4,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        config = BackboneConfig(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
            max_sequence_length=max_sequence_length,
            num_segments=num_segments,
        )
        policy = keras.dtype_policies.get(dtype)

        # === Functional model ===
        inputs = {
            name: keras.Input(shape=(None,), dtype="int32", name=name)
            for name in ("token_ids", "segment_ids")
        }
        x = _embed(inputs, config, policy)
        for index in range(num_layers):
            x = _encoder_layer(index, config, policy)(x)
        pooler = keras.layers.Dense(
            hidden_dim,
            kernel_initializer=_normal(),
            bias_initializer=_normal(),
            activation="tanh",
            dtype=policy,
            name="pooled_dense",
        )
        outputs = {"sequence_output": x, "pooled_output": pooler(x[:, 0, :])}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.dtype_policy = policy

        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.max_sequence_length = max_sequence_length
        self.num_segments = num_segments

    # After rows of several lengths TensorFlow keeps one graph for all, in which a length is not
    # known and its own error says little. So arrays are looked at before they go in.

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as `keras.Model.fit` does; ValueError on rows that are too long."""
        self._check_lengths(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does; ValueError on rows that are too long."""
        self._check_lengths(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Predict as `keras.Model.predict` does; ValueError on rows that are too long."""
        self._check_lengths(x)
        return super().predict(x, *args, **kwargs)

    def _check_lengths(self, x: Any) -> None:
        if isinstance(x, dict):
            for array in x.values():
                shape: Any = getattr(array, "shape", ())
                check_length(shape[1] if len(shape) == 2 else None, self.max_sequence_length)

    @property
    def token_embedding(self) -> keras.layers.Layer:
        """The token embedding layer; `token_embedding(x, reverse=True)` projects back to ids."""
        return self.get_layer("token_embedding")

    def first_position(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return what the first position alone tells, without computing the last layer's others.

        `inputs` as in a call; {"cls_output": (B, H), "pooled_output": (B, H)}, where the first
        is `sequence_output[:, 0]` of a call.
        """
        last = self.get_layer(f"f_net_layer_{self.num_layers - 1}")
        before = keras.Model(self.inputs, last.input)
        first = last.first_position(before(inputs, training=False))
        return {"cls_output": first, "pooled_output": self.get_layer("pooled_dense")(first)}

    @property
    def backbone_config(self) -> BackboneConfig:
        """The model's sizes as a plain value."""
        return BackboneConfig(
            **{name: getattr(self, name) for name in BackboneConfig.__dataclass_fields__}
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, serialised."""
        # Not chained to super(): a functional model's own config describes its graph.
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            **self.backbone_config.to_dict(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FNetBackbone:  # noqa: ARG003
        """Build a model, with fresh weights, from what `get_config` returned."""
        return cls(**{**config, "dtype": keras.dtype_policies.get(config.get("dtype"))})

    @_ClassProperty
    def presets(cls) -> dict[str, Any]:  # noqa: N805 - called with the class
        """Built-in presets by name: description, parameters, and where each comes from."""
        from fnet_cli.presets.registry import BUILTIN_PRESETS

        return {name: preset.to_dict() for name, preset in BUILTIN_PRESETS.items()}

    @classmethod
    def from_preset(
        cls,
        preset: str | os.PathLike[str],
        load_weights: bool = True,
        **kwargs: Any,
    ) -> FNetBackbone:
        """Load a model from a built-in preset name or a preset directory.

        Args:
            preset: a built-in name, a handle (`kaggle://`, `hf://`, the address of a mirror), or
                the path of a directory in KerasHub's or transformers' format. One that is not
                on this machine is pulled, unless FNET_OFFLINE is set.
            load_weights: whether to load the weights, or leave them freshly initialised.
            **kwargs: constructor arguments that override the preset's. One that changes the
                shape of a weight needs `load_weights=False`. Without `dtype` the model is of
                Keras' global policy, whatever dtype the preset was saved in.

        Raises PresetNotFoundError, UnsafePresetError or PresetError, and NetworkError,
        IntegrityError or OutputError where it has to be pulled. Nothing that the preset's
        files name is imported or run.

        """
        from fnet_cli.config import Settings
        from fnet_cli.presets.loading import load_backbone
        from fnet_cli.presets.pulling.events import ignore
        from fnet_cli.presets.resolving import resolve_preset

        found = resolve_preset(os.fspath(preset), Settings.from_env(os.environ), ignore)
        return load_backbone(found, cls, load_weights=load_weights, **kwargs)

    def save_to_preset(self, preset_dir: str | os.PathLike[str]) -> None:
        """Write config, metadata and weights to `preset_dir` in KerasHub's preset format.

        Files of those names are replaced, each in one step; others stay.
        """
        from fnet_cli.presets.loading import save_backbone

        save_backbone(self, Path(preset_dir))


def _embed(inputs: dict[str, Any], config: BackboneConfig, policy: Any) -> Any:
    """Return LayerNorm(token + position + segment), projected: (B, S, H)."""
    tokens = keras.layers.ReversibleEmbedding(
        config.vocabulary_size,
        config.hidden_dim,
        embeddings_initializer=_normal(),
        dtype=policy,
        name="token_embedding",
    )(inputs["token_ids"])
    positions = PositionEmbedding(
        config.max_sequence_length, initializer=_normal(), dtype=policy, name="position_embedding"
    )(tokens)
    segments = keras.layers.Embedding(
        config.num_segments,
        config.hidden_dim,
        embeddings_initializer=_normal(),
        dtype=policy,
        name="segment_embedding",
    )(inputs["segment_ids"])
    x = AddNormalization(
        epsilon=LAYER_NORM_EPSILON,
        dtype=normalization_dtype(policy),
        output_dtype=policy.compute_dtype,
        name="embeddings_layer_norm",
    )((tokens, positions, segments))
    x = keras.layers.Dense(
        config.hidden_dim,
        kernel_initializer=_normal(),
        bias_initializer=_normal(),
        dtype=policy,
        name="embedding_projection",
    )(x)
    return keras.layers.Dropout(config.dropout, dtype=policy, name="embeddings_dropout")(x)


def _encoder_layer(index: int, config: BackboneConfig, policy: Any) -> FNetEncoder:
    return FNetEncoder(
        intermediate_dim=config.intermediate_dim,
        activation=gelu_approximate,
        dropout=config.dropout,
        layer_norm_epsilon=LAYER_NORM_EPSILON,
        kernel_initializer=_normal(),
        bias_initializer=_normal(),
        dtype=policy,
        name=f"f_net_layer_{index}",
    )
