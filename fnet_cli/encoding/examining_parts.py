"""A directory of embeddings: every file read to its end, and held against the job's records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

from fnet_cli.encoding.examining import OutputCheck, examine, nameless
from fnet_cli.encoding.options import OutputFormat
from fnet_cli.encoding.output.parts import SUCCESS, PartRecord, PartsDirectory
from fnet_cli.encoding.output.places import RECORDS, Place
from fnet_cli.encoding.output.target import output_format_of
from fnet_cli.encoding.readers.patterns import is_hidden
from fnet_cli.encoding.readers.places import InputFile
from fnet_cli.errors import InputDataError, OutputError


@dataclass(frozen=True)
class DirectoryCheck:
    """What was found in a directory of files, all together; its keys are those of an OutputCheck.

    `has_journal` says whether a job of fnet has noted what it wrote here: `parts_stated` how many
    parts it has and `parts_done` how many of them are there as noted; None where it has not.
    `columns`, `dimension`, `number_type` and `metadata` are those of the first file that has some.
    `parts` has the files with faults alone, by name from the directory on; a part that is missing
    has no rows.
    """

    file: str
    has_journal: bool = False
    parts_stated: int | None = None
    parts_done: int | None = None
    parts_read: int = 0
    rows: int | None = None
    rows_read: int = 0
    unreadable_rows: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    dimension: int | None = None
    number_type: str | None = None
    vectors: int = 0
    null_vectors: int = 0
    other_dimension_vectors: int = 0
    non_finite_vectors: int = 0
    zero_vectors: int = 0
    smallest_length: float | None = None
    largest_length: float | None = None
    all_length_1: bool | None = None
    unfinished_job: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    parts: tuple[OutputCheck, ...] = ()


_SUMMED = (
    "rows_read", "unreadable_rows", "vectors", "null_vectors", "other_dimension_vectors",
    "non_finite_vectors", "zero_vectors",
)  # fmt: skip


@dataclass(frozen=True)
class Directory:
    """A directory, with what opens a file in it; its files are listed once."""

    name: str
    place: Place
    opening: Callable[[str], str | InputFile]

    @cached_property
    def present(self) -> Mapping[str, int]:
        """The files at any depth, and their bytes."""
        return self.place.names()

    @property
    def has_journal(self) -> bool:
        """Whether a job of fnet has noted what it wrote."""
        return any(name.startswith(f"{RECORDS}/") for name in self.present)

    @property
    def shown(self) -> list[str]:
        """The files that readers of directories do not leave out, in order."""
        return sorted(name for name in self.present if not any(map(is_hidden, name.split("/"))))

    def files(self) -> list[str]:
        """Return those of them that an output could be in."""
        return [name for name in self.shown if output_format_of(name) is not None]


def examine_directory(directory: Directory, column: str) -> DirectoryCheck:
    """Return what is in the files of a directory, which come one after the other.

    Raises InputDataError where the disk refuses, and NetworkError.
    """
    try:
        return _Examining(directory, column).run()
    except OSError as error:
        where = error.filename or directory.name
        raise InputDataError(f"{where}: {error.strerror}") from error


class _Examining:
    """A directory while its files are read."""

    def __init__(self, directory: Directory, column: str) -> None:
        self._directory, self._column = directory, column
        self._sum = DirectoryCheck(directory.name, has_journal=directory.has_journal)
        self._first: OutputCheck | None = None
        self._faulty: list[OutputCheck] = []
        self._faults: list[str] = []

    def run(self) -> DirectoryCheck:
        """Read all files."""
        parts = self._parts()
        if parts is None:
            for name in self._directory.files():
                self._note(self._read(name))
        else:
            self._hold(parts)
        return replace(
            self._sum,
            faults=(*self._faults, *_summed_up(self._faulty)),
            parts=tuple(self._faulty),
        )

    def _parts(self) -> PartsDirectory | None:
        """Return the parts that a job has noted, None where there is nothing to hold files to."""
        if not self._directory.has_journal:
            return None
        try:
            return PartsDirectory.at(self._directory.place)
        except OutputError as error:
            told = str(error).removeprefix(f"{self._directory.place.name}/")
            self._faults.append(f"{told}: files were held against no record")
            return None

    def _hold(self, parts: PartsDirectory) -> None:
        """Read the parts, and hold each against what was noted of it."""
        ended = SUCCESS in self._directory.present
        names = {parts.name_of(number): number for number in range(parts.count)}
        done = sum(self._is_as_noted(parts, number, ended=ended) for number in names.values())
        for name in self._directory.shown:
            if name not in names:
                self._note(OutputCheck(name, faults=("it is no part of the job",)))
        if not ended:
            self._faults.append(
                f"the job has not ended: {done:,} of {parts.count:,} parts are done, "
                "and --resume goes on"
            )
        self._sum = replace(
            self._sum, parts_stated=parts.count, parts_done=done, unfinished_job=not ended
        )

    def _is_as_noted(self, parts: PartsDirectory, number: int, *, ended: bool) -> bool:
        """Read a part, if it is there; return whether it is done, as --resume will see it.

        What is lacking of one that was not noted is no fault while the job has not ended.
        """
        present = self._directory.present
        name, its_record = parts.name_of(number), parts.record_of(number)
        if name not in present:
            if ended or its_record in present:
                self._note(OutputCheck(name, faults=("it is missing",)))
            return False
        check = self._read(name)
        record = parts.noted(number) if its_record in present else None
        faults: list[str] = []
        if record is not None:
            rejected = present.get(parts.rejected_of(number), 0)
            faults += _contradictions(record, check, present[name], rejected)
        elif ended or its_record in present:
            what = "damaged" if its_record in present else "missing"
            faults.append(f"its record, {its_record}, is {what}")
        self._note(replace(check, faults=(*faults, *check.faults)))
        return record is not None and record.bytes == present[name]

    def _read(self, name: str) -> OutputCheck:
        """Return what is in a file, its differences from the first among the faults."""
        place = self._directory.opening(name)
        try:
            check = examine(place, self._column, name)
        except InputDataError as error:  # it has gone since the directory was listed
            full = place if isinstance(place, str) else place.name
            check = OutputCheck(name, faults=(nameless(str(error), full),))
        if check.columns:
            self._first = self._first or check
            differences = self._differences(check, self._first)
            check = replace(check, faults=(*check.faults, *differences))
        self._sum = _added(self._sum, check)
        return check

    def _differences(self, check: OutputCheck, first: OutputCheck) -> Iterator[str]:
        """Yield why a file is not of one table with those before."""
        other = _other_columns(check, first)
        if other:
            yield f"its columns are not those of {first.file}: {other}"
        known = self._sum.dimension
        if not other and known and check.dimension not in (None, known):
            yield f"its vectors are of dimension {check.dimension}, those before of {known}"
        # Others may put into theirs what they like; a job puts the same into all.
        if self._sum.has_journal and check.metadata != first.metadata:
            yield f"its metadata is not that of {first.file}"

    def _note(self, check: OutputCheck) -> None:
        if check.faults:
            self._faulty.append(check)


def _summed_up(faulty: list[OutputCheck]) -> Iterator[str]:
    if len(faulty) == 1:
        yield f"{faulty[0].file}: {faulty[0].faults[0]}"
    elif faulty:
        first = f"{faulty[0].file}: {faulty[0].faults[0]}"
        yield f"{len(faulty):,} files have faults, the first is {first}"


def _added(total: DirectoryCheck, check: OutputCheck) -> DirectoryCheck:
    """Return what is known of a directory with a further file of it."""
    ends = (check.smallest_length, check.largest_length)
    lengths = [
        length
        for length in (total.smallest_length, total.largest_length, *ends)
        if length is not None
    ]
    straight = [one for one in (total.all_length_1, check.all_length_1) if one is not None]
    rows = total.rows if check.rows is None else (total.rows or 0) + check.rows
    return replace(
        total,
        parts_read=total.parts_read + 1,
        rows=rows,
        columns=total.columns or check.columns,
        dimension=total.dimension or check.dimension,
        number_type=total.number_type or check.number_type,
        metadata=total.metadata or check.metadata,
        smallest_length=min(lengths, default=None),
        largest_length=max(lengths, default=None),
        all_length_1=all(straight) if straight else None,
        **{name: getattr(total, name) + getattr(check, name) for name in _SUMMED},
    )


# --- What it must not have -----------------------------------------------------------------------


def _contradictions(
    record: PartRecord, check: OutputCheck, size: int, rejected: int
) -> Iterator[str]:
    """Yield what was noted of a part and is not so."""
    if size != record.bytes:
        yield f"it has {size:,} bytes, and its record says {record.bytes:,}"
    if check.rows is not None and check.rows != record.rows_out:
        yield f"it has {check.rows:,} rows, and its record says {record.rows_out:,}"
    if rejected != record.rejected_bytes:
        said = record.rejected_bytes
        yield f"its rejected rows take {rejected:,} bytes, and its record says {said:,}"


def _other_columns(check: OutputCheck, first: OutputCheck) -> str:
    """Return in which column a file differs from the first, or nothing.

    The types of JSON lines depend on the values that a file happens to hold: of them only names
    are held against each other.
    """
    ours, theirs = list(check.columns.items()), list(first.columns.items())
    if OutputFormat.JSONL in (output_format_of(check.file), output_format_of(first.file)):
        ours, theirs = [(name, "") for name, _ in ours], [(name, "") for name, _ in theirs]
    for our, their in zip_longest(ours, theirs, fillvalue=("none", "")):
        if our != their:
            return f"{' '.join(our).strip():.80}, there {' '.join(their).strip():.80}"
    return ""
