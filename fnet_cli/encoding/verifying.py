"""Whether an output can be trusted: a file of embeddings, or a directory of such files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fnet_cli.config import Settings
from fnet_cli.constants import EMBEDDING_COLUMN
from fnet_cli.encoding.examining import OutputCheck, examine
from fnet_cli.encoding.examining_parts import Directory, DirectoryCheck, examine_directory
from fnet_cli.encoding.output.journal import SUFFIX, JobDirectory
from fnet_cli.encoding.output.parts import JOB, SUCCESS, PartsDirectory, has_parts
from fnet_cli.encoding.output.places import LocalPlace
from fnet_cli.encoding.output.stored_place import StoredPlace
from fnet_cli.encoding.output.target import output_format_of
from fnet_cli.encoding.readers.patterns import is_hidden
from fnet_cli.encoding.readers.places import InputFile, StoredFile
from fnet_cli.errors import InputDataError, OutputError, UsageError
from fnet_cli.stores import Stores, check_uri, is_uri, local_path
from fnet_cli.units import show_count


def verify_output(path: str, column: str = EMBEDDING_COLUMN) -> OutputCheck | DirectoryCheck:
    """Read a file of embeddings, or a directory of them, in constant memory; say what it holds.

    Files are Parquet or JSON lines. A directory of parts is held against the records of its job.
    Raises InputDataError where there is neither a file nor an unfinished job, or what is there
    cannot be opened, and UsageError for a suffix that no output has. What is wrong with the output
    itself is among the `faults`.
    """
    return verify_outputs([path], column)[0]


def verify_outputs(
    paths: Sequence[str], column: str = EMBEDDING_COLUMN, settings: Settings | None = None
) -> list[OutputCheck | DirectoryCheck]:
    """Check several outputs, as `verify_output` does; all are looked up before one is read.

    A URI is of a file or a directory in a store, to which `settings` give access; raises
    NetworkError, too.
    """
    stores = Stores(settings or Settings())
    return [_checked(found, column) for found in [_find(path, stores) for path in paths]]


@dataclass(frozen=True)
class OutputFiles:
    """The files of an output that can be read: what opens each, by the name it is shown under.

    `notes` says what is missing of it.
    """

    files: Mapping[str, str | InputFile]
    notes: tuple[str, ...] = ()


def find_files(path: str, settings: Settings | None = None) -> OutputFiles:
    """Return the files of an output: one file, or those of a directory, also in a store.

    Raises as `verify_outputs`, and InputDataError for a job that has no file to show yet.
    """
    found = _find(path, Stores(settings or Settings()))
    if isinstance(found, _File):
        if not found.is_file:
            raise InputDataError(
                f"{path}: the job has not ended",
                hint="the same fnet encode command with --resume goes on with it",
            )
        return OutputFiles({found.path: found.path})
    with _listing_errors(found.name):
        files = {name: found.opening(name) for name in found.files()}
        ended = not found.has_journal or SUCCESS in found.present
    if not files:
        raise InputDataError(
            f"{path}: the job has not ended, and no part of it is there yet",
            hint="the same fnet encode command with --resume goes on with it",
        )
    parts = show_count(len(files), "part")
    return OutputFiles(files, () if ended else (f"The job has not ended: {parts} so far.",))


@contextmanager
def _listing_errors(name: str) -> Iterator[None]:
    """Turn what the disk says of a directory into InputDataError."""
    try:
        yield
    except OSError as error:
        raise InputDataError(f"{error.filename or name}: {error.strerror}") from error


@dataclass(frozen=True)
class _File:
    """What is there under the name of a file: it, a job that has not ended, or both."""

    path: str
    place: str | StoredFile
    is_file: bool
    unfinished_job: bool
    unfinished_rows: int | None


def _checked(found: _File | Directory, column: str) -> OutputCheck | DirectoryCheck:
    if isinstance(found, Directory):
        return examine_directory(found, column)
    if found.is_file:
        check = examine(found.place, column, found.path)
    else:
        kept = "it is of another version of fnet"
        if found.unfinished_rows is not None:
            kept = f"{found.unfinished_rows:,} rows are kept, and --resume goes on"
        check = OutputCheck(found.path, faults=(f"the job has not ended: {kept}",))
    return replace(
        check, unfinished_job=found.unfinished_job, unfinished_rows=found.unfinished_rows
    )


def _find(name: str, stores: Stores) -> _File | Directory:
    if not name:  # a variable that is not set
        raise UsageError("the name of a file is empty")
    if is_uri(name):
        check_uri(name)
    path = local_path(name)
    if is_uri(path):
        return _stored_file(path, stores) or _stored_directory(path, stores)
    try:
        if Path(path).is_dir():
            return _directory(path)
    except OSError as error:  # of a name that is too long, or a directory in it
        raise InputDataError(f"{error.filename or path}: {error.strerror}") from error
    if path.endswith("/"):
        raise InputDataError(f"{path}: no such directory")
    return _file(path)


# --- A file, and the job beside it ---------------------------------------------------------------


def _file(path: str) -> _File:
    if output_format_of(path) is None:
        raise UsageError(
            f"{path}: the suffix is none of an output",
            hint="name .parquet or .jsonl, or a directory",
        )
    # A job works beside the file that links lead to.
    job = JobDirectory(Path(os.path.realpath(path)))
    unfinished, rows = _left_by(job)
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):  # opening a pipe would wait
            Path(path).open("rb").close()
    except FileNotFoundError:
        if unfinished:
            return _File(path, path, False, unfinished, rows)
        empty = job.path.is_dir()
        hint = f"{job.path.name} is there, but nothing in it to go on with" if empty else ""
        raise InputDataError(f"{path}: no such file", hint=hint) from None
    except OSError as error:
        raise InputDataError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise InputDataError(f"{path}: is not a regular file")
    return _File(path, path, True, unfinished, rows)


def _left_by(job: JobDirectory) -> tuple[bool, int | None]:
    """Return whether a job has not ended, and how many rows it keeps, where that can be told."""
    try:
        if has_parts(job.path):
            directory = PartsDirectory.at(LocalPlace(job.path, whole=job.output))
            return True, directory.rows_kept()
        saved = job.saved()
    except OutputError:  # of another version
        return True, None
    except OSError as error:
        # No job has such a directory; whatever else is refused may hide one.
        if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
            return False, None
        raise InputDataError(f"{job.path}: {error.strerror}") from error
    if saved is None:
        return False, None
    return True, max(0, saved.checkpoint.counts.rows_out) if saved.checkpoint else 0


# --- A directory ---------------------------------------------------------------------------------


def _directory(path: str) -> Directory:
    if Path(path).name.endswith(SUFFIX):
        output = path.rstrip("/").removesuffix(SUFFIX)
        raise InputDataError(
            f"{path}: here works a job that has not ended", hint=f"name its output: {output}"
        )
    # What may not be listed would be taken for missing, or for no part of a job; links to
    # directories are not followed, and what they lead to would be passed over in silence.
    for above, names, _ in os.walk(path, onerror=_refuse_unreadable):
        for inner in (Path(above, name) for name in names if not is_hidden(name)):
            if inner.is_symlink():
                raise InputDataError(f"{inner}: is a link", hint="name the directory it leads to")
    return _with_files(Directory(path, LocalPlace(Path(path)), lambda at: str(Path(path, at))))


def _refuse_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a job has just put it elsewhere
        raise error


def _stored_file(uri: str, stores: Stores) -> _File | None:
    """Return the file of a URI, or the job that has not ended with it; None where there is none."""
    if uri.endswith("/") or output_format_of(uri) is None:
        return None
    place = StoredPlace(uri + SUFFIX, stores, whole=uri)
    is_file, unfinished = place.whole_exists(), place.read(JOB) is not None
    if not (is_file or unfinished):
        return None
    rows = PartsDirectory.at(place).rows_kept() if unfinished else None
    return _File(uri, StoredFile(uri, stores), is_file, unfinished, rows)


def _stored_directory(uri: str, stores: Stores) -> Directory:
    place = StoredPlace(uri, stores)
    try:
        return _with_files(
            Directory(uri, place, lambda at: StoredFile(f"{place.name}/{at}", stores))
        )
    except OutputError as error:
        raise InputDataError(f"{uri}: no such directory") from error


def _with_files(directory: Directory) -> Directory:
    """Return the directory; InputDataError where nothing in it could be an output."""
    if not directory.has_journal and not directory.files():
        raise InputDataError(
            f"{directory.name}: there is no Parquet or JSON lines file in it",
        )
    return directory
