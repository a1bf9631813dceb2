"""What URIs of stores stand for: files, directories and patterns, as paths do on a disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fnet_cli.encoding.readers.patterns import ANY_DEPTH, MAGIC, fixed_parts, is_hidden, matches
from fnet_cli.encoding.readers.places import StoredFile
from fnet_cli.errors import InputDataError, UsageError
from fnet_cli.patience import interruptible
from fnet_cli.stores import Stores, file_info, store_errors

# The parts of a path from a directory on, and what the store says of what is there.
Below = tuple[str, ...]
Found = tuple[Below, Any]


class Listing:
    """Finds the files of URIs. `files` are those found so far, with what the store said of them."""

    def __init__(self, stores: Stores) -> None:
        self.files: dict[str, StoredFile] = {}
        self._stores = stores

    def found(self, uri: str) -> tuple[list[str], int | None]:
        """Return the files of a URI, and from which part of their paths on keys count, if any.

        What is there under that very name comes first. Raises InputDataError for a pattern that
        matches directories only, UsageError for one of buckets, and NetworkError.
        """
        with _errors(uri):
            return interruptible(lambda: self._found(uri))

    def _found(self, uri: str) -> tuple[list[str], int | None]:
        filesystem, path = self._stores.place(uri)
        is_pattern = MAGIC.search(uri) is not None
        if is_pattern and MAGIC.search(uri.split("/")[2]):
            raise UsageError(f"{uri:.200}: a pattern cannot stand for several stores")
        info = file_info(filesystem, path)
        if info.is_file:
            self._note(uri, filesystem, info)
            return [uri], None
        tree = _Tree(filesystem, path)
        if _is_directory(info):
            return self._noted(uri, tree, tree.files(())), len(Path(uri).parts)
        if not is_pattern:
            self.files[uri] = StoredFile(uri, self._stores)  # which says that it is not there
            return [uri], None
        return self._matching(uri), fixed_parts(uri)

    def _matching(self, uri: str) -> list[str]:
        parts = uri.rstrip("/").split("/")
        fixed = next(at for at, part in enumerate(parts) if MAGIC.search(part))
        root = "/".join(parts[:fixed])
        tree = _Tree(*self._stores.place(root))
        found = list(tree.matching((), parts[fixed:]))
        files = [(below, info) for below, info in found if info is not None]
        if found and not files:
            raise InputDataError(
                f"{uri}: it matches directories only",
                hint=f"'{uri.rstrip('/')}/{ANY_DEPTH}' matches the files in them",
            )
        return self._noted(root, tree, iter(files))

    def _noted(self, root: str, tree: _Tree, found: Iterator[Found]) -> list[str]:
        names = []
        for below, info in found:
            name = "/".join((root.rstrip("/"), *below))
            self._note(name, tree.filesystem, info)
            names.append(name)
        return names

    def _note(self, uri: str, filesystem: Any, info: Any) -> None:
        self.files[uri] = StoredFile.listed(uri, self._stores, filesystem, info)


class _Tree:
    """What is below a directory of a store, by the parts of the paths from there on."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self.filesystem = filesystem
        self._root = root.rstrip("/")

    def files(self, below: Below) -> Iterator[Found]:
        """Yield the files at any depth that are not hidden."""
        for path, info in self._entries(below, recursive=True):
            if info.is_file and not any(map(is_hidden, path[len(below) :])):
                yield path, info

    def matching(self, below: Below, pattern: Sequence[str]) -> Iterator[Found]:
        """Yield files, and directories without a FileInfo, that match.

        Only directories on the way are listed, so that a pattern at a bucket's root does not list
        all of it.
        """
        if self.filesystem.type_name == "gcs":
            yield from self._matching_files(pattern)
            return
        first, rest = pattern[0], pattern[1:]
        if first == ANY_DEPTH:
            for path, info in self.files(below):
                if matches(path[len(below) :], pattern):
                    yield path, info
            return
        for path, info in self._entries(below, recursive=False):
            if is_hidden(path[-1]) or not matches(path[-1:], [first]):
                continue
            if not rest:
                yield path, info if info.is_file else None
            elif _is_directory(info):
                yield from self.matching(path, rest)

    def _matching_files(self, pattern: Sequence[str]) -> Iterator[Found]:
        """Yield what matches, by the names of all files.

        Google's listings of one level leave out directories that only names of files state.
        """
        for path, info in self.files(()):
            for depth in range(1, len(path) + 1):
                if matches(path[:depth], pattern):
                    yield path[:depth], info if depth == len(path) else None

    def _entries(self, below: Below, *, recursive: bool) -> Iterator[Found]:
        from pyarrow import fs

        directory = "/".join((self._root, *below))
        selector = fs.FileSelector(directory, recursive=recursive, allow_not_found=True)
        for info in self.filesystem.get_file_info(selector):
            inner = info.path.strip("/").removeprefix(self._root.strip("/")).strip("/")
            yield tuple(inner.split("/")), info


def _is_directory(info: Any) -> bool:
    from pyarrow import fs

    return bool(info.type == fs.FileType.Directory)


def _errors(uri: str) -> AbstractContextManager[None]:
    return store_errors(uri, InputDataError(f"{uri}: no such file"))
