"""A run over the rows of a plan: windows of rows in, embeddings out, every row counted.

Three stages run side by side: a thread reads and checks windows ahead, the engine's workers embed
batches, a thread finishes windows and writes them. The run's own thread cuts windows into batches
and keeps order, progress and counts; only it is interrupted by a signal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from fnet_cli.constants import WINDOWS_AHEAD
from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.finishing import WindowVectors
from fnet_cli.encoding.model import KnownTokens, Model
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.output.opening import JobOutput
from fnet_cli.encoding.output.parts import PartRecord
from fnet_cli.encoding.output.target import check_counts
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.preparing import PreparedWindow, prepared_windows, window_batches
from fnet_cli.encoding.rejecting import damages
from fnet_cli.encoding.stages import Ahead, Workers
from fnet_cli.encoding.tally import Listener
from fnet_cli.encoding.texts import documents_read, rejected_rows
from fnet_cli.errors import InputDataError, StoppedError
from fnet_cli.units import show_count

# The share of errors in fewer rows says little.
_ROWS_TO_JUDGE = 1_000


@dataclass(frozen=True)
class Work:
    """What rows are embedded with, and who is told.

    `before` is what the parts of the job that are done came to: the limit of errors counts it, too.
    `batch_tokens` is the size of batches that they were made with, by device.
    """

    model: Model
    listener: Listener
    is_stopping: Callable[[], bool]
    before: PartRecord = field(default_factory=PartRecord)
    batch_tokens: Mapping[str, int] = field(default_factory=dict)


class Run:
    """A run over the rows of a plan, from where its output was left."""

    def __init__(self, plan: JobPlan, work: Work) -> None:
        self._plan, self._work = plan, work
        self._resumed = self._counts = Counts()
        self._stopped = False

    def complete(self, output: JobOutput) -> PartRecord:
        """Encode all rows into `output` and finish it; return what they came to.

        Raises StoppedError where it was to stop before the last row, InputDataError for a row that
        cannot be used, and IntegrityError where not every row is accounted for.
        """
        if output.begun is not None:
            self._resumed = self._counts = output.begun.counts
            self._work.listener.resumed(self._counts)
        self._run(output)
        rows_out = output.close(damages(self._plan.sources))
        record = self._record(rows_out)
        check_counts(record.rows_in, rows_out, record.rows_rejected)
        return record

    def _run(self, output: JobOutput) -> None:
        """Encode every window and write it; StoppedError where it was to stop before the last."""
        with (
            Ahead(prepared_windows(self._plan, self._resumed.rows), WINDOWS_AHEAD) as prepared,
            Workers[None](1) as writing,
            closing(self._encoded(prepared, output)) as encoded,
        ):
            for window in encoded:
                # A pipe may not be read for long, and its reader may go: both are this thread's
                # to notice, which a signal interrupts.
                if self._plan.target.is_stream:
                    _write(output, window)
                    continue
                if len(writing) == WINDOWS_AHEAD:
                    writing.result()
                writing.submit(partial(_write, output, window))
            while len(writing):
                writing.result()
        if self._stopped:
            raise StoppedError("interrupted")
        self._check_errors(ended=True)

    def _encoded(
        self, prepared: Ahead[PreparedWindow], output: JobOutput
    ) -> Generator[WindowVectors, None, None]:
        """Yield the windows in order, each when all its rows are embedded."""
        first = next(prepared, None)
        if first is None:
            return
        engine, size = self._work.model.load(self._plan, self._known_tokens(output))
        output.ran_on(engine.device, None if size.rows else size.tokens)
        self._work.listener.ready()
        under_way: deque[tuple[WindowVectors, Batch | None]] = deque()
        with Workers[np.ndarray](engine.workers) as embedding:

            def settle(most: int) -> Generator[WindowVectors, None, None]:
                while len(under_way) > most:
                    window, batch = under_way.popleft()
                    if batch is not None:
                        window.place(batch, embedding.result())
                        self._advance(batch)
                    if window.is_complete:
                        yield window

            current: PreparedWindow | None = first
            while current is not None:
                self._count(current)
                window = WindowVectors(self._plan, current, self._counts)
                if window.is_complete:  # each of its rows was rejected
                    under_way.append((window, None))
                for batch in window_batches(self._plan, current, size):
                    under_way.append((window, batch))
                    embedding.submit(partial(engine.embed, batch))
                    # A batch for each worker, and as many that wait for one.
                    yield from settle(2 * engine.workers)
                    self._work.model.check_memory()
                if not prepared.is_ready:  # rows on a pipe do not wait for the next ones
                    yield from settle(0)
                current = next(prepared, None)
                self._stopped = current is not None and self._work.is_stopping()
                if self._stopped:
                    break
            yield from settle(0)

    def _advance(self, batch: Batch) -> None:
        self._work.listener.advanced(len(batch.rows), int(batch.lengths.sum()))

    def _known_tokens(self, output: JobOutput) -> KnownTokens:
        """Return what tells the size of batches of rows that are there."""
        begun = output.begun

        def known(device: str) -> int | None:
            if begun is not None and begun.device == device and begun.batch_tokens:
                return begun.batch_tokens
            return self._work.batch_tokens.get(device)

        return known

    def _count(self, prepared: PreparedWindow) -> None:
        counts = self._counts
        self._counts = Counts(
            rows=counts.rows + prepared.rows + prepared.rows_rejected,
            rows_rejected=counts.rows_rejected + prepared.rows_rejected,
            tokens=counts.tokens + int(prepared.lengths.sum()),
            rows_truncated=counts.rows_truncated + int((prepared.lost > 0).sum()),
            tokens_lost=counts.tokens_lost + int(prepared.lost.sum()),
        )
        if prepared.rows_rejected:
            self._work.listener.advanced(prepared.rows_rejected, 0)
        self._check_errors(ended=False)

    @property
    def _errors(self) -> int:
        """The rows that were rejected for an error, and the files that were damaged."""
        return self._counts.rows_rejected + len(damages(self._plan.sources))

    def _check_errors(self, *, ended: bool) -> None:
        if self._plan.options.max_errors is None:  # counting takes a look at every input
            return
        check_errors(
            self._plan,
            self._work.before.errors + self._errors,
            self._work.before.rows_in + self._counts.rows,
            ended=ended and self._plan.part_of is None,
        )

    def _record(self, rows_out: int) -> PartRecord:
        plan, counts, ran_as = self._plan, self._counts, self._work.model.ran_as
        without_text = rejected_rows(plan.sources)
        return PartRecord(
            # As the inputs state, else as were read: chunks, where rows are those of documents.
            rows_in=counts.rows + without_text if plan.rows is None else plan.rows,
            rows_out=rows_out,
            rows_rejected=counts.rows_rejected + without_text,
            errors=self._errors,
            files_damaged=len(damages(plan.sources)),
            documents=documents_read(plan.sources),
            rows_truncated=counts.rows_truncated,
            tokens=counts.tokens,
            tokens_lost=counts.tokens_lost,
            device=ran_as.device if ran_as else "",
            batch_tokens=ran_as.batch_tokens if ran_as else None,
        )


def check_errors(plan: JobPlan, errors: int, rows: int, *, ended: bool) -> None:
    """Raise InputDataError where a job has more errors than it is to take, in its first `rows`."""
    limit = plan.options.max_errors
    whole = (plan.part_of or plan).rows
    if whole is None and (ended or rows >= _ROWS_TO_JUDGE):
        whole = rows
    if limit is not None and limit.is_passed(errors, whole):
        raise InputDataError(
            f"{show_count(errors, 'error')} in {show_count(rows, 'row')}, over "
            f"--max-errors {limit}",
            hint="--resume goes on with a higher limit; --on-error quarantine says which",
        )


def _write(output: JobOutput, window: WindowVectors) -> None:
    output.write(window.finish(), window.counts, window.prepared.rejected)
