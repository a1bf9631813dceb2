"""Texts, and a small preset that has a vocabulary for them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from builders import add_vocabulary, vocabulary, write_preset

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.options import EncodeOptions
from fnet_cli.encoding.tokenizing import tokenize_files

CONFIG = BackboneConfig(60, 2, 32, 64, max_sequence_length=48)
TEXTS = (
    "the quick brown fox",
    "jumped over",
    "",
    "the lazy dog " * 12,
    "  [CLS] the\tfox\n",
    "über",
    "dog",
)


def write_text_preset(directory: Path) -> Path:
    write_preset(directory, CONFIG)
    add_vocabulary(directory, vocabulary())
    return directory


def write_texts(path: Path, texts=TEXTS, **columns) -> Path:
    rows = {"id": list(range(len(texts))), "text": list(texts), **columns}
    if path.suffix == ".jsonl":
        lines = [json.dumps(row) for row in pa.table(rows).to_pylist()]
        path.write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(pa.table(rows), path, row_group_size=3)
    return path


def tokenize(preset: Path, inputs, output: Path, **options):
    """Tokenize and return (report, table), with None for another format than Parquet."""
    context = JobContext(
        settings=Settings(),
        stdin=options.pop("stdin", io.BytesIO()),
        stdout=options.pop("stdout", io.BytesIO()),
    )
    names = tuple(map(str, inputs if isinstance(inputs, list) else [inputs]))
    report = tokenize_files(
        EncodeOptions(names, str(output), **{"preset": str(preset), **options}), context
    )
    return report, pq.read_table(output) if str(output).endswith(".parquet") else None
