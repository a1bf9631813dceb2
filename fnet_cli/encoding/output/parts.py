"""An output in parts: a directory of files, and records of which of them are done.

out/part-00000.parquet         the rows of the first fragment, and so on
out/_SUCCESS                   empty; comes when the last part is there
out/_fnet/job.json             what the job is; one that differs is not gone on with
out/_fnet/part-00000.json      what the part came to: it is done when both are there
out/_fnet/part-00000.rejected.jsonl    its rows that could not be used
out/_fnet/part-00000/          where it grows, as the only file of another job does

Where the output is one file, out.parquet, all this is in out.parquet.fnet/ until the parts are
joined, in order, to that file. _SUCCESS then says that it is whole, and job.json is the first to
go after that: with both of them, every record is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from fnet_cli.encoding.options import OutputFormat, Restart
from fnet_cli.encoding.output.joining import joint_of
from fnet_cli.encoding.output.journal import JOURNAL, JobDirectory
from fnet_cli.encoding.output.opening import JobOutput, JobStart, open_file, refuse_another
from fnet_cli.encoding.output.places import RECORDS, WHOLE, Place
from fnet_cli.encoding.output.target import OutputTarget
from fnet_cli.encoding.output.thrift_compact import ThriftError
from fnet_cli.errors import OutputError

SUCCESS = "_SUCCESS"
JOB = f"{RECORDS}/job.json"
_FORMAT = 1
# The process of a job that was killed ends by itself, but perhaps not before the next begins.
_ORPHAN_SECONDS = 20
_MOST_PARTS = 1_000_000  # more are in no job; who looks for each would never end
_SUFFIXES = {OutputFormat.PARQUET: ".parquet", OutputFormat.JSONL: ".jsonl"}
_OURS = re.compile(
    rf"part-[0-9]+\.(parquet|jsonl)|{SUCCESS}"
    rf"|{RECORDS}/(job\.json|part-[0-9]+(\.rejected\.jsonl|\.json))"
)


@dataclass(frozen=True)
class PartRecord:
    """What a part of a job came to, or all of it: the counts of its closing record.

    `errors` counts the rows that were rejected for an error, and files that are damaged.
    `documents` is None where rows are no texts. `device` and `batch_tokens` are what the rows
    were made on, where the size of batches was not asked for.
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_rejected: int = 0
    errors: int = 0
    files_damaged: int = 0
    documents: int | None = None
    rows_truncated: int = 0
    tokens: int = 0
    tokens_lost: int = 0
    bytes: int = 0
    rejected_bytes: int = 0
    device: str = ""
    batch_tokens: int | None = None

    def __add__(self, other: PartRecord) -> PartRecord:
        documents = None
        if self.documents is not None or other.documents is not None:
            documents = (self.documents or 0) + (other.documents or 0)
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMMED}
        return replace(other, documents=documents, **sums)


_KEPT = ("documents", "device", "batch_tokens")
_SUMMED = tuple(field.name for field in fields(PartRecord) if field.name not in _KEPT)


class PartsDirectory:
    """The parts of a job at a place, of which there will be `count`."""

    def __init__(self, place: Place, kind: OutputFormat, count: int) -> None:
        self.place = place
        self.count = count
        self._kind, self._suffix = kind, _SUFFIXES[kind]

    @classmethod
    def at(cls, place: Place) -> PartsDirectory:
        """Return the parts of the job that was begun at a place; raises as `saved_parts`."""
        count, job = saved_parts(place)
        kind = next((kind for kind in OutputFormat if kind.value == job.get("format")), None)
        if kind is None or not 0 < count <= _MOST_PARTS:
            raise _no_job(place)
        return cls(place, kind, count)

    @contextmanager
    def begun(self, job: Mapping[str, Any], restart: Restart) -> Iterator[dict[int, PartRecord]]:
        """Hold the place for a job, and give the records of its parts that are done.

        Raises OutputError where there is another job, one that `restart` does not say what to do
        with, or files that no job has written.
        """
        with self.place.opened():
            done = self._begin(job, restart)
            try:
                yield done
            except BaseException:
                if not self._has_rows():
                    self.place.remove(JOB)
                raise

    def _has_rows(self) -> bool:
        """Whether there is anything to go on with: a part, or what of one has grown."""
        present = self.place.names()
        is_done = SUCCESS in present or any(name.startswith("part-") for name in present)
        return is_done or self.place.joined_bytes() > 0 or self.rows_under_way() > 0

    def rows_kept(self) -> int:
        """Return how many rows a job that did not end has made."""
        done = self._done(self.place.names())
        return sum(record.rows_out for record in done.values()) + self.rows_under_way()

    def rows_under_way(self) -> int:
        """Return how many rows are kept of parts that are not done."""
        rows = 0
        for number in range(self.count) if self.place.keeps_work else ():
            path = self.work_of(number)
            saved = JobDirectory(path, path).saved() if path.is_dir() else None
            if saved is not None and saved.checkpoint is not None:
                rows += saved.checkpoint.counts.rows_out
        return rows

    def _begin(self, job: Mapping[str, Any], restart: Restart) -> dict[int, PartRecord]:
        present = self.place.names()
        if self.place.whole is None:
            self._refuse_foreign(present, begun=JOB in present)
        else:
            present = self._without_another(present, restart)
            self._refuse_existing(present, restart)
        if JOB in present and restart is not Restart.OVERWRITE:
            _, saved = saved_parts(self.place)
            if restart is Restart.NEVER:
                self._refuse_begun(present)
            refuse_another(self.place.name, saved, job)
            return self._done(present)
        self.place.clear_work()
        self.place.remove(WHOLE)
        # What says that all is there goes first, what says which job it is last.
        order = [SUCCESS, *sorted(set(present) - {SUCCESS, JOB}), JOB]
        for name in order:
            if name in present:
                self.place.remove(name)
        replaces = restart is Restart.OVERWRITE
        document = {"format": _FORMAT, "parts": self.count, "job": job, "replaces": replaces}
        self.place.write(JOB, orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return {}

    def _refuse_foreign(self, present: Mapping[str, int], *, begun: bool) -> None:
        foreign = sorted(name for name in present if not (begun and _OURS.fullmatch(name)))
        if foreign:
            raise OutputError(
                f"{self.place.name} holds {foreign[0]}, which is of no job",
                hint="name a directory that is new or empty",
            )

    def _without_another(self, present: dict[str, int], restart: Restart) -> dict[str, int]:
        """Return what there is of a job in parts, in the hidden directory of a file.

        What has ended is removed. Raises OutputError for a job that grows the file in place.
        """
        has_ended = SUCCESS in present and JOB not in present
        grown = {name for name in present if not _OURS.fullmatch(name)}
        if JOURNAL in grown and restart is not Restart.OVERWRITE:
            raise OutputError(
                f"{self.place.name} has rows of a job that was begun by one process",
                hint="--resume goes on with it without --workers and --executor, --overwrite "
                "starts again",
            )
        for name in present if has_ended else grown:
            self.place.remove(name)
        return {} if has_ended else {name: present[name] for name in set(present) - grown}

    def _refuse_existing(self, present: Mapping[str, int], restart: Restart) -> None:
        if restart is Restart.OVERWRITE or not self.place.whole_exists():
            return
        if restart is Restart.RESUME and JOB in present:
            document = orjson.loads(self.place.read(JOB) or b"{}")
            if SUCCESS in present or document.get("replaces") is True:
                return
        raise OutputError(f"{self.place.whole} exists", hint="--overwrite replaces it")

    def _refuse_begun(self, present: Mapping[str, int]) -> None:
        if SUCCESS in present and self.place.whole is None:
            raise OutputError(f"{self.place.name} exists", hint="--overwrite replaces it")
        raise OutputError(
            f"{self.place.name} has {len(self._done(present)):,} of {self.count:,} parts of a job "
            "that did not end",
            hint="--resume goes on with it, --overwrite starts again",
        )

    def _done(self, present: Mapping[str, int]) -> dict[int, PartRecord]:
        """Return the records of parts that are there as they were written, or joined already."""
        done = {}
        joined, end = self.place.joined_bytes(), 0
        for number in range(self.count):
            record = self.noted(number) if self.record_of(number) in present else None
            if record is None:
                joined = 0  # what follows is not in it
                continue
            end += record.bytes
            is_joined = end <= joined or (self.place.whole is not None and SUCCESS in present)
            if is_joined or record.bytes == present.get(self.name_of(number)):
                done[number] = record
        return done

    def name_of(self, number: int) -> str:
        """Return the name of a part's file in the directory."""
        return f"part-{number:05}{self._suffix}"

    def rejected_of(self, number: int) -> str:
        """Return the name of the file of a part's rejected rows."""
        return f"{RECORDS}/part-{number:05}.rejected.jsonl"

    def work_of(self, number: int, attempt: str = "") -> Path:
        """Return the directory in which a part grows, a separate one for a named attempt."""
        return self.place.work / f"part-{number:05}{attempt and '-'}{attempt}"

    def record_of(self, number: int) -> str:
        """Return the name of the file that says what a part came to."""
        return f"{RECORDS}/part-{number:05}.json"

    def noted(self, number: int) -> PartRecord | None:
        """Return what a part came to, None where that was not said or is damaged."""
        return _record(self.place.read(self.record_of(number)) or b"")

    @contextmanager
    def part(
        self, number: int, target: OutputTarget, job: Mapping[str, Any], *, keeps_rejected: bool
    ) -> Iterator[JobOutput]:
        """Open a part, which grows in `target`'s directory, from what is there of it.

        On a clean exit it is in its place; it is done when `note` has said so, too.
        """
        work = JobDirectory(self.place.work / self.name_of(number), target.path)
        take = partial(self._take, number, keeps_rejected)
        start = JobStart(job, Restart.RESUME, patience=_ORPHAN_SECONDS)
        with open_file(work, target, start, take) as output:
            yield output

    def _take(
        self, number: int, keeps_rejected: bool, data: Path, rejected: Path | None
    ) -> str | None:
        name = self.rejected_of(number)
        if rejected is None or not keeps_rejected:
            self.place.remove(name)
        else:
            self.place.take(rejected, name)
        self.place.take(data, self.name_of(number))
        return name if rejected is not None and keeps_rejected else None

    def note(self, number: int, record: PartRecord) -> PartRecord:
        """Say that a part is done, whose file is there; return the record with its sizes."""
        record = replace(
            record,
            bytes=self.place.size(self.name_of(number)) or 0,
            rejected_bytes=self.place.size(self.rejected_of(number)) or 0,
        )
        self.place.write(self.record_of(number), orjson.dumps(asdict(record)))
        return record

    def rejected(self, done: Mapping[int, PartRecord]) -> Iterator[bytes]:
        """Yield the rejected rows of all parts, part by part."""
        for number in sorted(done):
            if done[number].rejected_bytes:
                yield self.place.read(self.rejected_of(number)) or b""

    def finish(self, done: Mapping[int, PartRecord]) -> None:
        """Say that the last part is there, after removing what attempts have left.

        Where the parts become one file, it is there after that, and nothing else.
        """
        self.place.clear_work()
        if self.place.whole is None:
            self.place.write(SUCCESS, b"")
            return
        if SUCCESS not in self.place.names():
            self._join(done)
            self.place.write(SUCCESS, b"")
        self.place.reveal()
        for name in (JOB, *(set(self.place.names()) - {JOB, SUCCESS}), SUCCESS):
            self.place.remove(name)

    def _join(self, done: Mapping[int, PartRecord]) -> None:
        rows = sum(record.rows_out for record in done.values())
        parts = [(self.name_of(number), done[number].bytes) for number in sorted(done)]
        try:
            self.place.assemble(parts, joint_of(self._kind, rows))
        except ThriftError as error:
            raise OutputError(
                f"{self.place.name}: a part is damaged: {error}", hint="--overwrite starts again"
            ) from error


def has_parts(directory: Path) -> bool:
    """Whether a directory of this machine has a job in parts."""
    return (directory / JOB).exists()


def saved_parts(place: Place) -> tuple[int, Mapping[str, Any]]:
    """Return how many parts the job at a place has, and what it is; OutputError where none is."""
    try:
        document = orjson.loads(place.read(JOB) or b"")
    except orjson.JSONDecodeError:
        document = None
    found = document if isinstance(document, dict) and document.get("format") == _FORMAT else {}
    count, job = found.get("parts"), found.get("job")
    if not isinstance(count, int) or not isinstance(job, dict):
        raise _no_job(place)
    return count, job


def _no_job(place: Place) -> OutputError:
    return OutputError(
        f"{place.name}/{JOB} is damaged, or of another version of fnet",
        hint="go on with that version, or --overwrite starts again",
    )


def _record(content: bytes) -> PartRecord | None:
    """Return the record in a file, or None where it is none."""
    try:
        values = orjson.loads(content)
        record = PartRecord(**values)
    except (orjson.JSONDecodeError, TypeError):
        return None
    numbers = [getattr(record, name) for name in _SUMMED]
    return record if all(isinstance(number, int) for number in numbers) else None
