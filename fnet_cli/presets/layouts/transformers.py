"""Checkpoints of transformers' FNet models: `config.json` and safetensors.

FNetModel, FNetForPreTraining and the models with other heads, whose own weights are ignored.
The weight reader is imported where weights are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.constants import CONFIG_FILE, ENCODE_SETTINGS_FILE
from fnet_cli.errors import PresetError
from fnet_cli.presets.encode_settings import read_encode_settings, write_encode_settings
from fnet_cli.presets.layouts.base import PresetContent, WeightSource
from fnet_cli.presets.layouts.keras_config import check_parameter_count
from fnet_cli.presets.layouts.naming import FileNames, weight_files

SAFETENSORS_FILE = "model.safetensors"

_SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
# Names of one function, GELU in its tanh form.
_ACTIVATIONS = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
_EPSILON = 1e-12


class TransformersLayout:
    """A directory as transformers' `save_pretrained` writes it."""

    name = "transformers"
    vocabulary_file = "spiece.model"
    files = FileNames(
        companions=("spiece.model", ENCODE_SETTINGS_FILE),
        weights=SAFETENSORS_FILE,
        index="model.safetensors.index.json",
        shard=re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*\.safetensors"),
        pickle="pytorch_model.bin",
    )

    def claims(self, document: Mapping[str, Any]) -> bool:
        """Whether it is a transformers config, of whatever model."""
        return "model_type" in document and "registered_name" not in document

    def read_config(self, path: Path, document: Mapping[str, Any]) -> tuple[BackboneConfig, str]:
        """Return the sizes, and `float32`: transformers states a dtype in several ways."""
        if document["model_type"] != "fnet":
            raise PresetError(
                f"{path}: is a model of type {document['model_type']!r:.80}, not fnet"
            )
        missing = sorted(name for name in _SIZES.values() if name not in document)
        if missing:
            raise PresetError(f"{path}: lacks {missing[0]}")
        if document.get("hidden_act", _ACTIVATIONS[0]) not in _ACTIVATIONS:
            raise PresetError(
                f"{path}: activation {document['hidden_act']!r:.80} is not supported",
                hint=f"FNet's is {_ACTIVATIONS[0]}",
            )
        if document.get("layer_norm_eps", _EPSILON) != _EPSILON:
            raise PresetError(
                f"{path}: layer_norm_eps {document['layer_norm_eps']!r:.80} is not "
                f"supported, FNet's is {_EPSILON}"
            )
        try:
            sizes = BackboneConfig(**{ours: document[theirs] for ours, theirs in _SIZES.items()})
        except ValueError as error:
            raise PresetError(f"{path}: {error}") from error
        check_parameter_count(path, sizes)
        return sizes, "float32"

    def is_fnet(self, document: Mapping[str, Any]) -> bool:
        """Whether it is an FNet, with or without a head."""
        return bool(document["model_type"] == "fnet")

    def check_companions(self, directory: Path, config: BackboneConfig) -> None:
        """Check the encode settings; the vocabulary is checked when it is read."""
        read_encode_settings(directory, config)

    def weight_files(self, directory: Path, *, allow_pickle: bool = False) -> list[Path]:
        """List the safetensors files, or else the pickle, where that is allowed."""
        return weight_files(directory, self.files, allow_pickle=allow_pickle)

    @contextmanager
    def open_weights(
        self, directory: Path, config: BackboneConfig, *, allow_pickle: bool = False
    ) -> Iterator[WeightSource]:
        """Check the headers of all files against `config`, before any tensor is read."""
        from fnet_cli.presets.layouts.transformers_weights import StateDict

        paths = self.weight_files(directory, allow_pickle=allow_pickle)
        yield StateDict(paths, directory, config)

    def write(self, directory: Path, content: PresetContent) -> None:
        """Write config.json, model.safetensors and, where there is one, spiece.model."""
        from safetensors.numpy import save_file

        from fnet_cli.presets.layouts.transformers_weights import to_state_dict

        sizes = content.config.to_dict()
        document = {
            "architectures": ["FNetModel"],
            "model_type": "fnet",
            **{theirs: sizes[ours] for ours, theirs in _SIZES.items()},
            "hidden_act": _ACTIVATIONS[0],
            "layer_norm_eps": _EPSILON,
            "tpu_short_seq_length": content.config.max_sequence_length,
        }
        state = to_state_dict(content.config, content.tensors)
        save_file(state, directory / SAFETENSORS_FILE, metadata={"format": "pt"})
        if content.vocabulary is not None:
            (directory / self.vocabulary_file).write_bytes(content.vocabulary)
        write_encode_settings(directory, content.encode_settings)
        (directory / CONFIG_FILE).write_text(json.dumps(document, indent=2), encoding="utf-8")
