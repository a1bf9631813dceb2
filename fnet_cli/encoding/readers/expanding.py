"""From what a user names as inputs to files: directories, patterns, and what their paths say."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from fnet_cli.encoding.options import EncodeOptions, InputFormat
from fnet_cli.encoding.output.journal import SUFFIX as JOB_SUFFIX
from fnet_cli.encoding.readers.opening import KNOWN_SUFFIXES, STANDARD_STREAM, format_of
from fnet_cli.errors import InputDataError

_MAGIC = re.compile(r"[*?\[]")
# As Hive writes a null.
_NULL = "__HIVE_DEFAULT_PARTITION__"
# What int64 holds, written as a program would: 007 is a name.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class InputFiles:
    """The files of a job, in order.

    `partitions` has, by file, the values that the directories on its path state as `key=value`;
    each a scalar of the type that holds all of its key.
    """

    files: tuple[str, ...]
    partitions: Mapping[str, Mapping[str, pa.Scalar]] = field(default_factory=dict)


def expanded(options: EncodeOptions) -> tuple[EncodeOptions, InputFiles]:
    """Return the options with files for inputs, and what is known of these; raises as `expand`."""
    files = expand(options.inputs, options.input_format)
    return replace(options, inputs=files.files), files


def expand(inputs: Sequence[str], forced: InputFormat | None) -> InputFiles:
    """Return the files that `inputs` name.

    A directory stands for the files below it that have the suffix of a format, or all of them with
    a format by force; a pattern, unless a file has that very name, for those that it matches. Both
    leave out what is hidden, that is, has a name with `.` or `_` in front, and unfinished jobs, and
    are sorted by path. Raises InputDataError where there are none, or of several formats.
    """
    files: list[str] = []
    stated: dict[str, dict[str, str]] = {}
    for name in inputs:
        if name == STANDARD_STREAM or Path(name).is_file():
            files.append(name)
            continue
        if Path(name).is_dir():
            found, depth = _in_directory(name, forced), len(Path(name).parts)
        elif _MAGIC.search(name):
            found, depth = _matching(name, forced), _fixed_parts(name)
        else:  # said of where it is opened
            files.append(name)
            continue
        for path in found:
            stated[path] = _keys(path, depth)
        files += found
    return InputFiles(tuple(files), _typed(stated))


def _in_directory(name: str, forced: InputFormat | None) -> list[str]:
    found = [
        str(path)
        for directory, names, children in os.walk(name, followlinks=True)
        for path in (Path(directory, child) for child in _visible(names, children))
    ]
    return _checked(found, name, forced)


def _visible(directories: list[str], files: list[str]) -> Iterator[str]:
    """Yield the names of files that count, and keep the walk out of directories that do not."""
    directories[:] = [name for name in directories if not _is_hidden(name)]
    yield from (name for name in files if not _is_hidden(name))


def _matching(pattern: str, forced: InputFormat | None) -> list[str]:
    fixed = _fixed_parts(pattern)
    found = [
        path
        for path in glob.glob(pattern, recursive=True)  # noqa: PTH207 - a pattern with its root
        if Path(path).is_file() and not any(map(_is_hidden, Path(path).parts[fixed:]))
    ]
    return _checked(found, pattern, forced)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith(JOB_SUFFIX)


def _fixed_parts(pattern: str) -> int:
    """Return how many parts of a pattern are before its first wildcard."""
    parts = Path(pattern).parts
    return next(index for index, part in enumerate(parts) if _MAGIC.search(part))


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


def _keys(path: str, depth: int) -> dict[str, str]:
    """Return what the directories from the `depth`-th part on state, in their order."""
    directories = Path(path).parts[depth:-1]
    pairs = [part.split("=", 1) for part in directories if re.match(r"[^=]+=", part)]
    keys = [unquote(key) for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise InputDataError(f"{path}: its path states a key twice")
    return {key: unquote(value) for key, (_, value) in zip(keys, pairs, strict=True)}


def _typed(stated: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, pa.Scalar]]:
    """Return the values as scalars: int64 where all of a key are integers, else text."""
    first = next(iter(stated), None)
    if first is None:
        return {}
    for path, values in stated.items():
        if list(values) != list(stated[first]):
            raise InputDataError(
                f"{path}: its path states {', '.join(values) or 'no key'}, that of {first} "
                f"{', '.join(stated[first]) or 'none'}",
                hint="encode directories that are partitioned in other ways one by one",
            )
    columns = {}
    for key in stated[first]:
        texts = [None if values[key] == _NULL else values[key] for values in stated.values()]
        columns[key] = _column(texts)
    return {
        path: {key: columns[key][index] for key in values}
        for index, (path, values) in enumerate(stated.items())
    }


def _column(texts: list[str | None]) -> pa.Array:
    present = [text for text in texts if text is not None]
    if present and all(_INTEGER.fullmatch(text) for text in present):
        return pa.array([None if text is None else int(text) for text in texts], pa.int64())
    return pa.array(texts, pa.string())
