"""Files laid end to end that are one file: what has to stand behind the last of them."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from fnet_cli.encoding.options import OutputFormat
from fnet_cli.encoding.output.parquet_parts import JoinedFooter, footers_in
from fnet_cli.errors import IntegrityError


class Joint(Protocol):
    """What is learnt of files while they are laid end to end."""

    def add(self, file: BinaryIO, end: int, size: int) -> None:
        """Take in the next one, whose `size` bytes end at `end` of an open file."""

    def end(self) -> bytes:
        """Return what is to stand behind the last one."""


class ParquetJoint:
    """Parquet files of `rows` rows; raises ThriftError for what is none.

    IntegrityError where they have more or fewer: before the last byte, so that nothing appears.
    """

    def __init__(self, rows: int) -> None:
        self._footer = JoinedFooter()
        self._rows = rows
        self._start = 0

    def add(self, file: BinaryIO, end: int, size: int) -> None:
        """Take in a file's footer, as that of rows that stand behind those before."""
        for footer in footers_in(file, [end]):
            self._footer.add(footer, self._start)
        self._start += size

    def end(self) -> bytes:
        """Return the footer of all."""
        if self._footer.rows != self._rows:
            raise IntegrityError(
                f"the parts have {self._footer.rows:,} rows, and {self._rows:,} were written",
                hint="--overwrite starts again",
            )
        return self._footer.dump()


class LinesJoint:
    """JSON lines files, which need nothing to be one."""

    def add(self, file: BinaryIO, end: int, size: int) -> None:
        """Learn nothing."""

    def end(self) -> bytes:
        """Return nothing."""
        return b""


def joint_of(kind: OutputFormat, rows: int) -> Joint:
    """Return what joins files of a format that have so many rows."""
    return ParquetJoint(rows) if kind is OutputFormat.PARQUET else LinesJoint()
