"""KerasHub's preset directories. The weight reader is imported where weights are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.constants import (
    CONFIG_FILE,
    ENCODE_SETTINGS_FILE,
    METADATA_FILE,
    PREPROCESSOR_CONFIG_FILE,
    SHARDED_WEIGHTS_FILE,
    TOKENIZER_CONFIG_FILE,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
)
from fnet_cli.presets.encode_settings import read_encode_settings, write_encode_settings
from fnet_cli.presets.json_file import read_json_object
from fnet_cli.presets.layouts import keras_config
from fnet_cli.presets.layouts.base import PresetContent
from fnet_cli.presets.layouts.naming import FileNames, weight_files

if TYPE_CHECKING:
    from fnet_cli.presets.layouts.keras_h5 import WeightReader


KERAS_FILES = FileNames(
    companions=(
        METADATA_FILE,
        TOKENIZER_CONFIG_FILE,
        PREPROCESSOR_CONFIG_FILE,
        VOCABULARY_FILE,
        ENCODE_SETTINGS_FILE,
    ),
    weights=WEIGHTS_FILE,
    index=SHARDED_WEIGHTS_FILE,
    shard=re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*\.h5"),
)


class KerasLayout:
    """A directory as KerasHub's `save_to_preset` writes it."""

    name = "keras"
    vocabulary_file = VOCABULARY_FILE
    files = KERAS_FILES

    def claims(self, document: Mapping[str, Any]) -> bool:  # noqa: ARG002 - the interface's
        """Claim everything: what no other format claims is held against this one."""
        return True

    def read_config(self, path: Path, document: Mapping[str, Any]) -> tuple[BackboneConfig, str]:
        """Return the sizes and the dtype policy's name."""
        return keras_config.parse_backbone_config(path, document)

    def is_fnet(self, document: Mapping[str, Any]) -> bool:
        """Whether the class is one of FNet's backbones."""
        return document.get("registered_name") in keras_config.REGISTERED_NAMES

    def open_weights(
        self,
        directory: Path,
        config: BackboneConfig,
        *,
        allow_pickle: bool = False,  # noqa: ARG002 - the format has none
    ) -> WeightReader:
        """Open the weight file, or the shards, and check them against `config`."""
        from fnet_cli.presets.layouts.keras_h5 import WeightReader

        return WeightReader(directory, config)

    def check_companions(self, directory: Path, config: BackboneConfig) -> None:
        """Check the encode settings, and the tokenizer's and the preprocessor's config.

        This package never uses the latter two. KerasHub builds objects from them, so that nobody
        should be handed bad ones.
        """
        for name, check in (
            (TOKENIZER_CONFIG_FILE, keras_config.check_tokenizer),
            (PREPROCESSOR_CONFIG_FILE, keras_config.check_preprocessor),
        ):
            if (directory / name).exists():
                check(directory / name, read_json_object(directory / name))
        read_encode_settings(directory, config)

    def weight_files(self, directory: Path, *, allow_pickle: bool = False) -> list[Path]:
        """List the weight files."""
        return weight_files(directory, self.files, allow_pickle=allow_pickle)

    def write(self, directory: Path, content: PresetContent) -> None:
        """Write weights, metadata and config and, with a vocabulary, a tokenizer for it."""
        from fnet_cli.presets.layouts.keras_h5 import write_weights

        write_weights(directory / WEIGHTS_FILE, content.config, content.tensors)
        documents = {METADATA_FILE: keras_config.metadata_document(content.config)}
        if content.vocabulary is not None:
            path = directory / VOCABULARY_FILE
            path.parent.mkdir(parents=True)
            path.write_bytes(content.vocabulary)
            length = content.config.max_sequence_length
            documents[TOKENIZER_CONFIG_FILE] = keras_config.tokenizer_document()
            documents[PREPROCESSOR_CONFIG_FILE] = keras_config.preprocessor_document(length)
        documents[CONFIG_FILE] = keras_config.backbone_document(
            content.config, content.dtype, "f_net_backbone"
        )
        write_encode_settings(directory, content.encode_settings)
        for name, document in documents.items():
            text = json.dumps(document, indent=4)
            (directory / name).write_text(text, encoding="utf-8")
