"""The output of an encode job: opened, gone on with, kept for later, or published."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from fnet_cli.encoding.options import Restart
from fnet_cli.encoding.output.journal import Checkpoint, Counts, JobDirectory
from fnet_cli.encoding.output.locking import alone
from fnet_cli.encoding.output.sinks import FileSink, Sink, file_sink, open_sink
from fnet_cli.encoding.output.target import OutputTarget, output_errors
from fnet_cli.encoding.output.thrift_compact import ThriftError
from fnet_cli.encoding.rejecting import Rejected
from fnet_cli.errors import OutputError
from fnet_cli.files import publish
from fnet_cli.units import show_count

# A checkpoint waits for the disk. It may take this share of the time, and comes no more often.
_CHECKPOINT_SHARE = 0.05
_CHECKPOINT_SECONDS = 0.5
# A slow model does not fill a row group in this time, and gets a smaller one: no crash costs more.
_SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class Kept:
    """Rows of a job that did not end, and the directory that they are in."""

    rows: int
    directory: str


KeptCallback = Callable[[Kept], None]
# Takes the finished file, and that of its rejected rows where it has some; returns where these
# went, None where they are kept nowhere.
Publishing = Callable[[Path, Path | None], str | None]


class JobOutput(Protocol):
    """An open output.

    `begun` is how far the job was when it was left, None where it starts; `rejected` the file that
    rejected rows are in when the job ends, None where there are none, or they are kept nowhere.
    """

    begun: Checkpoint | None
    rejected: str | None

    def write(self, batch: pa.RecordBatch, counts: Counts, rejected: Sequence[Rejected]) -> None:
        """Append rows; `counts` are those up to the last of them."""

    def ran_on(self, device: str, batch_tokens: int | None) -> None:
        """Say what the rows are made on, before the first of them."""

    def close(self, rejected: Sequence[Rejected]) -> int:
        """Finish the output, with what is rejected last; return how many rows it holds."""


@contextmanager
def open_output(
    target: OutputTarget,
    job: Mapping[str, Any] | None,
    restart: Restart,
    stdout: BinaryIO | None,
    on_kept: KeptCallback,
) -> Iterator[JobOutput]:
    """Open the output of a job that `job` describes, None where its input cannot be read again.

    On a clean exit a file takes its final name. Otherwise what has been written is kept, and can
    be gone on with by the same job; without a description, nothing is. Raises OutputError, also
    where another process is at it, where an unfinished job is there and `restart` does not say
    what to do with it, and where that is another job. BrokenPipeError passes, for it says that the
    reader is gone.
    """
    if target.path is None:
        with open_sink(target, stdout) as sink:
            yield _StreamOutput(sink)
        return
    publishing = partial(_publish, target.path, target.rejected)
    start = JobStart(job, restart, on_kept)
    with open_file(JobDirectory(target.path), target, start, publishing) as output:
        yield output


@dataclass(frozen=True)
class JobStart:
    """Which job a file is of, None where it cannot be gone on with, and how it begins.

    `on_kept` hears of rows that are kept where it does not end. For `patience` seconds it waits
    for another process that is at it.
    """

    job: Mapping[str, Any] | None
    restart: Restart
    on_kept: KeptCallback = lambda _kept: None
    patience: float = 0


@contextmanager
def open_file(
    directory: JobDirectory, target: OutputTarget, start: JobStart, publishing: Publishing
) -> Iterator[JobOutput]:
    """Open a file that grows in `directory`, and in the end is handed to `publishing`.

    Otherwise as `open_output`.
    """
    with output_errors(target.path), _alone(directory, start.patience):
        begun = _begin(directory, start.job, start.restart)
        with directory.data.open("r+b") as data, directory.rejected.open("r+b") as rejected:
            output = _FileOutput(directory, _Files(data, rejected), target, begun)
            output.is_kept = start.job is not None
            try:
                yield output
                output.publish(publishing)
            except BaseException:
                if kept := output.keep():
                    start.on_kept(Kept(kept.counts.rows_out, str(directory.path)))
                raise


def _publish(
    output: Path, quarantine: Path | None, data: Path, rejected: Path | None
) -> str | None:
    """Give the files their names, that of the output last."""
    if quarantine is not None:
        if rejected is not None:
            publish(rejected, quarantine)
        else:  # one that stands there is of what is replaced
            quarantine.unlink(missing_ok=True)
    publish(data, output)
    return str(quarantine) if quarantine is not None and rejected is not None else None


@contextmanager
def _alone(directory: JobDirectory, patience: float) -> Iterator[None]:
    """Hold the job's directory, made where it is not there.

    It is gone afterwards, but where a job can be gone on with: a signal may come at any line.
    """
    directory.path.mkdir(exist_ok=True)
    try:
        with alone(directory.path / "lock", str(directory.output), patience):
            try:
                yield
            finally:
                with suppress(OSError, OutputError):
                    saved = directory.saved()
                    if saved is None or saved.checkpoint is None:
                        directory.clear()
    finally:
        with suppress(OSError):
            directory.path.rmdir()


def _begin(
    directory: JobDirectory, job: Mapping[str, Any] | None, restart: Restart
) -> Checkpoint | None:
    """Make the directory ready, and return what is gone on with."""
    saved = directory.saved()
    point = saved.checkpoint if saved else None
    replaces = restart is Restart.OVERWRITE
    if saved is not None and point is not None and not replaces:
        if restart is Restart.NEVER:
            rows = show_count(point.counts.rows_out, "row")
            raise OutputError(
                f"{directory.path} has {rows} of a job that did not end",
                hint="--resume goes on with it, --overwrite starts again",
            )
        refuse_another(str(directory.path), saved.job, job or {})
        directory.go_on(point)
        return point
    directory.begin(job or {}, replaces=replaces or (saved is not None and saved.replaces))
    return None


def refuse_another(place: str, begun: Mapping[str, Any], job: Mapping[str, Any]) -> None:
    """Raise OutputError naming what is not as it was when the job at `place` was `begun`."""
    for name, value in job.items():
        before = begun.get(name)
        if before == value:
            continue
        if name == "inputs":
            what = _changed_input(before, value)
        else:
            what = f"{name.replace('_', ' ')} was {before}, and is {value}"
        raise OutputError(
            f"{place} has another job: {what}",
            hint="give the options that it was begun with, or --overwrite to start again",
        )


def _changed_input(before: Any, now: list[dict[str, Any]]) -> str:
    known = {entry["name"]: entry for entry in before or ()}
    for entry in now:
        if known.get(entry["name"]) != entry:
            verb = "has changed" if entry["name"] in known else "was not among the inputs"
            return f"{entry['name']} {verb}"
    gone = set(known) - {entry["name"] for entry in now}
    return (
        f"{min(gone)} is no longer among the inputs"
        if gone
        else "the order of the inputs was another"
    )


class _StreamOutput:
    """A stream: what is written is gone, and rejected rows have no place in it."""

    begun: Checkpoint | None = None
    rejected: str | None = None

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, batch: pa.RecordBatch, counts: Counts, rejected: Sequence[Rejected]) -> None:  # noqa: ARG002 - the interface's
        """Append rows."""
        self._sink.write(batch)

    def ran_on(self, device: str, batch_tokens: int | None) -> None:
        """Nothing is gone on with."""

    def close(self, rejected: Sequence[Rejected]) -> int:  # noqa: ARG002 - the interface's
        """Finish, and return the rows written."""
        return self._sink.close()


@dataclass(frozen=True)
class _Files:
    """The open files of a job's directory."""

    data: BinaryIO
    rejected: BinaryIO


class _FileOutput:
    """A file that grows in its job's directory, with a checkpoint from time to time.

    Where `is_kept` is false, there is none, and nothing to go on with.
    """

    is_kept = True

    def __init__(
        self,
        directory: JobDirectory,
        files: _Files,
        target: OutputTarget,
        begun: Checkpoint | None,
    ) -> None:
        self.begun = begun
        self.rejected: str | None = None
        # What is in the journal, and what could be, with the ends that the journal has.
        self.saved = begun
        self._settled = begun
        self._directory, self._files, self._target = directory, files, target
        self._device, self._batch_tokens = "", begun.batch_tokens if begun else None
        self._sink = self._open(target)
        self._ends_saved = len(self._sink.ends)
        files.rejected.seek(0, os.SEEK_END)
        self._written: Counts | None = None
        self._settled_at = time.monotonic()
        self._next = self._settled_at + _CHECKPOINT_SECONDS

    def _open(self, target: OutputTarget) -> FileSink:
        ends = self.begun.ends if self.begun else []
        rows = self.begun.counts.rows_out if self.begun else 0
        try:
            return file_sink(self._files.data, target, ends, rows)
        except ThriftError as error:
            raise OutputError(
                f"{self._directory.data} is damaged: {error}", hint="--overwrite starts again"
            ) from error

    def ran_on(self, device: str, batch_tokens: int | None) -> None:
        """Note what the rows are made on."""
        self._device, self._batch_tokens = device, batch_tokens

    def write(self, batch: pa.RecordBatch, counts: Counts, rejected: Sequence[Rejected]) -> None:
        """Append rows, and save where it is time."""
        self._written = None  # not to be gone on with where this fails
        self._sink.write(batch)
        self._reject(rejected)
        now = time.monotonic()
        if now - self._settled_at >= _SETTLE_SECONDS:
            self._sink.settle()
        self._written = counts
        if self._sink.is_settled:
            self._settled_at = now
            if self._has_more():  # not where each row was rejected
                self._settled = self._point(counts)
            point = self._settled
            if point and point is not self.saved and now >= self._next and self.is_kept:
                self._save(point)

    def _reject(self, rejected: Sequence[Rejected]) -> None:
        with output_errors(self._directory.rejected):
            self._files.rejected.writelines(row.line() for row in rejected)
            self._files.rejected.flush()

    @property
    def _rejected_bytes(self) -> int:
        return self._files.rejected.tell()

    def _has_more(self) -> bool:
        """Whether rows are in the file that the journal does not know."""
        return len(self._sink.ends) > self._ends_saved

    def _point(self, counts: Counts) -> Checkpoint:
        ends = self._sink.ends[self._ends_saved :]
        return Checkpoint(counts, ends, self._rejected_bytes, self._device, self._batch_tokens)

    def _save(self, point: Checkpoint) -> None:
        begun = time.monotonic()
        self._directory.save(point, self._files.data, self._files.rejected)
        self._ends_saved += len(point.ends)
        self.saved = self._settled = point
        now = time.monotonic()
        self._next = now + max(_CHECKPOINT_SECONDS, (now - begun) / _CHECKPOINT_SHARE)

    def keep(self) -> Checkpoint | None:
        """Save what was written, as far as the disk lets it; return the last checkpoint."""
        if not self.is_kept:
            return None
        if self._written is not None and not self._sink.is_settled:
            with suppress(OutputError):
                self._sink.settle()
                self._settled = self._point(self._written)
        with suppress(OSError):
            point = self._settled
            if point is not None and point is not self.saved:
                # Makes room, where the disk is full, for the line that says so.
                os.truncate(self._directory.data, point.size)
                self._save(point)
        return self.saved

    def close(self, rejected: Sequence[Rejected]) -> int:
        """Write what waits and what ends the file; return how many rows it holds."""
        self._written = None
        self._reject(rejected)
        return self._sink.close()

    def publish(self, publishing: Publishing) -> None:
        """Hand the files over, that of rejected rows where there are any."""
        rejected = self._directory.rejected if self._rejected_bytes else None
        self.rejected = publishing(self._directory.data, rejected)
