"""Vocabularies of every kind that a preset may bring, small and trained once."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import sentencepiece

from fnet_cli import FNetTokenizer

SENTENCES = (
    "the quick brown fox jumped over the lazy dog",
    "pack my box with five dozen liquor jugs",
    "A figure of 1 and 2 and a final 3",
    "sphinx of black quartz, judge my vow",
)


@cache
def trained(**options: Any) -> bytes:
    """Train a model with all special pieces as control pieces; `options` are the trainer's."""
    model = io.BytesIO()
    defaults: dict[str, Any] = {
        "vocab_size": 110,
        "hard_vocab_limit": False,
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "pad_id": 3,
        "pad_piece": "<pad>",
        "control_symbols": "[CLS],[SEP],[MASK]",
        "num_threads": 1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20), model_writer=model, **{**defaults, **options}
    )
    return model.getvalue()


# Each differs from FNet's own in one way that matters to pieces or to where they come from.
KINDS: dict[str, dict[str, Any]] = {
    "as FNet's": {},
    "byte pairs": {"model_type": "bpe"},
    "characters": {"model_type": "char"},
    "bytes for unknown characters": {"byte_fallback": True, "vocab_size": 380},
    "white space as it is": {"remove_extra_whitespaces": False},
    "no normalisation": {"normalization_rule_name": "identity"},
    "spaces behind words": {"treat_whitespace_as_suffix": True},
    "no space before the text": {"add_dummy_prefix": False},
    "user-defined pieces": {"user_defined_symbols": "fox,[MASK]", "control_symbols": "[CLS],[SEP]"},
}


@cache
def tokenizer(kind: str = "as FNet's") -> FNetTokenizer:
    return FNetTokenizer(trained(**KINDS[kind]))
