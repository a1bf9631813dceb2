"""Jobs of every kind of input, that any way to run a job must do alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.options import EncodeOptions, OnNull, Pooling, TextOptions

WORDS = ["the", "fox", "dog", "lazy", "no"]
ROWS = 60
# What each case reads, and how.
CASES = {
    "parquet": ("tokens.parquet", {}),
    "jsonl": ("tokens.jsonl", {}),
    "text": ("texts.txt", {}),
    "csv": ("texts.csv", {"text": TextOptions(column="body")}),
    "chunks": ("texts.txt", {"text": TextOptions(chunk=3, overlap=1)}),
    "skipped": ("nulls.parquet", {"text": TextOptions(on_null=OnNull.SKIP)}),
    "tokens": ("tokens.parquet", {"pooling": Pooling.TOKENS}),
    "limit": ("tokens.parquet", {"limit": 41}),
    "limit-chunks": ("texts.txt", {"text": TextOptions(chunk=3), "limit": 41}),
    "to-jsonl": ("tokens.jsonl", {}),
    "several": (["tokens.parquet", "tokens.jsonl", "empty.jsonl", "tokens.parquet"], {}),
}  # fmt: skip


def write_sources(directory: Path) -> Path:
    """Write the files that the cases read."""
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(ROWS)]
    ids = [rng.integers(0, 12, rng.integers(1, 20)).tolist() for _ in range(ROWS)]
    numbers = list(range(ROWS))
    pq.write_table(
        pa.table({"id": numbers, "token_ids": ids}),
        directory / "tokens.parquet",
        row_group_size=13,
    )
    rows = [json.dumps({"id": n, "token_ids": row}) for n, row in zip(numbers, ids, strict=True)]
    (directory / "tokens.jsonl").write_text("\n".join(rows) + "\n")
    (directory / "empty.jsonl").touch()
    (directory / "texts.txt").write_text("\n".join(texts) + "\n")
    lines = [f"{n},{text}" for n, text in zip(numbers, texts, strict=True)]
    (directory / "texts.csv").write_text("id,body\n" + "\n".join(lines) + "\n")
    nulls = [None if n % 4 == 0 else text for n, text in zip(numbers, texts, strict=True)]
    pq.write_table(pa.table({"text": nulls}), directory / "nulls.parquet")
    return directory


ENGINES: dict[object, object] = {}


def one_engine(request):
    """Load the model once for all tests that pool alike."""
    if request.pooling not in ENGINES:
        ENGINES[request.pooling] = load_engine(request)
    return ENGINES[request.pooling]


class Cases:
    """Jobs of the cases on some sources with a preset."""

    def __init__(self, preset: Path, sources: Path) -> None:
        self._preset, self._sources = str(preset), sources

    def options(self, case: str, output: str, **changes) -> EncodeOptions:
        names, how = CASES[case]
        names = names if isinstance(names, list) else [names]
        inputs = changes.pop("inputs", tuple(str(self._sources / name) for name in names))
        return replace(EncodeOptions(inputs, output, preset=self._preset, **how), **changes)


def stopped_at(row: float, on_kept: Callable[..., None] = lambda _kept: None) -> JobContext:
    """Return the context of a job that is asked to stop from that row of its run on."""
    done = 0

    def count(progress) -> None:
        nonlocal done
        done = progress.rows - progress.rows_resumed

    return JobContext(
        settings=Settings(),
        engine_loader=one_engine,
        on_progress=count,
        on_kept=on_kept,
        is_stopping=lambda: done >= row,
    )
