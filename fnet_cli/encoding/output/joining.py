"""Files laid end to end that are one file: what has to stand behind the last of them."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from fnet_cli.encoding.options import OutputFormat
from fnet_cli.encoding.output.parquet_parts import JoinedFooter, footers_in


class Joint(Protocol):
    """What is learnt of files while they are laid end to end."""

    def add(self, file: BinaryIO, end: int, size: int) -> None:
        """Take in the next one, whose `size` bytes end at `end` of an open file."""

    def end(self) -> bytes:
        """Return what is to stand behind the last one."""

    @property
    def rows(self) -> int | None:
        """How many rows the files say that they have, None where they say nothing."""


class ParquetJoint:
    """Parquet files; raises ThriftError for what is none."""

    def __init__(self) -> None:
        self._footer = JoinedFooter()
        self._start = 0

    def add(self, file: BinaryIO, end: int, size: int) -> None:
        """Take in a file's footer, as that of rows that stand behind those before."""
        for footer in footers_in(file, [end]):
            self._footer.add(footer, self._start)
        self._start += size

    def end(self) -> bytes:
        """Return the footer of all."""
        return self._footer.dump()

    @property
    def rows(self) -> int | None:
        """The rows of all footers."""
        return self._footer.rows


class LinesJoint:
    """JSON lines files, which need nothing to be one."""

    rows: int | None = None

    def add(self, file: BinaryIO, end: int, size: int) -> None:
        """Learn nothing."""

    def end(self) -> bytes:
        """Return nothing."""
        return b""


def joint_of(kind: OutputFormat) -> Joint:
    """Return what joins files of a format."""
    return ParquetJoint() if kind is OutputFormat.PARQUET else LinesJoint()
