"""Trains the cased English vocabulary of the bundled preset on the training texts."""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import sentencepiece

from fnet_cli.constants import CLS_PIECE, MASK_PIECE, PAD_PIECE, SEP_PIECE, UNK_PIECE
from training.preset import PRESET
from training.texts import WORK

VOCABULARY = "vocabulary.spm"


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
        character_coverage=0.9999,  # English, with the odd accent; not every rare sign
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


def main() -> None:
    """Parse the arguments, train and write."""
    parser = argparse.ArgumentParser(prog="python -m training.vocabulary")
    parser.description = "Train the vocabulary of the bundled preset."
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    arguments = parser.parse_args()
    texts = pq.read_table(arguments.work / "train.parquet", columns=["text"])["text"].to_pylist()
    model = train_vocabulary(texts, PRESET.config.vocabulary_size)
    (arguments.work / VOCABULARY).write_bytes(model)
    print(f"{PRESET.config.vocabulary_size:,} pieces in {arguments.work / VOCABULARY}")


if __name__ == "__main__":
    main()
