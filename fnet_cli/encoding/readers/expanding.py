"""From what a user names as inputs to files: directories, patterns, and what their paths say."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from fnet_cli.config import Settings
from fnet_cli.encoding.options import EncodeOptions, InputFormat, OnError
from fnet_cli.encoding.output.target import rejected_path
from fnet_cli.encoding.readers.opening import STANDARD_STREAM
from fnet_cli.encoding.readers.patterns import (
    ANY_DEPTH,
    MAGIC,
    fixed_parts,
    is_hidden,
    matches,
)
from fnet_cli.encoding.readers.places import StoredFile
from fnet_cli.encoding.readers.stored import Listing
from fnet_cli.encoding.readers.suffixes import KNOWN_SUFFIXES, format_of
from fnet_cli.errors import InputDataError, UsageError
from fnet_cli.stores import Stores, check_uri, is_uri, local_path

# As Hive writes a null.
_RENAME = "rename it; where the locale is C, export LC_ALL=C.UTF-8 first"
_NULL = "__HIVE_DEFAULT_PARTITION__"
# Written as a program would write it: 007 is a name.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class InputFiles:
    """The files of a job, in order.

    `partitions` has for each, by key, what the directories on its path state as `key=value`: a
    scalar of the type that holds all values of the key, and nothing for a file named as such.
    `stored` has those that are in a store.
    """

    files: tuple[str, ...]
    partitions: tuple[Mapping[str, pa.Scalar], ...] = ()
    stored: Mapping[str, StoredFile] = field(default_factory=dict)

    def place(self, name: str) -> str | StoredFile:
        """Return what opens one of the files."""
        return self.stored.get(name, name)


def expanded(options: EncodeOptions, settings: Settings) -> tuple[EncodeOptions, InputFiles]:
    """Return the options with files for inputs, and what is known of these.

    Raises as `expand`, and UsageError where one of them is written.
    """
    written = _written(options)
    files = expand(options.inputs, options.input_format, written, Stores(settings))
    return replace(options, inputs=files.files), files


def _written(options: EncodeOptions) -> dict[str, str]:
    """Return the files that a job writes, by where they are, as they are called."""
    if options.output == STANDARD_STREAM:
        return {}
    if is_uri(options.output):
        return {options.output.rstrip("/"): options.output}
    path = os.path.realpath(options.output)
    rejected = str(rejected_path(Path(path)))
    is_kept = options.on_error is OnError.QUARANTINE
    return {path: options.output} | ({rejected: rejected} if is_kept else {})


def _refuse_written(found: Sequence[str], written: Mapping[str, str]) -> None:
    for name in found if written else ():
        path = name if is_uri(name) else os.path.realpath(name)
        # Also what is below it, where it is a directory of parts.
        for place in _and_above(path) if name != STANDARD_STREAM else ():
            if output := written.get(place):
                what = "is an input and the output"
                if place != path:
                    what = f"is the output, and has the input {name} in it"
                raise UsageError(f"{output} {what}", hint="write elsewhere")


def _and_above(path: str) -> Iterator[str]:
    """Yield a path or URI and the directories that it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def expand(
    inputs: Sequence[str],
    forced: InputFormat | None,
    written: Mapping[str, str] | None = None,
    stores: Stores | None = None,
) -> InputFiles:
    """Return the files that `inputs` name.

    A directory stands for the files below it that have the suffix of a format, or all of them with
    a format by force; a pattern, unless a file has that very name, for those that it matches. Both
    leave out what is hidden, that is, has a name with `.` or `_` in front, and unfinished jobs, and
    are sorted by path. Raises InputDataError where there are none, or of several formats, where a
    directory cannot be read, and for names that are no UTF-8: they could be written nowhere. So is
    it with the URIs of stores, for which UsageError and NetworkError are raised, too.
    """
    files: list[str] = []
    stated: list[dict[str, str | None]] = []
    listing = Listing(stores or Stores(Settings()))
    for name in _names(inputs):
        found, depth = _found(name, forced, listing)
        _refuse_written(found, written or {})  # before its path is found to state no keys
        files += found
        stated += [{}] * len(found) if depth is None else _stated(found, depth)
    for path in files:
        if not _is_utf8(path):
            shown = os.fsencode(path).decode(errors="backslashreplace")
            raise InputDataError(f"{shown}: its name is not UTF-8", hint=_RENAME)
    return InputFiles(tuple(files), tuple(_typed(stated)), listing.files)


def _names(inputs: Sequence[str]) -> list[str]:
    """Return inputs, those on this machine as paths; raises before anything is asked of a store."""
    for name in inputs:
        if is_uri(name):
            check_uri(name)
    return [local_path(name) for name in inputs]


def _found(name: str, forced: InputFormat | None, listing: Listing) -> tuple[list[str], int | None]:
    """Return the files of an input, and from which part of their paths on keys count, if any."""
    if is_uri(name):
        found, depth = listing.found(name)
        return (found if depth is None else _checked(found, name, forced)), depth
    try:
        if name == STANDARD_STREAM or Path(name).is_file():
            return [name], None
        if Path(name).is_dir():
            paths = (str(Path(name, *parts)) for parts in _below(name))
            return _checked(list(paths), name, forced), len(Path(name).parts)
    except OSError as error:  # of a directory on the way, or a name that is too long
        raise InputDataError(f"{error.filename or name}: {error.strerror}") from error
    if not MAGIC.search(name):
        return [name], None  # said of where it is opened
    return _checked(_matching(name), name, forced), fixed_parts(name)


def _below(root: str) -> Iterator[tuple[str, ...]]:
    """Yield the paths, from `root` on, of the files below it that are not hidden.

    Links are followed, but for one that leads back to a directory on its own path. Raises OSError
    for a directory that cannot be read: its rows would be missing in silence.
    """
    waiting: list[tuple[tuple[str, ...], frozenset[tuple[int, int]]]] = [((), frozenset())]
    while waiting:
        parts, above = waiting.pop()
        directory = Path(root, *parts)
        about = directory.stat()
        here = (about.st_dev, about.st_ino)
        if here in above:
            continue
        with os.scandir(directory) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    waiting.append(((*parts, entry.name), above | {here}))
                else:
                    yield (*parts, entry.name)


def _matching(pattern: str) -> list[str]:
    """Return the files that a pattern matches and that are not hidden."""
    parts, fixed = Path(pattern).parts, fixed_parts(pattern)
    if ANY_DEPTH not in parts:
        matched = glob.glob(pattern)  # noqa: PTH207 - a pattern with its root
        shown = [path for path in matched if not any(map(is_hidden, Path(path).parts[fixed:]))]
        files = [path for path in shown if Path(path).is_file()]
        if shown and not files:
            raise InputDataError(
                f"{pattern}: it matches directories only",
                hint=f"'{pattern.rstrip('/')}/{ANY_DEPTH}' matches the files in them",
            )
        return files
    # Not left to glob, which goes around in links that lead back.
    at = parts.index(ANY_DEPTH)
    roots = _matching_directories(parts[:at], fixed)
    try:
        return [
            str(Path(root, *below))
            for root in roots
            for below in _below(root)
            if matches(below, parts[at:])
        ]
    except OSError as error:
        raise InputDataError(f"{error.filename}: {error.strerror}") from error


def _matching_directories(parts: Sequence[str], fixed: int) -> list[str]:
    found = glob.glob(str(Path(*parts)))  # noqa: PTH207 - a pattern with its root
    return [
        path
        for path in found
        if Path(path).is_dir() and not any(map(is_hidden, Path(path).parts[fixed:]))
    ]


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked(found: list[str], name: str, forced: InputFormat | None) -> list[str]:
    """Return files in order: those of the one format that there is."""
    files = sorted(found, key=lambda path: Path(path).parts)
    if forced is None:
        files = [path for path in files if format_of(path) is not None]
    if not files:
        raise InputDataError(
            f"{name}: there is no file to read",
            hint=f"looked for {', '.join(KNOWN_SUFFIXES)}; --input-format takes every file",
        )
    first = files[0]
    other = next((path for path in files if format_of(path) is not format_of(first)), None)
    if forced is None and other is not None:
        raise InputDataError(
            f"{name}: {first} and {other} are of different formats",
            hint="name the files of one format with a pattern, such as 'data/**/*.parquet'",
        )
    return files


def _stated(found: Sequence[str], depth: int) -> list[dict[str, str | None]]:
    """Return for each file of an input what its path states; raises where the keys differ."""
    stated = [_keys(path, depth) for path in found]
    for path, values in zip(found, stated, strict=True):
        if list(values) != list(stated[0]):
            raise InputDataError(
                f"{path}: its path states {', '.join(values) or 'no key'}, that of {found[0]} "
                f"{', '.join(stated[0]) or 'none'}",
                hint="encode directories that are partitioned in other ways one by one",
            )
    return stated


def _keys(path: str, depth: int) -> dict[str, str | None]:
    """Return what the directories from the `depth`-th part on state, in their order."""
    directories = Path(path).parts[depth:-1]
    pairs = [part.split("=", 1) for part in directories if re.match(r"[^=]+=", part)]
    try:
        decoded = [
            (unquote(key, errors="strict"), unquote(value, errors="strict")) for key, value in pairs
        ]
    except UnicodeDecodeError:
        raise InputDataError(f"{path}: what its path states is not UTF-8") from None
    keys = dict(decoded)
    if len(keys) < len(pairs):
        raise InputDataError(f"{path}: its path states a key twice")
    return {key: None if value == _NULL else value for key, value in keys.items()}


def _typed(stated: Sequence[Mapping[str, str | None]]) -> list[dict[str, pa.Scalar]]:
    """Return the values as scalars: int64 where all of a key are integers, else text."""
    texts: dict[str, list[str]] = {}
    for values in stated:
        for key, value in values.items():
            texts.setdefault(key, []).extend([] if value is None else [value])
    made = {key: _scalars(present) for key, present in texts.items()}
    return [{key: made[key](value) for key, value in values.items()} for values in stated]


def _scalars(present: Sequence[str]) -> Callable[[str | None], pa.Scalar]:
    """Return what makes a scalar of a value of a key that has these."""
    if present and all(_INTEGER.fullmatch(text) and int(text) in _INT64 for text in present):
        return lambda text: pa.scalar(None if text is None else int(text), pa.int64())
    return lambda text: pa.scalar(text, pa.string())
