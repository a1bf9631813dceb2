"""Join parts in processes that end at the first, the second, every call that changes the disk.

Run as a program, with a directory: forking wants a process without threads. Prints how many
moments there were; any that loses something is an error.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli.encoding.options import OutputFormat, Restart
from fnet_cli.encoding.output.parts import PartRecord, PartsDirectory
from fnet_cli.encoding.output.places import LocalPlace
from fnet_cli.errors import OutputError

PARTS, ROWS = 3, 5
JOB = {"inputs": []}


def directory_in(home: pathlib.Path) -> PartsDirectory:
    place = LocalPlace(home / "out.parquet.fnet", whole=home / "out.parquet")
    return PartsDirectory(place, OutputFormat.PARQUET, PARTS)


def make_parts(home: pathlib.Path) -> None:
    home.mkdir()
    directory = directory_in(home)
    with directory.begun(JOB, Restart.NEVER):
        for number in range(PARTS):
            grown = home / "grown"
            first = number * ROWS
            pq.write_table(pa.table({"id": range(first, first + ROWS)}), grown)
            directory.place.take(grown, directory.name_of(number))
            directory.note(number, PartRecord(rows_in=ROWS, rows_out=ROWS))


def join(home: pathlib.Path) -> None:
    directory = directory_in(home)
    with directory.begun(JOB, Restart.RESUME) as done:
        assert len(done) == PARTS, done
        directory.finish(done)


def die_at(call: int) -> None:
    """Let this process end at its `call`-th change of the disk, some of them half done."""
    left = call

    def counted(change: Callable, before: Callable | None = None) -> Callable:
        def wrapped(*arguments, **options):
            nonlocal left
            if not left:
                if before:
                    before(*arguments)
                os._exit(9)
            left -= 1
            return change(*arguments, **options)

        return wrapped

    def half(source, target, *_) -> None:
        data = source.read()
        target.write(data[: len(data) // 2])
        target.flush()

    shutil.copyfileobj = counted(shutil.copyfileobj, half)
    for home, name in (
        (os, "fdatasync"), (os, "fsync"), (pathlib.Path, "unlink"), (pathlib.Path, "replace"),
        (pathlib.Path, "rmdir"), (pathlib.Path, "touch"),
    ):  # fmt: skip
        setattr(home, name, counted(getattr(home, name)))


def is_survived(home: pathlib.Path, call: int) -> bool:
    """Whether joining ended before it came to its `call`-th change of the disk."""
    make_parts(home)
    child = os.fork()
    if not child:
        die_at(call)
        join(home)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, 9), ended
    if ended:
        try:
            join(home)
        except OutputError as error:  # all that was left to do was to tidy up
            assert str(error).endswith("out.parquet exists"), error
    assert [path.name for path in home.iterdir()] == ["out.parquet"], list(home.rglob("*"))
    assert pq.read_table(home / "out.parquet")["id"].to_pylist() == list(range(PARTS * ROWS))
    return ended == 0


if __name__ == "__main__":
    moments = 0
    while not is_survived(pathlib.Path(sys.argv[1], str(moments)), moments):
        moments += 1
    sys.stdout.write(f"{moments}\n")
