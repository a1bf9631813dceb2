"""A bar for who asks a library for one: in a notebook a widget, else a line on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fnet_cli.encoding.report import Progress, ProgressCallback


@contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """Show how far a job is, while the body runs; gives what is to be told."""
    from tqdm.auto import tqdm

    with tqdm(unit=" rows") as bar:

        def show(progress: Progress) -> None:
            if progress.total_rows is not None:
                bar.total = progress.total_rows
            bar.update(progress.rows - bar.n)

        yield show
