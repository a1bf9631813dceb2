"""The parts of a job made by several processes of this machine, who divide its cores or GPUs.

Each process loads the model once and encodes one fragment after the other straight into its part;
what comes back are counts. One that dies costs time only: parts that are done stay, others go on
from what has grown, and new processes take over.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Protocol

from fnet_cli import errors
from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.fragments import Fragment
from fnet_cli.encoding.model import Model, RanAs
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.output.parts import PartRecord
from fnet_cli.encoding.part import PartsPlan, encode_part
from fnet_cli.encoding.running import Work
from fnet_cli.errors import DeviceMemoryError, FnetError, StoppedError

_POLL_SECONDS = 0.1
# A fragment on which so many processes have died is likely to be the reason.
_MOST_ATTEMPTS = 3
# What a process writes about the part that it works on, for the job to see.
_READY, _ROWS, _TOKENS, _FIELDS = 0, 1, 2, 3


@dataclass(frozen=True)
class WorkDone:
    """What became of a fragment: the record of its part, or an error.

    `resumed` counts what was there of the part before.
    """

    record: PartRecord | None
    ran_as: RanAs | None
    resumed: Counts
    error: FnetError | None = None


class Board(Protocol):
    """The job, as the processes are led by it."""

    @property
    def total(self) -> PartRecord:
        """What the parts that are done came to."""

    @property
    def batch_tokens(self) -> dict[str, int]:
        """The size of batches that they were made with, by device."""

    def under_way(self, rows: int, tokens: int, *, is_ready: bool) -> None:
        """Hear how far the parts are on which processes work."""

    def came_to(self, fragment: Fragment, done: WorkDone, *, first: bool) -> None:
        """Hear what became of a fragment; whether it was tried for the first time."""


@dataclass(frozen=True)
class _Pool:
    """Running processes, and the memory that they share with the job.

    Of numbers alone, which need no lock: a process may die at any moment.
    """

    executor: ProcessPoolExecutor
    stop: Any
    counts: Any
    logs: Path

    @property
    def is_stopping(self) -> bool:
        """Whether the processes are to stop after the rows that are under way."""
        return bool(self.stop.value)

    def last_words(self) -> str:
        """Return the last line that a process has written, if any."""
        texts = [log.read_text(errors="replace") for log in self.logs.iterdir()]
        lines = [line for text in texts for line in text.splitlines() if line.strip()]
        return f": {lines[-1]:.200}" if lines else ""


class WorkerProcesses:
    """Hands out fragments, and follows what becomes of them."""

    def __init__(self, job: PartsPlan, context: JobContext, board: Board) -> None:
        self._job, self._context, self._board = job, context, board
        self._attempts: dict[int, int] = {}

    def encode(self, fragments: Sequence[Fragment]) -> None:
        """Have every fragment encoded.

        Raises the first error of one when the others have kept what they have, StoppedError where
        the job was to stop, and DeviceMemoryError where processes die again and again.
        """
        waiting = list(reversed(fragments))
        while waiting:
            workers = min(self._job.plan.options.workers, len(waiting))
            with _processes(self._job, self._context.settings, workers) as pool:
                self._hand_out(pool, waiting, workers)

    def _hand_out(self, pool: _Pool, waiting: list[Fragment], workers: int) -> None:
        """Have fragments encoded until none is left, or a process died; the rest is `waiting`."""
        running: dict[Future[WorkDone], Fragment] = {}
        failed: list[FnetError] = []
        while running or (waiting and not pool.is_stopping):
            while waiting and len(running) < workers and not pool.is_stopping:
                fragment = waiting.pop()
                running[self._submit(pool, fragment)] = fragment
            ended, _ = wait(running, _POLL_SECONDS, FIRST_COMPLETED)
            self._follow(pool)
            for future in ended:
                if isinstance(future.exception(), BrokenProcessPool):
                    self._take_back(pool, list(running.values()))
                    waiting += reversed(running.values())
                    return
                fragment, done = running.pop(future), future.result()
                self._board.came_to(fragment, done, first=fragment.number not in self._attempts)
                failed += [done.error] if done.error is not None else []
            if failed or self._context.is_stopping():
                pool.stop.value = True
        if pool.is_stopping and (failed or waiting):
            others = [error for error in failed if not isinstance(error, StoppedError)]
            raise next(iter([*others, *failed]), StoppedError("interrupted"))

    def _submit(self, pool: _Pool, fragment: Fragment) -> Future[WorkDone]:
        return pool.executor.submit(_encode, fragment, self._board.total, self._board.batch_tokens)

    def _follow(self, pool: _Pool) -> None:
        counts = list(pool.counts)
        self._board.under_way(
            sum(counts[_ROWS::_FIELDS]),
            sum(counts[_TOKENS::_FIELDS]),
            is_ready=any(counts[_READY::_FIELDS]),
        )

    def _take_back(self, pool: _Pool, fragments: Sequence[Fragment]) -> None:
        """Count that processes died on these, of which one is to blame."""
        if self._context.is_stopping():
            raise StoppedError("interrupted")
        for fragment in fragments:
            self._attempts[fragment.number] = self._attempts.get(fragment.number, 0) + 1
            if self._attempts[fragment.number] == _MOST_ATTEMPTS:
                name = self._job.directory.name_of(fragment.number)
                raise DeviceMemoryError(
                    f"processes died {_MOST_ATTEMPTS} times, each on {name}{pool.last_words()}",
                    hint="memory may have run out: use fewer --workers, or a smaller --batch-size",
                )


@dataclass(frozen=True)
class _Shared:
    """What a process is started with. Its number, from 0 on, is that of its file in `logs`."""

    job: PartsPlan
    settings: Settings
    workers: int
    stop: Any
    counts: Any
    logs: Path


@contextmanager
def _processes(job: PartsPlan, settings: Settings, workers: int) -> Iterator[_Pool]:
    """Start processes that encode fragments of a job; none is left when the body ends."""
    context = multiprocessing.get_context("spawn")  # a fork would take native threads' locks along
    counts = context.RawArray(ctypes.c_int64, workers * _FIELDS)
    others = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="fnet-") as logs:
        stop = context.RawValue(ctypes.c_bool, False)
        shared = _Shared(job, settings, workers, stop, counts, Path(logs))
        executor = ProcessPoolExecutor(workers, context, _begin, (shared,))
        try:
            yield _Pool(executor, shared.stop, counts, shared.logs)
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # what it has written is in the journal of its part
            raise
        finally:
            executor.shutdown(cancel_futures=True)


# --- In a process ---------------------------------------------------------------------------------


class _Worker:
    """What a process has from its start on: the job, its model, and its place in shared memory."""

    def __init__(self, shared: _Shared, number: int) -> None:
        self.job, self._stop = shared.job, shared.stop
        self.listener = _Counting(shared.counts, number)
        self.model = Model(JobContext(shared.settings, engine_loader=self._load))
        self._share = number, shared.workers

    def is_stopping(self) -> bool:
        """Whether the job has said so."""
        return bool(self._stop.value)

    def _load(self, request: EngineRequest) -> Engine:
        return load_engine(replace(request, own_process=True, share=self._share))


class _Counting:
    """Writes how far a part is to where the job looks."""

    def __init__(self, counts: Any, number: int) -> None:
        self.before = Counts()
        self._counts, self._at = counts, number * _FIELDS

    def resumed(self, counts: Counts) -> None:
        """Note what was there."""
        self.before = counts
        self.advanced(counts.rows, counts.tokens)

    def ready(self) -> None:
        """Say that a model is loaded."""
        self._counts[self._at + _READY] = 1

    def advanced(self, rows: int, tokens: int) -> None:
        """Add rows."""
        self._counts[self._at + _ROWS] += rows
        self._counts[self._at + _TOKENS] += tokens

    def ended(self) -> None:
        """Take back what is said of the part: the job has its record now, or an error."""
        self._counts[self._at + _ROWS] = self._counts[self._at + _TOKENS] = 0


_worker: _Worker


def _begin(shared: _Shared) -> None:
    """Make a process ready to encode fragments of a job."""
    global _worker
    number, log = _claim(shared)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # Of what a terminal sends to all, the job's own process decides; SIGTERM is for this one.
    for heard in (signal.SIGINT, signal.SIGHUP):
        signal.signal(heard, signal.SIG_IGN)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        mine = cores[number :: shared.workers] or [cores[number % len(cores)]]
        os.sched_setaffinity(0, mine)
    _worker = _Worker(shared, number)


def _claim(shared: _Shared) -> tuple[int, int]:
    """Return a number that no other process has, and the file for what this one prints."""
    for number in range(shared.workers):
        with suppress(FileExistsError):
            return number, os.open(shared.logs / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    raise RuntimeError("more processes than were asked for")


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _encode(fragment: Fragment, before: PartRecord, batch_tokens: dict[str, int]) -> WorkDone:
    """Encode a fragment; errors that are expected come back as a value."""
    worker, listener = _worker, _worker.listener
    listener.before = Counts()
    work = Work(worker.model, listener, worker.is_stopping, before, batch_tokens)
    record, error = None, None
    try:
        record = encode_part(worker.job, fragment, work)
    except FnetError as raised:
        error = _plain(raised)
    finally:
        listener.ended()
    return WorkDone(record, worker.model.ran_as, listener.before, error)


def _plain(error: FnetError) -> FnetError:
    """Return an error of the public tree: those below it may not survive being sent."""
    bases: Iterator[type[FnetError]] = (
        base for base in type(error).__mro__ if base.__module__ == errors.__name__
    )
    kind = next(bases)
    return kind(str(error), hint=error.hint)
