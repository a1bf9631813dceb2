"""A job whose output is a directory of parts, one for each fragment of its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import orjson

from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.fragments import Fragment, cut, part_rows
from fnet_cli.encoding.identity import job_identity
from fnet_cli.encoding.model import Model, RanAs
from fnet_cli.encoding.options import Executor, OnError
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.output.opening import Kept
from fnet_cli.encoding.output.parts import PartRecord, PartsDirectory
from fnet_cli.encoding.output.places import Place
from fnet_cli.encoding.output.target import REJECTED_SUFFIX, check_counts, output_errors
from fnet_cli.encoding.part import PartsPlan, encode_part
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.ray_crew import on_ray
from fnet_cli.encoding.running import Work, check_errors
from fnet_cli.encoding.supervising import Live, Supervisor, WorkDone
from fnet_cli.encoding.tally import JobTally
from fnet_cli.encoding.workers import processes
from fnet_cli.errors import StoppedError


class PartsJob:
    """A job in parts while it runs. `total` is what the parts that are done came to."""

    def __init__(self, plan: JobPlan, place: Place, context: JobContext, tally: JobTally) -> None:
        fragments = cut(plan)
        identity = {**job_identity(plan), "part_rows": part_rows(plan)}
        digest = hashlib.sha256(orjson.dumps(identity)).hexdigest()[:16]
        directory = PartsDirectory(place, plan.target.format, len(fragments))
        self.job = PartsPlan(plan, fragments, directory, digest)
        self.ran_as: RanAs | None = None
        self._identity = identity
        self._context, self._tally = context, tally
        self._done: dict[int, PartRecord] = {}
        # Kept, for it is asked for again and again, and there may be many parts.
        self.total = PartRecord()

    def complete(self) -> tuple[PartRecord, str | None]:
        """Encode what is not done; return what all came to, and where rejected rows are.

        Raises as `encode_files`, after telling the context what is kept.
        """
        plan, directory = self.job.plan, self.job.directory
        with (
            output_errors(Path(directory.place.name)),
            directory.begun(self._identity, plan.options.restart) as self._done,
            self._telling_what_is_kept(),
        ):
            for record in self._done.values():
                self.total += record
                self._tally.resumed(Counts(record.rows_in, record.rows_rejected, record.tokens))
            pending = [part for part in self.job.fragments if part.number not in self._done]
            self._encode(pending)
            total = self.total
            check_errors(plan, total.errors, total.rows_in, ended=True)
            rows_in = total.rows_in if plan.rows is None else plan.rows
            check_counts(rows_in, total.rows_out, total.rows_rejected)
            rejected = self._publish_rejected()  # an output is the last to appear
            directory.finish(self._done)
        return total, rejected

    def _encode(self, pending: list[Fragment]) -> None:
        options, context = self.job.plan.options, self._context
        supervisor = Supervisor(self.job, self, context.is_stopping)
        if options.executor is Executor.RAY:
            supervisor.encode(pending, partial(on_ray, self.job, context.settings))
        elif min(options.workers, len(pending)) > 1:
            supervisor.encode(pending, partial(processes, self.job, context.settings))
        else:
            self._encode_here(pending)

    def _encode_here(self, pending: list[Fragment]) -> None:
        """Encode fragments one after the other, in this process."""
        model = Model(self._context)
        for fragment in pending:
            if self._context.is_stopping():
                raise StoppedError("interrupted")
            work = Work(
                model,
                self._tally,
                self._context.is_stopping,
                self.total,
                self.batch_tokens,
            )
            self._note(fragment, encode_part(self.job, fragment, work))
            self.ran_as = model.ran_as

    def _note(self, fragment: Fragment, record: PartRecord) -> None:
        self._done[fragment.number] = record
        self.total += record

    # --- What the processes are told, and tell --------------------------------------------------

    @property
    def batch_tokens(self) -> dict[str, int]:
        """The size of batches that they were made with, by device."""
        records = self._done.values()
        return {record.device: record.batch_tokens for record in records if record.batch_tokens}

    def under_way(self, live: Live) -> None:
        """Hear how far unfinished parts are."""
        if live.is_ready:
            self._tally.ready()
            total = self.total
            self._tally.stands_at(total.rows_in + live.rows, total.tokens + live.tokens)

    def came_to(self, fragment: Fragment, done: WorkDone, *, first: bool) -> None:
        """Hear what became of a fragment; whether it was tried for the first time."""
        self.ran_as = done.ran_as or self.ran_as
        if first:  # else what was there may be of this very job
            self._tally.resumed(done.resumed)
        if done.record is not None:
            self._note(fragment, done.record)

    # --- The end ----------------------------------------------------------------------------------

    @contextmanager
    def _telling_what_is_kept(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if rows := self.total.rows_out + self.job.directory.rows_under_way():
                self._context.on_kept(Kept(rows, self.job.directory.place.name))
            raise

    def _publish_rejected(self) -> str | None:
        """Put the rejected rows of all parts into one file, in order; return where, if any."""
        place = self.job.directory.place
        if self.job.plan.options.on_error is not OnError.QUARANTINE:
            return None
        if not self.total.rejected_bytes:
            place.remove_beside(REJECTED_SUFFIX)
            return None
        place.write_beside(REJECTED_SUFFIX, self.job.directory.rejected(self._done))
        return place.beside(REJECTED_SUFFIX)
