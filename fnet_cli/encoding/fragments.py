"""The fragments of a job: consecutive rows of its inputs, each of which becomes a part.

Where a fragment ends depends on the inputs and on the size that was asked for, not on who works on
it: whoever goes on with a job, on one process or many, cuts it alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from fnet_cli.constants import MOST_PARTS_OF_SMALL, PART_BYTES, PART_OPERATIONS
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.readers.base import RowBatch, RowSource, TypeCheck
from fnet_cli.encoding.texts import TokenizedSource


@dataclass(frozen=True)
class Fragment:
    """The rows `first` to `stop` of all inputs, end to end: documents, where texts make rows."""

    number: int
    first: int
    stop: int


def cut(plan: JobPlan) -> tuple[Fragment, ...]:
    """Return the fragments of a job, at least one.

    They have up to `part_rows(plan)` rows, and end where a row group or a file does if that does
    not make them less than half as long.
    """
    most, rows = part_rows(plan), _row_count(plan)
    ends = [0, *_natural_ends(plan)]
    fragments: list[Fragment] = []
    first = 0
    while first < rows or not fragments:
        stop = min(first + most, rows)
        natural = ends[bisect_right(ends, stop) - 1]
        if stop < rows and natural > first + most // 2:
            stop = natural
        fragments.append(Fragment(len(fragments), first, stop))
        first = stop
    return tuple(fragments)


def part_rows(plan: JobPlan) -> int:
    """Return the most rows of a fragment: as asked for, else what suits the job.

    That is about PART_BYTES of embeddings or ten minutes of work of two cores, and less for a job
    that would have few fragments otherwise; at least a window.
    """
    if plan.options.part_rows is not None:
        return plan.options.part_rows
    bounds = (
        PART_BYTES // plan.vector_bytes,
        int(PART_OPERATIONS / plan.row_operations),
        -(-_row_count(plan) // MOST_PARTS_OF_SMALL),
    )
    return max(plan.window_rows, min(bounds))


def part_of(plan: JobPlan, fragment: Fragment) -> JobPlan:
    """Return the plan of a fragment: what is a matter of the whole job is asked of `part_of`."""
    sources: list[RowSource] = []
    kept: list[int] = []
    for index, (start, source) in enumerate(_offsets(plan)):
        rows = _inner(source).rows or 0
        first, stop = max(fragment.first - start, 0), min(fragment.stop - start, rows)
        # What is empty, or damaged, belongs to the fragment in which it would stand.
        is_here = first < stop or (not rows and _is_in(start, fragment, plan))
        if is_here:
            kept.append(index)
            before = sources[-1] if sources else None
            sources.append(_sliced(source, first, max(first, stop), before, start + first))
    made = plan.text is not None and plan.rows_are_made
    return replace(
        plan,
        options=replace(
            plan.options, inputs=tuple(plan.options.inputs[at] for at in kept), limit=None
        ),
        sources=tuple(sources),
        segments=tuple(plan.segments[at] for at in kept),
        rows=None if made else fragment.stop - fragment.first,
        part_of=plan,
    )


def _is_in(start: int, fragment: Fragment, plan: JobPlan) -> bool:
    ends_here = fragment.stop == _row_count(plan)
    return fragment.first <= start < fragment.stop or (ends_here and start == fragment.stop)


def _row_count(plan: JobPlan) -> int:
    """Return the rows, or documents, that the inputs have, up to the limit."""
    rows = sum(_inner(source).rows or 0 for source in plan.sources)
    limit = plan.options.limit
    return rows if limit is None else min(rows, limit)


def _offsets(plan: JobPlan) -> Iterator[tuple[int, RowSource]]:
    """Yield the sources, each with the number of rows before it."""
    counts = [_inner(source).rows or 0 for source in plan.sources]
    yield from zip(accumulate(counts, initial=0), plan.sources, strict=False)


def _natural_ends(plan: JobPlan) -> Iterator[int]:
    for start, source in _offsets(plan):
        inner = _inner(source)
        yield from (start + end for end in inner.row_ends)
        yield start + (inner.rows or 0)


def _inner(source: RowSource) -> RowSource:
    return source.inner if isinstance(source, TokenizedSource) else source


def _sliced(
    source: RowSource, first: int, stop: int, before: RowSource | None, documents_before: int
) -> RowSource:
    inner = SourceSlice(_inner(source), first, stop)
    if not isinstance(source, TokenizedSource):
        return inner
    how = replace(source.how, limit=None)
    known = before if isinstance(before, TokenizedSource) else None
    return TokenizedSource(inner, how, known, documents_before=documents_before)


class SourceSlice:
    """The rows `first` to `stop` of a source, under its name and with its numbers."""

    def __init__(self, inner: RowSource, first: int, stop: int) -> None:
        self.name, self.schema = inner.name, inner.schema
        self.rows: int | None = stop - first
        self.row_ends: Sequence[int] = ()
        self.inner, self._first = inner, first

    @property
    def damage(self) -> str | None:
        """Why there is no reading on, said once: at the end of the source."""
        is_last = self._first + (self.rows or 0) == self.inner.rows
        return self.inner.damage if is_last else None

    def token_count(self, column: str) -> int | None:
        """Return about how many values of a list column are in the slice."""
        count, rows = self.inner.token_count(column), self.inner.rows
        return None if count is None or not rows else count * (self.rows or 0) // rows

    def first_other(self, column: str, accept: TypeCheck) -> str:
        """Return what the source says."""
        return self.inner.first_other(column, accept)

    def batches(self, columns: Sequence[str], max_rows: int, start: int = 0) -> Iterator[RowBatch]:
        """Yield the rows of the slice."""
        left = (self.rows or 0) - start
        if left <= 0:
            return
        for rows in self.inner.batches(columns, max_rows, self._first + start):
            taken = rows.slice(0, min(left, len(rows.numbers)))
            yield taken
            left -= len(taken.numbers)
            if left <= 0:
                return
