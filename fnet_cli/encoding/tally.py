"""What is seen of a job while it runs, added up over its parts and over who works on them."""

from __future__ import annotations

from typing import Protocol

from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.report import Progress


class Listener(Protocol):
    """Who is told of the rows of a job."""

    def resumed(self, counts: Counts) -> None:
        """Hear of rows that an earlier run has made."""

    def ready(self) -> None:
        """Hear that a model is loaded, and rows follow."""

    def advanced(self, rows: int, tokens: int) -> None:
        """Hear of more rows that are done, rejected ones among them."""


class JobTally:
    """Adds up and tells the job's context. `ready_at` is the clock's time of the first model."""

    def __init__(self, context: JobContext, total_rows: int | None) -> None:
        self.ready_at: float | None = None
        self.rows_resumed = self.tokens_resumed = 0
        self._context, self._total = context, total_rows
        self._before = self._rows = self._tokens = 0

    def resumed(self, counts: Counts) -> None:
        """Count what an earlier run has made."""
        self.rows_resumed += counts.rows_out
        self.tokens_resumed += counts.tokens
        self._before += counts.rows

    def ready(self) -> None:
        """Let the time that rates are of begin."""
        if self.ready_at is None:
            self.ready_at = self._context.clock()

    def advanced(self, rows: int, tokens: int) -> None:
        """Count rows that are done, and say how far the job is."""
        self._rows += rows
        self._tokens += tokens
        self._show()

    def stands_at(self, rows: int, tokens: int) -> None:
        """Say how far the job is, those rows included that an earlier run has made."""
        self._rows = max(self._rows, rows - self._before)
        self._tokens = max(self._tokens, tokens - self.tokens_resumed)
        self._show()

    def _show(self) -> None:
        now = self._context.clock()
        seconds = now - (now if self.ready_at is None else self.ready_at)
        self._context.on_progress(
            Progress(self._before + self._rows, self._tokens, seconds, self._total, self._before)
        )
