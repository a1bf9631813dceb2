"""Measures a preset on texts that were never trained on, beside random weights, TF-IDF, teacher.

Two questions. Do its cosines rank pairs of texts as the teacher's do (Spearman)? And does a
definition of a word from WordNet find GCIDE's definition of the same word among those of all
held-out words (recall@10)? The texts that are used are listed by hash in `held_out.sha256`. The
preset embeds them as `fnet encode` does, with the settings that it recommends.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse, stats
from sklearn.feature_extraction.text import TfidfVectorizer

from fnet_cli.config import Settings
from fnet_cli.constants import EMBEDDING_COLUMN, TEXT_COLUMN, WEIGHTS_FILE
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import EncodeOptions, TextOptions
from fnet_cli.presets.layouts.keras_h5 import write_weights
from fnet_cli.presets.loading import parameter_variables
from fnet_cli.presets.resolving import resolve_preset
from training.preset import PRESET
from training.student import build_backbone
from training.teacher import Teacher
from training.texts import SEED, WORK

HELD_OUT_HASHES = Path(__file__).parent / "held_out.sha256"
RESULTS = "evaluation.json"
PAIRED_TEXTS = 4_000
PAIRS = 10_000
BINS = 20
TOP = 10

Vectors = Any  # an array or a sparse matrix of unit rows
Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Evaluation:
    """The held-out texts that are looked at.

    `texts` are paired with one another. `queries[i]` is a definition from WordNet, and
    `answers[j]` one from GCIDE, of the words `query_words[i]` and `answer_words[j]`.
    """

    texts: list[str]
    queries: list[str]
    query_words: list[frozenset[str]]
    answers: list[str]
    answer_words: list[str]

    def hashes(self) -> list[str]:
        """Return the sorted hashes of every text in it: 16 hexadecimal digits of SHA-256."""
        every = {*self.texts, *self.queries, *self.answers}
        return sorted(hashlib.sha256(text.encode()).hexdigest()[:16] for text in every)


def read_evaluation(work: Path) -> Evaluation:
    """Choose the texts from `held_out.parquet`, always the same ones."""
    rows = pq.read_table(work / "held_out.parquet").to_pylist()
    generator = np.random.default_rng(SEED)
    prose = [row["text"] for row in rows if row["kind"] != "word"]
    chosen = generator.choice(len(prose), PAIRED_TEXTS, replace=False)
    answers = [row for row in rows if (row["source"], row["kind"]) == ("gcide", "definition")]
    words = {row["names"][0].lower() for row in answers}
    queries = [
        row
        for row in rows
        if (row["source"], row["kind"]) == ("wordnet", "definition")
        and words & {name.lower() for name in row["names"]}
    ]
    return Evaluation(
        texts=[prose[index] for index in chosen],
        queries=[row["text"] for row in queries],
        query_words=[frozenset(name.lower() for name in row["names"]) for row in queries],
        answers=[row["text"] for row in answers],
        answer_words=[row["names"][0].lower() for row in answers],
    )


def choose_pairs(teacher: np.ndarray) -> dict[str, np.ndarray]:
    """Return index pairs (P, 2): drawn at random, and spread over the teacher's cosines.

    Of random pairs nearly all are about unrelated things; the spread ones take as many from each
    twentieth of the cosines' range as there are, so that alike and unlike count the same.
    """
    generator = np.random.default_rng(SEED)
    first, second = np.triu_indices(len(teacher), 1)
    random = generator.choice(len(first), PAIRS, replace=False)
    every = (teacher @ teacher.T)[first, second]
    edges = np.linspace(0.0, 1.0, BINS + 1)
    spread = []
    for low, high in itertools.pairwise(edges):
        inside = np.flatnonzero((every >= low) & (every < high))
        spread.append(generator.permutation(inside)[: PAIRS // BINS])
    found = {"random": random, "spread": np.concatenate(spread)}
    return {name: np.stack([first[rows], second[rows]], axis=1) for name, rows in found.items()}


def cosines(vectors: Vectors, pairs: np.ndarray) -> np.ndarray:
    """Return the dot products of the vectors that are paired, (P,)."""
    first, second = vectors[pairs[:, 0]], vectors[pairs[:, 1]]
    if sparse.issparse(vectors):
        return np.asarray(first.multiply(second).sum(axis=1)).ravel()
    found: np.ndarray = np.einsum("ij,ij->i", first, second)
    return found


def measure(
    evaluation: Evaluation, embed: Embed, pairs: dict[str, np.ndarray], teacher: np.ndarray
) -> dict[str, float]:
    """Return Spearman's coefficient for each kind of pairs, and recall@10."""
    vectors = embed(evaluation.texts)
    result = {
        f"spearman_{name}": float(
            stats.spearmanr(cosines(vectors, chosen), cosines(teacher, chosen)).statistic
        )
        for name, chosen in pairs.items()
    }
    result["recall_at_10"] = recall(evaluation, embed)
    return result


def recall(evaluation: Evaluation, embed: Embed) -> float:
    """Return the share of queries with an answer for the same word among the ten nearest."""
    scores = embed(evaluation.queries) @ embed(evaluation.answers).T
    dense = scores.toarray() if sparse.issparse(scores) else scores
    nearest = np.argpartition(-dense, TOP, axis=1)[:, :TOP]
    hits = [
        any(evaluation.answer_words[column] in words for column in row)
        for row, words in zip(nearest, evaluation.query_words, strict=True)
    ]
    return float(np.mean(hits))


def preset_embedder(preset: str, directory: Path) -> Embed:
    """Return what `fnet encode` does with this preset's own settings."""

    def embed(texts: Sequence[str]) -> np.ndarray:
        inputs, output = directory / "texts.parquet", directory / "embeddings.parquet"
        pq.write_table(pa.table({TEXT_COLUMN: list(texts)}), inputs)
        encode_files(
            EncodeOptions(
                inputs=(str(inputs),),
                output=str(output),
                preset=preset,
                text=TextOptions(),
                columns=(),
                overwrite=True,
            )
        )
        column = pq.read_table(output)[EMBEDDING_COLUMN].combine_chunks()
        vectors: np.ndarray = column.flatten().to_numpy().reshape(len(texts), -1)
        return vectors

    return embed


def random_preset(preset: str, directory: Path) -> str:
    """Copy a preset, with new random weights in place of its own."""
    local = resolve_preset(preset, Settings.from_env({}))
    copied = shutil.copytree(local.directory, directory / "random")
    keras.utils.set_random_seed(SEED)
    variables = parameter_variables(build_backbone(local.config))
    tensors = {name: np.asarray(variable) for name, variable in variables.items()}
    write_weights(copied / WEIGHTS_FILE, local.config, tensors)
    return str(copied)


def tf_idf_embedder(work: Path) -> Embed:
    """Return TF-IDF of words, with their frequencies in the training texts, as sparse unit rows."""
    texts = pq.read_table(work / "train.parquet", columns=["text"])["text"].to_pylist()
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(texts)
    return lambda texts: vectorizer.transform(texts)


def evaluate(preset: str, work: Path, evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Measure all contenders and print a table."""
    teacher = Teacher()
    vectors = teacher.embed(evaluation.texts)
    pairs = choose_pairs(vectors)
    print(
        f"{len(pairs['random']):,} random and {len(pairs['spread']):,} spread pairs of "
        f"{len(evaluation.texts):,} texts; {len(evaluation.queries):,} definitions look for "
        f"theirs among {len(evaluation.answers):,}"
    )
    results = {}
    print(f"{'':16}{'Spearman, random':>18}{'Spearman, spread':>18}{'recall@10':>11}")
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        contenders: dict[str, Embed] = {
            "random weights": preset_embedder(random_preset(preset, place), place),
            "TF-IDF": tf_idf_embedder(work),
            PRESET.name: preset_embedder(preset, place),
            "teacher": teacher.embed,
        }
        for name, embed in contenders.items():
            results[name] = found = measure(evaluation, embed, pairs, vectors)
            print("{:16}{:18.3f}{:18.3f}{:11.3f}".format(name, *found.values()), flush=True)
    return results


def main() -> None:
    """Parse the arguments, measure, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate")
    parser.description = "Evaluate the trained preset on held-out texts."
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    parser.add_argument("--preset", default=PRESET.name, help="name or directory")
    parser.add_argument("--write-hashes", action="store_true", help="list the texts in training/")
    arguments = parser.parse_args()
    evaluation = read_evaluation(arguments.work)
    if arguments.write_hashes:
        HELD_OUT_HASHES.write_text("\n".join(evaluation.hashes()) + "\n", encoding="utf-8")
    results = evaluate(arguments.preset, arguments.work, evaluation)
    text = json.dumps(results, indent=2)
    (arguments.work / RESULTS).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
