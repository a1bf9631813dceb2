"""What a fake hub serves: bytes or a file on disk, with the digests hubs name them by."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import IO


class Content:
    """Bytes in memory or a file on disk; a digest is computed when it is first asked for."""

    def __init__(self, source: bytes | Path):
        self.source = source

    @cached_property
    def size(self) -> int:
        return self.source.stat().st_size if isinstance(self.source, Path) else len(self.source)

    @cached_property
    def md5(self) -> bytes:
        return self._digest("md5")

    @property
    def md5_base64(self) -> str:
        return base64.b64encode(self.md5).decode()

    @cached_property
    def sha256(self) -> str:
        return self._digest("sha256").hex()

    @cached_property
    def git_oid(self) -> str:
        return self._digest("sha1", b"blob %d\0" % self.size).hex()

    def open(self) -> IO[bytes]:
        return self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source)

    def read(self, offset: int, size: int) -> bytes:
        if isinstance(self.source, bytes):
            return self.source[offset : offset + size]
        with self.open() as file:
            file.seek(offset)
            return file.read(size)

    def _digest(self, algorithm: str, prefix: bytes = b"") -> bytes:
        digest = hashlib.new(algorithm, prefix)
        with self.open() as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return digest.digest()


def contents(files: Mapping[str, bytes | Path]) -> dict[str, Content]:
    return {name: Content(source) for name, source in files.items()}


def files_under(directory: Path) -> dict[str, bytes | Path]:
    """Return the files of a directory by the names that a hub would list them under."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path for path in paths}
