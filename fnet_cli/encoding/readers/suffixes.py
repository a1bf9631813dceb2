"""What a file name's suffix says of its format."""

from __future__ import annotations

from pathlib import Path

from fnet_cli.encoding.options import InputFormat

_SUFFIXES = {
    ".parquet": InputFormat.PARQUET,
    ".pq": InputFormat.PARQUET,
    ".arrow": InputFormat.ARROW,
    ".feather": InputFormat.ARROW,
    ".ipc": InputFormat.ARROW,
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".txt": InputFormat.TEXT,
    ".csv": InputFormat.CSV,
    ".tsv": InputFormat.TSV,
}
# Their columns are compressed, not they.
_UNCOMPRESSED = (InputFormat.PARQUET, InputFormat.ARROW)
KNOWN_SUFFIXES = tuple(_SUFFIXES)
# The codecs of files of lines.
CODECS = {".gz": "gzip", ".zst": "zstd"}
COMPRESSED_SUFFIXES = tuple(CODECS)


def format_of(path: str) -> InputFormat | None:
    """Return the format that a file name's suffix says, or None."""
    name = Path(path)
    if name.suffix.lower() in COMPRESSED_SUFFIXES:
        inner = _SUFFIXES.get(Path(name.stem).suffix.lower())
        return None if inner in _UNCOMPRESSED else inner
    return _SUFFIXES.get(name.suffix.lower())
