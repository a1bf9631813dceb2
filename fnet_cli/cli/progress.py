"""What a job says on standard error: a bar, plain lines or nothing, and a last word."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fnet_cli.cli.streams import bar_column, console_for, style_of
from fnet_cli.constants import PROGRESS_SECONDS
from fnet_cli.encoding.report import EncodeReport, JobReport, Progress, ProgressCallback
from fnet_cli.units import show_count, show_seconds


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[ProgressCallback]:
    """Give a callback that shows progress in the way standard error allows."""
    if quiet:
        yield lambda _progress: None
    elif style_of(sys.stderr, os.environ).animation:
        with _bar() as callback:
            yield callback
    else:
        yield _Lines()


def describe(progress: Progress) -> str:
    """Return one line: rows, rate, tokens per second, and the time left where it is known."""
    seconds = max(progress.seconds, 1e-9)
    rate = (progress.rows - progress.rows_resumed) / seconds
    if progress.total_rows:
        total = show_count(progress.total_rows, "row")
        text = f"{progress.rows:,} of {total} ({progress.rows / progress.total_rows:.0%})"
    else:
        text = show_count(progress.rows, "row")
    text += f", {rate:,.0f} rows/s, {progress.tokens / seconds:,.0f} tokens/s"
    if progress.total_rows and rate:
        text += f", {show_seconds((progress.total_rows - progress.rows) / rate)} left"
    return text


def closing_lines(report: JobReport, timing: str) -> list[str]:
    """Say what was done, with what, and where it went."""
    text = f"{report.rows_truncated:,} truncated"
    if report.rows_truncated:
        text += f" ({show_count(report.tokens_lost, 'token')} lost)"
    if report.rows_rejected:
        text += f", {report.rows_rejected:,} rejected"
    lines = [
        f"{show_count(report.rows_out, 'row')} in {timing}",
        f"{text}, preset {report.preset}",
    ]
    if isinstance(report, EncodeReport):
        if report.files_damaged:
            files = show_count(report.files_damaged, "file")
            lines.append(f"{files} could not be read to the end")
        if report.rejected:
            lines.append(f"wrote what was rejected to {report.rejected}")
    where = "standard output" if report.output == "-" else report.output
    return [*lines, f"wrote {where}"]


class _Lines:
    """A line every few seconds, for log files."""

    def __init__(self) -> None:
        self._next = PROGRESS_SECONDS

    def __call__(self, progress: Progress) -> None:
        if progress.seconds >= self._next:
            self._next = progress.seconds + PROGRESS_SECONDS
            sys.stderr.write(f"fnet: {describe(progress)}\n")
            sys.stderr.flush()


@contextmanager
def _bar() -> Iterator[ProgressCallback]:
    from rich.progress import Progress as RichProgress
    from rich.progress import TextColumn

    console = console_for(sys.stderr, os.environ)
    # transient: the closing line says it all, and a log of the terminal stays clean.
    with RichProgress(
        bar_column(20),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("starting", total=None)

        def update(progress: Progress) -> None:
            bar.update(
                task,
                description=describe(progress),
                completed=progress.rows,
                total=progress.total_rows,
            )

        yield update
