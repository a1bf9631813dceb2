"""The columns of a file at a glance: for a shell's completion, which must not wait or fail."""

from __future__ import annotations

import csv
import io
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from fnet_cli.constants import TEXT_COLUMN
from fnet_cli.encoding.options import InputFormat
from fnet_cli.encoding.readers.suffixes import CODECS, format_of

if TYPE_CHECKING:
    import pyarrow as pa

# So much of a file is read at most, of a footer, a line or a record.
_GLANCE_BYTES = 1024**2
_MOST_FOOTER_BYTES = 16 * 1024**2
_MOST_ENTRIES = 1000
# Whatever is wrong with a file, there are no names to complete.
_ERRORS = (OSError, ValueError, LookupError, csv.Error)


def glanced_columns(path: str, forced: InputFormat | None = None) -> dict[str, str]:
    """Return the names of a local file's columns, each with its type where the file states it.

    Of a directory, those of the first file in it. Reads a bounded part of it, and nothing but
    regular files. Returns nothing for what cannot be read, and for what is not on this machine.
    """
    try:
        place = _file(Path(path).expanduser())
        if "://" in path or place is None:
            return {}
        return _columns(place, forced or format_of(str(place)))
    except _ERRORS:
        return {}


def _file(path: Path) -> Path | None:
    if path.is_dir():
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in islice(entries, _MOST_ENTRIES))
        found = (path / name for name in names if format_of(name) and name[0] not in "._")
        path = next(found, path)
    return path if path.is_file() else None


def _columns(path: Path, kind: InputFormat | None) -> dict[str, str]:
    if kind is InputFormat.TEXT:
        return {TEXT_COLUMN: ""}
    if kind in (InputFormat.PARQUET, InputFormat.ARROW):
        return _stated_columns(path, kind)
    text = _beginning(path).decode("utf-8-sig", "ignore")
    if kind is InputFormat.JSONL:
        row = orjson.loads(text.partition("\n")[0])
        return dict.fromkeys(row, "") if isinstance(row, dict) else {}
    if kind in (InputFormat.CSV, InputFormat.TSV):
        delimiter = "," if kind is InputFormat.CSV else "\t"
        records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return dict.fromkeys(next(records, []), "")
    return {}


def _stated_columns(path: Path, kind: InputFormat) -> dict[str, str]:
    import pyarrow as pa

    try:
        schema = _parquet(path) if kind is InputFormat.PARQUET else _arrow(path)
    except pa.ArrowException:
        return {}
    return {field.name: str(field.type) for field in schema}


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.suffix.lower() not in CODECS:
            return file.read(_GLANCE_BYTES)
        import pyarrow as pa

        with pa.CompressedInputStream(file, CODECS[path.suffix.lower()]) as stream:
            return bytes(stream.read(_GLANCE_BYTES))


def _parquet(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        if int.from_bytes(file.read(4), "little") > _MOST_FOOTER_BYTES:
            raise ValueError("a footer of this length is not looked through")
    return pq.read_schema(path)


def _arrow(path: Path) -> pa.Schema:
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        try:
            return pa.ipc.open_file(file).schema
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).schema
