"""Writes the bundled preset from what was trained: vocabulary, weights, settings, documents.

The same trained files give the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fnet_cli.constants import (
    CONFIG_FILE,
    ENCODE_SETTINGS_FILE,
    METADATA_FILE,
    PREPROCESSOR_CONFIG_FILE,
    TOKENIZER_CONFIG_FILE,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
)
from fnet_cli.presets.layouts.keras_config import (
    backbone_document,
    metadata_document,
    preprocessor_document,
    tokenizer_document,
)
from fnet_cli.presets.layouts.keras_h5 import write_weights
from fnet_cli.presets.loading import parameter_variables
from training.preset import ENCODE_SETTINGS, PRESET, STUDENT
from training.student import build_backbone
from training.texts import WORK
from training.vocabulary import VOCABULARY

DEFAULT_OUTPUT = Path(__file__).parent.parent / "fnet_cli/presets/data" / PRESET.name
# Fixed instead of the clock and the environment, so that a rebuild gives the same bytes.
DATE_SAVED = "2026-11-24@00:00:00"
KERAS_VERSION = "3.15.1"


def trained_tensors(weights: Path) -> dict[str, np.ndarray]:
    """Return the trained parameters as float16, by parameter path.

    Half the download; what the rounding costs is in the evaluation, which reads the preset.
    """
    backbone = build_backbone(PRESET.config)
    backbone.load_weights(weights)
    return {
        name: np.asarray(variable).astype(np.float16)
        for name, variable in parameter_variables(backbone).items()
    }


def preset_documents() -> dict[str, dict[str, Any]]:
    """Return every JSON file of the preset by its name."""
    extra = {
        "keras_version": KERAS_VERSION,
        "date_saved": DATE_SAVED,
        "description": PRESET.description,
    }
    return {
        CONFIG_FILE: backbone_document(PRESET.config, "float32", "f_net_backbone"),
        METADATA_FILE: metadata_document(PRESET.config, extra),
        TOKENIZER_CONFIG_FILE: tokenizer_document(),
        PREPROCESSOR_CONFIG_FILE: preprocessor_document(PRESET.config.max_sequence_length),
        ENCODE_SETTINGS_FILE: ENCODE_SETTINGS,
    }


def build_preset(work: Path, output: Path) -> None:
    """Write the preset's files to `output`, over what is there; the card is left alone."""
    vocabulary = output / VOCABULARY_FILE
    vocabulary.parent.mkdir(parents=True, exist_ok=True)
    vocabulary.write_bytes((work / VOCABULARY).read_bytes())
    write_weights(output / WEIGHTS_FILE, PRESET.config, trained_tensors(work / STUDENT))
    for name, document in preset_documents().items():
        (output / name).write_text(json.dumps(document, indent=4), encoding="utf-8")


def main() -> None:
    """Parse the arguments and build."""
    parser = argparse.ArgumentParser(prog="python -m training.build")
    parser.description = f"Build the bundled preset {PRESET.name} from the trained weights."
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR")
    arguments = parser.parse_args()
    build_preset(arguments.work, arguments.output)
    for path in sorted(arguments.output.rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:>12,}  {path}")


if __name__ == "__main__":
    main()
