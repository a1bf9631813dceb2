"""Run jobs on a small preset."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import EncodeOptions

CONFIG = BackboneConfig(60, 2, 32, 64, max_sequence_length=48)
PAD = 3


def run(preset: Path, inputs, output, **options):
    """Encode and return (report, table); `stdout` and `stdin` are byte streams."""
    context = JobContext(
        settings=Settings(),
        stdin=options.pop("stdin", io.BytesIO()),
        stdout=options.pop("stdout", io.BytesIO()),
        on_progress=options.pop("on_progress", lambda progress: None),
    )
    names = tuple(map(str, inputs if isinstance(inputs, list) else [inputs]))
    made = EncodeOptions(names, str(output), **{"preset": str(preset), "pad_id": PAD, **options})
    report = encode_files(made, context)
    return report, None if str(output) == "-" else pq.read_table(output)


def vectors(table: pa.Table) -> np.ndarray:
    column = table["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)
