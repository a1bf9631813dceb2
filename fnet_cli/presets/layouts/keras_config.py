"""KerasHub's `config.json` and `metadata.json`, read as data and never deserialised as objects."""

from __future__ import annotations

import importlib.metadata
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.constants import (
    MAX_PARAMETERS,
    PREPROCESSOR_CONFIG_FILE,
    TOKENIZER_CONFIG_FILE,
    __version__,
)
from fnet_cli.errors import PresetError, UnsafePresetError

REGISTERED_NAMES = ("keras_hub>FNetBackbone", "keras_nlp>FNetBackbone")
TOKENIZER_NAMES = ("keras_hub>FNetTokenizer", "keras_nlp>FNetTokenizer")
_PREPROCESSOR_NAME = re.compile(r"keras_(?:hub|nlp)>FNet[A-Za-z]*Preprocessor")
DTYPE_POLICIES = (
    "float32",
    "bfloat16",
    "float16",
    "mixed_bfloat16",
    "mixed_float16",
    "float64",
)
_SIZES = tuple(BackboneConfig.__dataclass_fields__)
_IGNORED = ("name", "trainable")


def parse_backbone_config(path: Path, document: Mapping[str, Any]) -> tuple[BackboneConfig, str]:
    """Return the sizes in a backbone's `config.json`, and the name of its dtype policy.

    `document` is the content of `path`. Accepts the registered names of KerasHub and KerasNLP.
    Raises UnsafePresetError for any other class, and PresetError for a missing, unknown or
    impossible setting.
    """
    registered = document.get("registered_name")
    if registered not in REGISTERED_NAMES:
        raise UnsafePresetError(
            f"{path}: describes {registered!r:.80}, not an FNetBackbone",
            hint=f"only {' and '.join(REGISTERED_NAMES)} are loaded",
        )
    config = document.get("config")
    if not isinstance(config, dict):
        raise PresetError(f"{path}: has no config object")
    unknown = sorted(set(config) - {*_SIZES, *_IGNORED, "dtype"})
    if unknown:
        raise PresetError(f"{path}: unknown setting {unknown[0]!r:.80}")
    # Defaults are for callers of the constructor. A file that leaves a size out is damaged.
    missing = sorted(set(_SIZES) - set(config))
    if missing:
        raise PresetError(f"{path}: lacks {missing[0]}")
    try:
        sizes = BackboneConfig(**{name: config[name] for name in _SIZES})
    except ValueError as error:
        raise PresetError(f"{path}: {error}") from error
    check_parameter_count(path, sizes)
    return sizes, _dtype_name(config.get("dtype"), path)


def check_parameter_count(path: Path, sizes: BackboneConfig) -> None:
    """Raise UnsafePresetError where `sizes`, read from `path`, are those of a giant."""
    if parameter_count(sizes) > MAX_PARAMETERS:
        raise UnsafePresetError(
            f"{path}: describes {parameter_count(sizes):,} parameters, "
            f"over the limit of {MAX_PARAMETERS:,}"
        )


def _dtype_name(value: object, path: Path) -> str:
    """Return the policy's name from its serialised object, or from the bare name of old files."""
    if isinstance(value, dict):
        if value.get("class_name") != "DTypePolicy" or value.get("module") != "keras":
            raise UnsafePresetError(f"{path}: dtype is a {value.get('class_name')!r:.80}")
        inner = value.get("config")
        value = inner.get("name") if isinstance(inner, dict) else None
    if value is None:
        return "float32"
    if value not in DTYPE_POLICIES:
        raise PresetError(
            f"{path}: dtype {value!r:.80} is not supported", hint=f"use {', '.join(DTYPE_POLICIES)}"
        )
    return str(value)


def check_tokenizer(path: Path, document: Mapping[str, Any]) -> None:
    """Raise UnsafePresetError where `tokenizer.json` describes anything but FNet's tokenizer.

    Its `proto` would be a sentencepiece model inside the config, in place of the file that is
    checked; KerasHub writes null.
    """
    if document.get("registered_name") not in TOKENIZER_NAMES:
        raise UnsafePresetError(
            f"{path}: describes {document.get('registered_name')!r:.80}, not an FNetTokenizer"
        )
    config = document.get("config")
    if not isinstance(config, dict) or config.get("proto") is not None:
        raise UnsafePresetError(f"{path}: carries a vocabulary of its own in proto")


def check_preprocessor(path: Path, document: Mapping[str, Any]) -> None:
    """Raise UnsafePresetError where `preprocessor.json` is not of one of FNet's preprocessors."""
    name = document.get("registered_name")
    if not isinstance(name, str) or not _PREPROCESSOR_NAME.fullmatch(name):
        raise UnsafePresetError(f"{path}: describes {name!r:.80}, not a preprocessor of FNet")
    config = document.get("config")
    tokenizer = config.get("tokenizer") if isinstance(config, dict) else None
    if tokenizer is not None:
        if not isinstance(tokenizer, dict):
            raise UnsafePresetError(f"{path}: its tokenizer is no object")
        check_tokenizer(path, tokenizer)


def backbone_document(config: BackboneConfig, dtype: str, name: str) -> dict[str, Any]:
    """Return the `config.json` that KerasHub writes for such a backbone."""
    settings = {
        "name": name,
        "trainable": True,
        "dtype": _dtype_policy(dtype),
        **config.to_dict(),
    }
    return _keras_object("f_net_backbone", "FNetBackbone", settings)


def tokenizer_document() -> dict[str, Any]:
    """Return the `tokenizer.json` that KerasHub writes for an FNetTokenizer."""
    settings = {
        "name": "f_net_tokenizer",
        "trainable": True,
        "dtype": _dtype_policy("int32"),
        "config_file": TOKENIZER_CONFIG_FILE,
        "proto": None,
        "sequence_length": None,
        "add_bos": False,
        "add_eos": False,
    }
    return _keras_object("f_net_tokenizer", "FNetTokenizer", settings)


def preprocessor_document(sequence_length: int) -> dict[str, Any]:
    """Return the `preprocessor.json` that KerasHub writes for its text classifier."""
    settings = {
        "name": "f_net_text_classifier_preprocessor",
        "trainable": True,
        "dtype": _dtype_policy("float32"),
        "tokenizer": tokenizer_document(),
        "config_file": PREPROCESSOR_CONFIG_FILE,
        "sequence_length": sequence_length,
        "truncate": "round_robin",
    }
    return _keras_object(
        "f_net_text_classifier_preprocessor", "FNetTextClassifierPreprocessor", settings
    )


def metadata_document(
    config: BackboneConfig, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a `metadata.json` that KerasHub accepts; `extra` replaces or adds keys."""
    return {
        "keras_version": importlib.metadata.version("keras"),
        "fnet_cli_version": __version__,
        "parameter_count": parameter_count(config),
        "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S"),
        "tasks": [],
        **(extra or {}),
    }


def _keras_object(module: str, class_name: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": f"keras_hub.src.models.f_net.{module}",
        "class_name": class_name,
        "config": settings,
        "registered_name": f"keras_hub>{class_name}",
    }


def _dtype_policy(name: str) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": name},
        "registered_name": None,
    }
