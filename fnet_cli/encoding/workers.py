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
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.fragments import Fragment
from fnet_cli.encoding.model import Model
from fnet_cli.encoding.needing import share_of
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.output.parts import PartRecord
from fnet_cli.encoding.part import PartsPlan
from fnet_cli.encoding.supervising import Crew, Live, WorkDone, WorkersDiedError, work_on
from fnet_cli.encoding.watching import MemoryWatch

# What a process writes about the part that it works on, for the job to see.
_READY, _ROWS, _TOKENS, _FIELDS = 0, 1, 2, 3


class _Pool:
    """Running processes, and the memory that they share with the job.

    Of numbers alone, which need no lock: a process may die at any moment.
    """

    def __init__(self, executor: ProcessPoolExecutor, shared: _Shared) -> None:
        self.size = shared.workers
        self._executor, self._shared = executor, shared

    def submit(
        self, fragment: Fragment, before: PartRecord, batch_tokens: dict[str, int]
    ) -> Future[WorkDone]:
        """Give a fragment to the next process that is free."""
        try:
            return self._executor.submit(_encode, fragment, before, batch_tokens)
        except (BrokenProcessPool, OSError) as error:
            # One has died; where it does so while another is started, the pipes to that are gone.
            lost: Future[WorkDone] = Future()
            lost.set_exception(BrokenProcessPool(str(error)))
            return lost

    def ended(self, tasks: Iterable[Future[WorkDone]], seconds: float) -> list[Future[WorkDone]]:
        """Return tasks that have ended."""
        return list(wait(tasks, seconds, FIRST_COMPLETED).done)

    def result(self, task: Future[WorkDone]) -> WorkDone:
        """Return what a task came to; where one process dies, all are gone."""
        try:
            return task.result()
        except BrokenProcessPool as error:
            raise WorkersDiedError(self._last_words()) from error

    def live(self) -> Live:
        """Return what the processes have written into memory."""
        counts = list(self._shared.counts)
        is_ready = any(counts[_READY::_FIELDS])
        return Live(is_ready, sum(counts[_ROWS::_FIELDS]), sum(counts[_TOKENS::_FIELDS]))

    def stop(self) -> None:
        """Ask all processes to stop."""
        self._shared.stop.value = True

    def _last_words(self) -> str:
        """Return the last line that a process has written, if any."""
        texts = [log.read_text(errors="replace") for log in self._shared.logs.iterdir()]
        lines = [line for text in texts for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else ""


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
def processes(job: PartsPlan, settings: Settings, workers: int) -> Iterator[Crew]:
    """Start processes that encode fragments of a job; none is left when the body ends."""
    context = multiprocessing.get_context("spawn")  # a fork would take native threads' locks along
    counts = context.RawArray(ctypes.c_int64, workers * _FIELDS)
    others = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="fnet-") as logs:
        stop = context.RawValue(ctypes.c_bool, False)
        shared = _Shared(job, settings, workers, stop, counts, Path(logs))
        executor = ProcessPoolExecutor(workers, context, _begin, (shared,))
        try:
            yield _Pool(executor, shared)
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
        self._share = number, shared.workers
        memory = _watch(shared)
        self.model = Model(JobContext(shared.settings, engine_loader=self._load, memory=memory))

    def is_stopping(self) -> bool:
        """Whether the job has said so."""
        return bool(self._stop.value)

    def _load(self, request: EngineRequest) -> Engine:
        return load_engine(replace(request, own_process=True, only_model=True, share=self._share))


def _watch(shared: _Shared) -> MemoryWatch | None:
    """Watch, to the end of this process, that it keeps to its share of the job's memory."""
    options = shared.job.plan.options
    if options.memory_limit is None:
        return None
    share = share_of(options.memory_limit, options, shared.workers)
    return MemoryWatch(share, owns_process=True).__enter__()


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
    worker, listener = _worker, _worker.listener
    listener.before = Counts()
    told = (worker.is_stopping, before, batch_tokens)
    try:
        return work_on(worker.job, fragment, worker.model, listener, told)
    finally:
        listener.ended()
