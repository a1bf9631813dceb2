"""Presets made without Keras: random weights, configs, vocabularies."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import layer_table
from fnet_cli.constants import CONFIG_FILE, METADATA_FILE, VOCABULARY_FILE, WEIGHTS_FILE
from fnet_cli.presets.layouts import keras_config
from fnet_cli.presets.layouts.keras_h5 import write_weights

TINY = BackboneConfig(60, 2, 32, 64, max_sequence_length=40)


def random_tensors(config: BackboneConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Return float32 weights by parameter path.

    Kernels, biases and embeddings are as FNet initialises them, a standard deviation of 0.02;
    normalisations are a little off one and zero, so that both parameters matter.
    """
    rng = np.random.default_rng(seed)
    center_and_spread = {"gamma": (1.0, 0.05), "beta": (0.0, 0.05)}
    tensors = {}
    for layer in layer_table(config):
        for parameter in layer.parameters:
            center, spread = center_and_spread.get(parameter.name, (0.0, 0.02))
            values = center + spread * rng.standard_normal(parameter.shape)
            tensors[f"{layer.path}/{parameter.name}"] = values.astype(np.float32)
    return tensors


def write_preset(
    directory: Path,
    config: BackboneConfig = TINY,
    tensors: Mapping[str, np.ndarray] | None = None,
    dtype: str = "float32",
) -> dict[str, np.ndarray]:
    """Write a preset in KerasHub's format and return its weights."""
    tensors = dict(tensors or random_tensors(config))
    directory.mkdir(parents=True, exist_ok=True)
    write_weights(directory / WEIGHTS_FILE, config, tensors)
    write_config(directory, config, dtype)
    return tensors


def write_config(
    directory: Path, config: BackboneConfig = TINY, dtype: str = "float32", **changes: Any
) -> None:
    """Write `config.json` and `metadata.json`; `changes` replace top-level keys of the config."""
    document = keras_config.backbone_document(config, dtype, "f_net_backbone")
    (directory / CONFIG_FILE).write_text(json.dumps({**document, **changes}))
    metadata = keras_config.metadata_document(config)
    (directory / METADATA_FILE).write_text(json.dumps(metadata))


def vocabulary(pieces: Sequence[str] = ("[CLS]", "[SEP]", "[MASK]"), **options: Any) -> bytes:
    """Train a tiny sentencepiece model with these special pieces; `options` are the trainer's.

    Ids are placed by pad_id, unk_id, bos_id and eos_id, their pieces named by bos_piece and such.
    """
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox", "jumped over the lazy dog"] * 20),
        model_writer=model,
        vocab_size=50,
        hard_vocab_limit=False,
        pad_piece="<pad>",
        unk_piece="<unk>",
        control_symbols=list(pieces),
        minloglevel=2,
        **{"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": 3, **options},
    )
    return model.getvalue()


def add_vocabulary(directory: Path, model: bytes) -> Path:
    """Put a vocabulary where a preset has it."""
    path = directory / VOCABULARY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model)
    return path
