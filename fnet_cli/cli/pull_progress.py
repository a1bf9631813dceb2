"""Progress of a pull on standard error: a bar for each file, plain lines, or nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fnet_cli.cli.interrupts import stop_if_asked
from fnet_cli.cli.streams import bar_column, console_for, one_line, say, style_of
from fnet_cli.constants import PROGRESS_SECONDS
from fnet_cli.presets.pulling.events import Advanced, Event, EventCallback, Planned, Waiting
from fnet_cli.units import show_bytes, show_seconds

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def shown_pull(*, quiet: bool = False) -> Iterator[EventCallback]:
    """Give a callback that shows a pull in the way standard error allows.

    Nothing is shown before something is fetched. Problems and waiting are always told, since
    they explain why nothing happens.
    """
    shown: _Lines | _Bars
    if style_of(sys.stderr, os.environ).animation and not quiet:
        shown = _Bars()
    else:
        shown = _Lines(quiet=quiet)

    def on_event(event: Event) -> None:
        stop_if_asked()
        shown(event)

    try:
        yield on_event
    finally:
        shown.close()


class _Totals:
    """How far all files together are, and how fast: kept from the events."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._done: dict[str, int] = {}
        self._resumed: dict[str, int] = {}
        self.total = 0

    def add(self, event: Advanced) -> None:
        """Take in how far a file is."""
        self._done[event.name] = event.done
        # What the first event says: after a retry, this process has fetched it itself. A file
        # that begins anew has nothing of before any more.
        resumed = self._resumed.setdefault(event.name, event.resumed)
        self._resumed[event.name] = min(resumed, event.done)

    def describe(self) -> str:
        """Return bytes, rate and the time left."""
        done = sum(self._done.values())
        fetched = done - sum(self._resumed.values())
        seconds = max(self._clock() - self._started, 1e-9)
        text = show_bytes(done)
        if self.total:
            text += f" of {show_bytes(self.total)} ({done / self.total:.0%})"
        text += f", {show_bytes(fetched / seconds)}/s"
        if fetched > 0 and self.total > done:
            text += f", {show_seconds((self.total - done) * seconds / fetched)} left"
        return text


def _told(event: Event) -> str | None:
    """Return the line for an event that is told also where progress is not."""
    if isinstance(event, Waiting):
        return f"another pull of {event.handle} is running ({event.holder}): waiting for it"
    if isinstance(event, Planned | Advanced):
        return None
    return f"{event.problem}; trying again in {event.seconds:.0f}s"


class _Lines:
    """A line a file, and one every few seconds while a large one comes: for log files."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._totals = _Totals()
        self._next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, event: Event) -> None:
        line = _told(event)
        if isinstance(event, Planned):
            self._totals.total = event.bytes
            line = None if self._quiet or not event.files else _plan_line(event)
        elif isinstance(event, Advanced) and not self._quiet:
            self._totals.add(event)
            if event.resumed:
                line = f"{event.name}: going on after {show_bytes(event.resumed)}"
            elif time.monotonic() >= self._next:
                self._next = time.monotonic() + PROGRESS_SECONDS
                line = f"all files: {self._totals.describe()}; now {event.name}"
        if line:
            say(line)

    def close(self) -> None:
        """Do nothing: every line is complete."""


class _Bars:
    """A bar for the file that comes, with all files' bytes, rate and time left."""

    def __init__(self) -> None:
        self._totals = _Totals()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        line = _told(event)
        if isinstance(event, Planned):
            self._totals.total = event.bytes
            line = _plan_line(event) if event.files else None
        if line:
            if self._progress is None:
                say(line)
            else:  # above the bars, which rich draws anew
                self._progress.console.print(f"fnet: {one_line(line)}")
        if isinstance(event, Advanced):
            self._totals.add(event)
            self._draw(event)

    def close(self) -> None:
        """Take the bars away: the closing line says it all."""
        if self._progress is not None:
            self._progress.stop()

    def _draw(self, event: Advanced) -> None:
        if self._progress is None:
            self._progress = _new_progress()
        task = self._tasks.get(event.name)
        if task is None:
            # Without its directories, which would leave no room for the bar.
            name = one_line(event.name.rpartition("/")[2])
            task = self._progress.add_task(name, total=event.total, all="")
            self._tasks[event.name] = task
        complete = event.total is not None and event.done >= event.total
        self._progress.update(
            task,
            completed=event.done,
            total=event.total,
            all=self._totals.describe(),
            visible=not complete,
        )


def _new_progress() -> Progress:
    from rich.progress import Progress, TextColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        bar_column(16),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[all]}"),
        console=console_for(sys.stderr, os.environ),
        transient=True,
    )
    progress.start()
    return progress


def _plan_line(event: Planned) -> str:
    files = "1 file" if event.files == 1 else f"{event.files} files"
    return f"pulling {event.handle}: {files}, {show_bytes(event.bytes)}"
