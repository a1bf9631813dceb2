"""Builds the bundled preset f_net_mini_en: a vocabulary from WordNet, seeded random weights.

The same versions of WordNet, sentencepiece, NumPy and h5py give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import layer_table
from fnet_cli.constants import (
    CLS_PIECE,
    CONFIG_FILE,
    MASK_PIECE,
    METADATA_FILE,
    PAD_PIECE,
    PREPROCESSOR_CONFIG_FILE,
    SEP_PIECE,
    TOKENIZER_CONFIG_FILE,
    UNK_PIECE,
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
from fnet_cli.presets.registry import BUILTIN_PRESETS, BuiltinPreset
from training.wordnet import WORDNET_DIRECTORY, read_glosses

PRESET = BUILTIN_PRESETS["f_net_mini_en"]
DEFAULT_OUTPUT = Path(__file__).parent.parent / "fnet_cli/presets/data" / PRESET.name
SEED = 20210509  # the day FNet's paper went to arXiv
STANDARD_DEVIATION = 0.02  # the spread that KerasHub's FNet starts from
# Fixed instead of the clock and the environment, so that a rebuild gives the same bytes.
DATE_SAVED = "2026-11-24@00:00:00"
KERAS_VERSION = "3.15.1"


def train_vocabulary(sentences: Iterable[str], size: int) -> bytes:
    """Return a cased sentencepiece unigram model of exactly `size` pieces.

    The special pieces have the ids of the published FNet vocabulary: 0 to 6.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type="unigram",
        vocab_size=size,
        character_coverage=1.0,  # the text is ASCII: no character is worth losing
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        unk_piece=UNK_PIECE,
        pad_piece=PAD_PIECE,
        control_symbols=[CLS_PIECE, SEP_PIECE, MASK_PIECE],
        # One thread and the files' order: otherwise sums of floats, and so pieces, may differ.
        num_threads=1,
        shuffle_input_sentence=False,
        minloglevel=2,
    )
    return model.getvalue()


def draw_weights(config: BackboneConfig, seed: int) -> dict[str, np.ndarray]:
    """Draw an untrained model, as float16, by parameter path and in the order of `layer_table`."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for layer in layer_table(config):
        for parameter in layer.parameters:
            match parameter.name:
                case "gamma":
                    tensor = np.ones(parameter.shape)
                case "beta":
                    tensor = np.zeros(parameter.shape)
                case _:
                    tensor = generator.normal(0.0, STANDARD_DEVIATION, parameter.shape)
            # Half the download: random numbers lose nothing by being rounded.
            tensors[f"{layer.path}/{parameter.name}"] = tensor.astype(np.float16)
    return tensors


def preset_documents(preset: BuiltinPreset) -> dict[str, dict[str, Any]]:
    """Return every JSON file of the preset by its name."""
    extra = {
        "keras_version": KERAS_VERSION,
        "date_saved": DATE_SAVED,
        "description": preset.description,
    }
    return {
        CONFIG_FILE: backbone_document(preset.config, "float32", "f_net_backbone"),
        METADATA_FILE: metadata_document(preset.config, extra),
        TOKENIZER_CONFIG_FILE: tokenizer_document(),
        PREPROCESSOR_CONFIG_FILE: preprocessor_document(preset.config.max_sequence_length),
    }


def build_preset(preset: BuiltinPreset, wordnet: Path, output: Path) -> None:
    """Write the preset's files to `output`, over what is there; the card is left alone."""
    vocabulary = output / VOCABULARY_FILE
    vocabulary.parent.mkdir(parents=True, exist_ok=True)
    glosses = (gloss for _, gloss in read_glosses(wordnet))
    vocabulary.write_bytes(train_vocabulary(glosses, preset.config.vocabulary_size))
    write_weights(output / WEIGHTS_FILE, preset.config, draw_weights(preset.config, SEED))
    for name, document in preset_documents(preset).items():
        (output / name).write_text(json.dumps(document, indent=4), encoding="utf-8")


def main() -> None:
    """Parse the arguments and build."""
    parser = argparse.ArgumentParser(prog="python -m training.build_mini_preset")
    parser.description = f"Build the bundled preset {PRESET.name}."
    parser.add_argument("--wordnet", type=Path, default=WORDNET_DIRECTORY, metavar="DIR")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR")
    arguments = parser.parse_args()
    build_preset(PRESET, arguments.wordnet, arguments.output)
    for path in sorted(arguments.output.rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:>12,}  {path}")


if __name__ == "__main__":
    main()
