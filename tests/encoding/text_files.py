"""Write small text files as their names say, and read inputs whole."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa


def write_lines(path: Path, text: str | bytes) -> str:
    """Write, compressed as the suffix says, and return the path as text."""
    data = text.encode() if isinstance(text, str) else text
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pa.compress(data, codec="zstd", asbytes=True)
    path.write_bytes(data)
    return str(path)


def read_all(source, columns=("token_ids", "name"), max_rows=1000) -> list[dict]:
    return [
        row for rows in source.batches(list(columns), max_rows) for row in rows.batch.to_pylist()
    ]


def numbers(source, columns, max_rows=1000) -> list[int]:
    """Return the number of every row as its batch states it."""
    return [n for rows in source.batches(list(columns), max_rows) for n in rows.numbers.tolist()]


def small_blocks(monkeypatch, size: int, longest_line: int | None = None) -> None:
    """Let text be read in blocks of `size` bytes."""
    monkeypatch.setattr("fnet_cli.encoding.readers.lines.LINE_BLOCK_BYTES", size)
    if longest_line is not None:
        monkeypatch.setattr("fnet_cli.encoding.readers.lines.MAX_LINE_BYTES", longest_line)
