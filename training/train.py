"""Trains the bundled preset: distils the teacher's similarities into this project's backbone."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet as pq
import sentencepiece

from fnet_cli import FNetBackbone
from fnet_cli.constants import PAD_PIECE
from training.batches import TokenTexts, epoch_order, steps_an_epoch, tokenize
from training.preset import LOG, PRESET, SEQUENCE_LENGTH, STUDENT
from training.student import (
    SimilarityLoss,
    build_backbone,
    even_directions,
    piece_vectors,
    sentence_model,
    start_from_vectors,
    teacher_projection,
    unit,
)
from training.teacher import Teacher, parts_of
from training.texts import SEED, WORK
from training.vocabulary import VOCABULARY

SAMPLE = 100_000  # texts that the projection is made from


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; the rate rises over `warmup` steps, then falls to zero."""

    epochs: int = 4
    learning_rate: float = 1e-3
    warmup: int = 100
    # A piece that is rare moves 1 / sqrt(1 - beta_2) steps whenever it comes.
    beta_2: float = 0.98
    clip_norm: float = 1.0
    neighbours: float = 1.0  # how much they count in the loss
    similarities: float = 20.0


@dataclass(frozen=True)
class Lesson:
    """The training texts that the teacher has embedded, and its vectors in the student's space.

    `targets` (N, H) are unit vectors, made with `projection` (384, H) and `turn` (H, H), whose
    first rows are the directions of the first columns of the projection.
    """

    texts: TokenTexts
    targets: np.ndarray
    projection: np.ndarray
    turn: np.ndarray


def prepare_lesson(processor: sentencepiece.SentencePieceProcessor, work: Path) -> Lesson:
    """Tokenise the texts and reduce the teacher's vectors of them."""
    vectors = np.concatenate([np.load(path) for path in parts_of(work, "train")])
    table = pq.read_table(work / "train.parquet", columns=["text"]).slice(0, len(vectors))
    texts = tokenize(processor, table["text"].to_pylist(), SEQUENCE_LENGTH)
    hidden_dim = PRESET.config.hidden_dim
    projection = teacher_projection(vectors[:SAMPLE].astype(np.float32), hidden_dim)
    turn = even_directions(hidden_dim)
    return Lesson(texts, unit(vectors.astype(np.float32) @ projection) @ turn, projection, turn)


def start(
    backbone: FNetBackbone, processor: sentencepiece.SentencePieceProcessor, lesson: Lesson
) -> None:
    """Set the student's weights to what a sum of piece vectors can do."""
    names = [processor.id_to_piece(index) for index in range(processor.get_piece_size())]
    # A piece that is a space alone is one too.
    pieces = Teacher().embed([name.replace("\u2581", " ").strip() or " " for name in names])
    even = lesson.turn[: lesson.turn.shape[0] // 2 - 1]
    known = unit(pieces @ lesson.projection)[:, : len(even)]
    vectors = piece_vectors(lesson.texts, lesson.targets @ even.T, known)
    start_from_vectors(backbone, vectors @ even, np.random.default_rng(SEED))


def dataset(
    texts: TokenTexts, targets: np.ndarray, pad_id: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (token ids, targets) batches without end, each epoch in its own order."""
    generator = np.random.default_rng(seed)
    while True:
        for rows in epoch_order(texts.widths, generator):
            yield texts.dense(rows, pad_id), targets[rows]


class Log(keras.callbacks.Callback):
    """Writes the mean loss of every so many steps to a CSV file, and each epoch's weights."""

    def __init__(self, path: Path, backbone: keras.Model, every: int = 50) -> None:
        super().__init__()
        self._path, self._backbone, self._every = path, backbone, every
        self._step, self._begin = 0, time.monotonic()
        self._losses: list[float] = []
        path.write_text("step,seconds,loss\n", encoding="utf-8")

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Start the running mean anew, so that the loss is this batch's alone."""
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Note the batch's loss."""
        self._losses.append(float(logs["loss"]))
        self._step += 1
        if self._step % self._every == 0:
            seconds = time.monotonic() - self._begin
            row = f"{self._step},{seconds:.1f},{np.mean(self._losses):.5f}"
            self._losses.clear()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{row}\n")
            print(row, flush=True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Keep the weights so far."""
        self._backbone.save_weights(self._path.parent / STUDENT)


def open_signature(texts: TokenTexts, targets: np.ndarray, pad_id: int, seed: int) -> Any:
    """Return the batches as a tf.data.Dataset of open shapes, so that one graph takes them all."""
    import tensorflow as tf

    signature = (
        tf.TensorSpec((None, None), tf.int32),
        tf.TensorSpec((None, targets.shape[1]), tf.float32),
    )
    return tf.data.Dataset.from_generator(
        lambda: dataset(texts, targets, pad_id, seed), output_signature=signature
    ).prefetch(4)


def train(work: Path, schedule: Schedule) -> None:
    """Train from the teacher's start to the end of the schedule, and keep the weights in `work`."""
    keras.utils.set_random_seed(SEED)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(work / VOCABULARY))
    lesson = prepare_lesson(processor, work)
    steps = steps_an_epoch(lesson.texts.widths)
    print(f"{len(lesson.targets):,} texts, {steps} steps an epoch, {schedule}", flush=True)
    backbone = build_backbone(PRESET.config)
    start(backbone, processor, lesson)
    pad_id = processor.piece_to_id(PAD_PIECE)
    model = sentence_model(backbone, pad_id)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, steps * schedule.epochs - schedule.warmup),
        warmup_target=schedule.learning_rate,
        warmup_steps=schedule.warmup,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(
            rate, beta_2=schedule.beta_2, global_clipnorm=schedule.clip_norm
        ),
        loss=SimilarityLoss(schedule.neighbours, schedule.similarities),
        jit_compile=False,  # it would compile every width and every last batch
    )
    model.fit(
        open_signature(lesson.texts, lesson.targets, pad_id, SEED),
        steps_per_epoch=steps,
        epochs=schedule.epochs,
        callbacks=[Log(work / LOG, backbone)],
        verbose=0,
    )
    backbone.save_weights(work / STUDENT)


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m training.train")
    parser.description = "Train the bundled preset."
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    parser.add_argument("--epochs", type=int, default=Schedule.epochs)
    parser.add_argument("--learning-rate", type=float, default=Schedule.learning_rate)
    arguments = parser.parse_args()
    train(
        arguments.work,
        Schedule(epochs=arguments.epochs, learning_rate=arguments.learning_rate),
    )


if __name__ == "__main__":
    main()
