"""Begin a job in processes that end at the first, the second, every call to the system.

Run as a program, with a directory: forking wants a process without threads. Prints how many
moments there were; any after which the job cannot be begun is an error.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import traceback

import pyarrow as pa
from filelock import SoftFileLock

from fnet_cli import locks
from fnet_cli.encoding.options import Compression, OutputFormat, Restart
from fnet_cli.encoding.output.opening import open_output
from fnet_cli.encoding.output.parts import PartsDirectory
from fnet_cli.encoding.output.places import LocalPlace
from fnet_cli.encoding.output.target import OutputTarget

JOB = {"inputs": []}
locks._EMPTY_SECONDS = 0.1


def begin_file(home: pathlib.Path) -> None:
    schema = pa.schema([("id", pa.int64())])
    target = OutputTarget(home / "out", OutputFormat.PARQUET, Compression.ZSTD, schema, 5, None)
    with open_output(target, JOB, Restart.RESUME, None, lambda _kept: None) as output:
        output.close([])


def begin_parts(home: pathlib.Path) -> None:
    finish(PartsDirectory(LocalPlace(home / "out"), OutputFormat.PARQUET, 0))


def begin_joined(home: pathlib.Path) -> None:
    place = LocalPlace(home / "out.fnet", whole=home / "out")
    finish(PartsDirectory(place, OutputFormat.JSONL, 0))


def finish(directory: PartsDirectory) -> None:
    with directory.begun(JOB, Restart.RESUME) as done:
        directory.finish(done)


# How a job begins, where its lock is, and what is there when it has ended.
JOBS = {
    begin_file: ("out.fnet/lock", ["out"]),
    begin_parts: ("out/_fnet/lock", ["out", "out/_SUCCESS", "out/_fnet", "out/_fnet/job.json"]),
    begin_joined: ("out.fnet/lock", ["out"]),
}


def in_child(act, *arguments) -> int:
    child = os.fork()
    if not child:
        try:
            act(*arguments)
        except BaseException:  # noqa: BLE001 - a forked process ends here
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hold(lock: pathlib.Path) -> None:
    SoftFileLock(lock).acquire()


def begin_and_die(begin, home: pathlib.Path, call: int) -> None:
    left = call

    def count(_frame, event: str, called) -> None:
        nonlocal left
        if event == "c_call" and called.__module__ == "posix":
            if not left:
                os._exit(9)
            left -= 1

    sys.setprofile(count)
    begin(home)
    sys.setprofile(None)


def is_survived(begin, home: pathlib.Path, call: int, *, is_stale: bool) -> bool:
    """Whether a job ended before it came to its `call`-th call to the system."""
    lock, left = JOBS[begin]
    home.mkdir()
    if is_stale:
        (home / lock).parent.mkdir(parents=True)
        assert in_child(hold, home / lock) == 0
    ended = in_child(begin_and_die, begin, home, call)
    assert ended in (0, 9), ended
    if not (home / "out").is_file():  # that is not to be replaced
        assert in_child(begin, home) == 0, (begin, call, sorted(home.rglob("*")))
        found = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
        assert found == left, (begin, call, found)
    shutil.rmtree(home)
    return ended == 0


if __name__ == "__main__":
    for each, stale in (*((job, False) for job in JOBS), (begin_parts, True)):
        moments = 0
        while not is_survived(each, pathlib.Path(sys.argv[1], "job"), moments, is_stale=stale):
            moments += 1
        sys.stdout.write(f"{moments}\n")
