"""A limit on a job's memory that holds whatever the job does: its process is watched from outside.

Code that allocates without a pause gives a thread of its own process no turn to look. So this
process becomes a guard, and a child of it the job, whose output and exit code are this one's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from fnet_cli.errors import OutOfMemoryError
from fnet_cli.memory import family, resident_bytes
from fnet_cli.units import show_bytes

_POLL_SECONDS = 0.02
_HEARD = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
_TOLD_BY_A_PROCESS = 0  # as `si_code` has it, or less; what a terminal sends, the job gets as well
_DIE_WITH_PARENT = 1  # Linux' PR_SET_PDEATHSIG
_is_program = False


def allow_guards() -> None:
    """Say that this process is the program's own, and may become two."""
    global _is_program
    _is_program = True


def guard(limit: int | None, *, with_family: bool) -> bool:
    """Return in a child, which is the job, and guard it here; whether there is a guard.

    The child ends with its exit code this process, too. Raises OutOfMemoryError here where it took
    more than `limit` bytes, this process and, `with_family`, those that descend from it counted in,
    and where a signal ended it.
    """
    if limit is None or not _is_program:
        return False
    sys.stdout.flush()
    sys.stderr.flush()
    # Arrow would take a gigabyte of addresses at once, and none would be refused within it.
    os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    guarding, job = os.getpid(), os.fork()
    if not job:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != guarding:  # it has died before that
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return True
    status = _follow(job, limit, with_family=with_family)
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    name = signal.Signals(os.WTERMSIG(status)).name
    raise OutOfMemoryError(
        f"the job was ended by {name}: memory may have run out",
        hint="free some, or give a higher --memory-limit; --resume goes on from what is kept",
    )


def _follow(job: int, limit: int, *, with_family: bool) -> int:
    """Wait for a job's end and return its status; OutOfMemoryError where it takes too much."""
    while True:
        heard = signal.sigtimedwait(_HEARD, _POLL_SECONDS)
        ended, status = os.waitpid(job, os.WNOHANG)
        if ended:
            return status
        if heard and heard.si_signo != signal.SIGCHLD and heard.si_code <= _TOLD_BY_A_PROCESS:
            os.kill(job, heard.si_signo)
        counted = [*family(job)] if with_family else [job]
        used = sum(resident_bytes(process) or 0 for process in [os.getpid(), *counted])
        if used > limit:
            for process in reversed(family(job)):
                _kill(process)
            os.waitpid(job, 0)
            raise OutOfMemoryError(
                f"the job had {show_bytes(used)} in memory, over --memory-limit "
                f"{show_bytes(limit)}, and was ended",
                hint="give a higher --memory-limit; --resume goes on from what is kept",
            )


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
