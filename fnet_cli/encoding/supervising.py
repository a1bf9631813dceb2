"""The parts of a job made by others: handed out to a crew of workers, and followed.

A crew may be processes of this machine (`workers.py`) or a cluster's (`ray_crew.py`): each of its
workers encodes one fragment after the other straight into its part, and answers with counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from fnet_cli import errors
from fnet_cli.encoding.fragments import Fragment
from fnet_cli.encoding.model import Model, RanAs
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.output.parts import PartRecord
from fnet_cli.encoding.part import PartsPlan, encode_part
from fnet_cli.encoding.running import Work
from fnet_cli.encoding.tally import Listener
from fnet_cli.encoding.watching import memory_errors_named
from fnet_cli.errors import DeviceMemoryError, FnetError, StoppedError

_POLL_SECONDS = 0.1
# A fragment on which so many workers have died is likely to be the reason.
MOST_ATTEMPTS = 3


class WorkersDiedError(Exception):
    """A crew cannot go on, since a worker of it died; the message is its last word, or empty."""


@dataclass(frozen=True)
class WorkDone:
    """What became of a fragment: the record of its part, or an error.

    `resumed` counts what was there of the part before.
    """

    record: PartRecord | None
    ran_as: RanAs | None
    resumed: Counts
    error: FnetError | None = None


@dataclass(frozen=True)
class Live:
    """What a crew is seen to do: whether a model is loaded, and how far unfinished parts are."""

    is_ready: bool = False
    rows: int = 0
    tokens: int = 0

    def __add__(self, other: Live) -> Live:
        return Live(
            self.is_ready or other.is_ready, self.rows + other.rows, self.tokens + other.tokens
        )


class Crew(Protocol):
    """Workers of a job. A task is what stands for a fragment that one of them has."""

    size: int

    def submit(self, fragment: Fragment, before: PartRecord, batch_tokens: dict[str, int]) -> Any:
        """Give a fragment to a worker, with what the parts that are done came to."""

    def ended(self, tasks: Iterable[Any], seconds: float) -> list[Any]:
        """Return tasks that have ended, after waiting for one for some time."""

    def result(self, task: Any) -> WorkDone:
        """Return what a task came to; raises WorkersDiedError."""

    def live(self) -> Live:
        """Return what is seen of the workers."""

    def stop(self) -> None:
        """Ask all workers to stop after the rows that are under way."""


class Board(Protocol):
    """The job, as its crew is led by it. `total` is what the parts that are done came to."""

    total: PartRecord

    @property
    def batch_tokens(self) -> dict[str, int]:
        """The size of batches that they were made with, by device."""

    def under_way(self, live: Live) -> None:
        """Hear how far unfinished parts are."""

    def came_to(self, fragment: Fragment, done: WorkDone, *, first: bool) -> None:
        """Hear what became of a fragment; whether it was tried for the first time."""


class Supervisor:
    """Hands out fragments, and follows what becomes of them."""

    def __init__(self, job: PartsPlan, board: Board, is_stopping: Callable[[], bool]) -> None:
        self._job, self._board, self._is_stopping = job, board, is_stopping
        self._attempts: dict[int, int] = {}

    def encode(
        self, fragments: Sequence[Fragment], hire: Callable[[int], AbstractContextManager[Crew]]
    ) -> None:
        """Have every fragment encoded by a crew that `hire` gives for so many workers at most.

        Raises the first error of one when the others have kept what they have, StoppedError where
        the job was to stop, and DeviceMemoryError where workers die again and again.
        """
        waiting = list(reversed(fragments))
        while waiting:
            with hire(min(self._job.plan.options.workers, len(waiting))) as crew:
                self._hand_out(crew, waiting)

    def _hand_out(self, crew: Crew, waiting: list[Fragment]) -> None:
        """Have fragments encoded until none is left, or a worker died; the rest is `waiting`."""
        running: dict[Any, Fragment] = {}
        failed: list[FnetError] = []
        stopping = False
        while running or (waiting and not stopping):
            while waiting and len(running) < crew.size and not stopping:
                fragment = waiting.pop()
                task = crew.submit(fragment, self._board.total, self._board.batch_tokens)
                running[task] = fragment
            ended = crew.ended(running, _POLL_SECONDS)
            self._board.under_way(crew.live())
            for task in ended:
                try:
                    done = crew.result(task)
                except WorkersDiedError as error:
                    self._take_back(list(running.values()), error)
                    waiting += reversed(running.values())
                    return
                fragment = running.pop(task)
                self._board.came_to(fragment, done, first=fragment.number not in self._attempts)
                failed += [done.error] if done.error is not None else []
            if not stopping and (failed or self._is_stopping()):
                stopping = True
                crew.stop()
        if stopping and (failed or waiting):
            others = [error for error in failed if not isinstance(error, StoppedError)]
            raise next(iter([*others, *failed]), StoppedError("interrupted"))

    def _take_back(self, fragments: Sequence[Fragment], error: WorkersDiedError) -> None:
        """Count that a worker died on one of these."""
        if self._is_stopping():
            raise StoppedError("interrupted") from error
        for fragment in fragments:
            self._attempts[fragment.number] = self._attempts.get(fragment.number, 0) + 1
            if self._attempts[fragment.number] == MOST_ATTEMPTS:
                name = self._job.directory.name_of(fragment.number)
                raise died_again_and_again(name, str(error)) from error


def died_again_and_again(part: str, last_words: str) -> DeviceMemoryError:
    """Return what is said where no attempt at a part came to an end."""
    said = f": {last_words:.200}" if last_words else ""
    return DeviceMemoryError(
        f"processes died {MOST_ATTEMPTS} times, each on {part}{said}",
        hint="memory may have run out: use fewer --workers, or a smaller --batch-size",
    )


class WorkListener(Listener, Protocol):
    """Who is told of the rows of a part. `before` counts what was there of it."""

    before: Counts


def work_on(
    job: PartsPlan,
    fragment: Fragment,
    model: Model,
    listener: WorkListener,
    told: tuple[Callable[[], bool], PartRecord, dict[str, int]],
) -> WorkDone:
    """Encode a fragment, as a worker; errors that are expected come back as a value.

    `told` is whether to stop, what the parts that are done came to, and their sizes of batches.
    """
    record, error = None, None
    try:
        with memory_errors_named():
            record = encode_part(job, fragment, Work(model, listener, *told))
    except FnetError as raised:
        error = _plain(raised)
    return WorkDone(record, model.ran_as, listener.before, error)


def _plain(error: FnetError) -> FnetError:
    """Return an error of the public tree: those below it may not survive being sent."""
    bases = (base for base in type(error).__mro__ if base.__module__ == errors.__name__)
    kind: type[FnetError] = next(bases)
    return kind(str(error), hint=error.hint)
