"""What a job has done so far, kept on the disk beside its growing file.

A job with the output `out.parquet` works in `out.parquet.fnet/`:

job.json        what the job is; one that differs is not gone on with
journal.jsonl   a line for each checkpoint: up to which byte of the data, and which row of the input
data            the file that grows, and takes the output's name in the end
rejected.jsonl  rows that cannot be used, where they are tolerated
lock            the process that works on it
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from fnet_cli.errors import OutputError
from fnet_cli.files import replacing, sync

_FORMAT = 1
SUFFIX = ".fnet"
JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Counts:
    """What has become of the rows that were read, up to some row.

    `rows` counts those that were rejected for an error, too.
    """

    rows: int = 0
    rows_rejected: int = 0
    tokens: int = 0
    rows_truncated: int = 0
    tokens_lost: int = 0

    @property
    def rows_out(self) -> int:
        """The rows that went out."""
        return self.rows - self.rows_rejected


@dataclass(frozen=True)
class Checkpoint:
    """Rows that are in the file for good.

    `ends` are the bytes at which the parts end that came since the checkpoint before, and
    `rejected_bytes` those of the file of rejected rows.
    `batch_tokens` is the size of batch that was found to suit `device`: another would round
    differently.
    """

    counts: Counts
    ends: list[int]
    rejected_bytes: int = 0
    device: str = ""
    batch_tokens: int | None = None

    @property
    def size(self) -> int:
        """The size of the file."""
        return self.ends[-1] if self.ends else 0


@dataclass(frozen=True)
class Saved:
    """What a job has left: what it was, and its last checkpoint, with the ends of all parts."""

    job: Mapping[str, Any]
    checkpoint: Checkpoint | None
    replaces: bool


@dataclass
class JobDirectory:
    """The directory of a job with the output `output`, beside it unless it is `at` another place.

    Raises OSError where the disk refuses.
    """

    output: Path
    at: Path | None = None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.at or self.output.with_name(self.output.name + SUFFIX)

    @property
    def data(self) -> Path:
        """The file that grows."""
        return self.path / "data"

    @property
    def rejected(self) -> Path:
        """The file of rejected rows."""
        return self.path / "rejected.jsonl"

    @property
    def _journal(self) -> Path:
        return self.path / JOURNAL

    def begin(self, job: Mapping[str, Any], *, replaces: bool) -> None:
        """Make the directory anew for a job, over what is there but the lock."""
        self.clear()
        document = {"format": _FORMAT, "job": job, "replaces": replaces}
        self.data.touch(mode=0o600)
        self.rejected.touch(mode=0o600)
        (self.path / "job.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        sync(self.path)

    def go_on(self, point: Checkpoint) -> None:
        """Drop what came after a checkpoint: a line or a part may be torn."""
        os.truncate(self.data, point.size)
        os.truncate(self.rejected, point.rejected_bytes)
        with replacing(self._journal) as temporary:
            temporary.write_bytes(_line(point))

    def saved(self) -> Saved | None:
        """Return what a job has left, or None where there is nothing to go on with."""
        try:
            document = orjson.loads((self.path / "job.json").read_bytes())
            lines = self._journal.read_bytes().splitlines() if self._journal.exists() else []
            size = self.data.stat().st_size
            rejected_bytes = self.rejected.stat().st_size
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise OutputError(
                f"{self.path} is of another version of fnet",
                hint="go on with that version, or --overwrite starts again",
            )
        last: Checkpoint | None = None
        ends: list[int] = []
        for line in lines:
            point = _read(line)
            # A line that is torn was being written; data that lacks was not yet on the disk.
            if point is None or point.size > size or point.rejected_bytes > rejected_bytes:
                break
            ends += point.ends
            last = point
        if last is not None:
            last = replace(last, ends=ends)
        return Saved(document.get("job", {}), last, document.get("replaces") is True)

    def save(self, point: Checkpoint, *files: BinaryIO) -> None:
        """Bring what `files` were given, and have flushed, to the disk; then say that it is."""
        for file in files:
            os.fdatasync(file.fileno())
        with self._journal.open("ab") as journal:
            journal.write(_line(point))
            journal.flush()
            os.fsync(journal.fileno())

    def clear(self) -> None:
        """Remove what a job has left."""
        for name in (JOURNAL, "job.json", "data", "rejected.jsonl"):
            (self.path / name).unlink(missing_ok=True)


def _line(point: Checkpoint) -> bytes:
    return orjson.dumps(asdict(point), option=orjson.OPT_APPEND_NEWLINE)


def _read(line: bytes) -> Checkpoint | None:
    """Return the checkpoint of a line, or None where it is none."""
    try:
        values = orjson.loads(line)
        point = Checkpoint(Counts(**values.pop("counts")), **values)
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return None
    numbers = [*asdict(point.counts).values(), *_list(point.ends), point.rejected_bytes]
    numbers.append(point.batch_tokens or 0)
    return point if all(isinstance(number, int) for number in numbers) else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [None]
