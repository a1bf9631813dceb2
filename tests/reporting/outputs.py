"""Files of embeddings for reports, and a report of one without a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.config import Settings
from fnet_cli.reporting.making import Report, make_report
from fnet_cli.reporting.options import Projection, ReportOptions


def write(
    path: Path,
    vectors: Any,
    columns: dict[str, Any] | None = None,
    number: pa.DataType | None = None,
    **metadata: Any,
) -> str:
    """Write vectors, a list or an array (N, H), as `fnet encode` does; lists may be ragged."""
    dimension = vectors.shape[1] if isinstance(vectors, np.ndarray) else None
    kind = pa.list_(number or pa.float32(), *([dimension] if dimension else []))
    embedding = pa.array(list(vectors), kind)
    table = pa.table({**(columns or {}), "embedding": embedding})
    table = table.replace_schema_metadata({"fnet": json.dumps(metadata)})
    pq.write_table(table, path, row_group_size=16)
    return str(path)


def report(source: str, output: Path | None = None, **changes: Any) -> Report:
    changes = {"projection": Projection.PCA, **changes}
    options = ReportOptions(source, None if output is None else str(output), **changes)
    return make_report(options, Settings(), lambda _: None)
