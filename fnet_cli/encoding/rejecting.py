"""Rows that cannot be used, where a job tolerates them: left out, and noted one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import orjson

from fnet_cli.encoding.output.sinks import plain_json
from fnet_cli.encoding.readers.base import Fault, RowBatch, RowSource
from fnet_cli.encoding.texts import TokenizedSource

# What of a row that could not be read is shown.
_RAW_CHARACTERS = 2_000


@dataclass(frozen=True)
class Rejected:
    """Consecutive rows that are rejected for one reason, as they are written.

    `row` is the number of the first, counted as messages do, in `unit`s; both are None where a
    file could not be read, and how many rows that cost is not known. `data` is the row, or the
    text that stands in its place.
    """

    file: str
    row: int | None
    unit: str | None
    rows: int
    reason: str
    data: Any

    def line(self) -> bytes:
        """Return the line of JSON."""
        return orjson.dumps(
            self.__dict__,
            default=plain_json,
            option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE,
        )


def without(
    window: RowBatch, faults: Mapping[int, Fault], shown: Sequence[str]
) -> tuple[RowBatch, list[Rejected]]:
    """Return the good rows, and the others with their columns `shown`."""
    bad = np.zeros(len(window.numbers), bool)
    bad[list(faults)] = True
    return window.taken(np.flatnonzero(~bad)), list(_rejected(window, faults, shown))


def _rejected(
    window: RowBatch, faults: Mapping[int, Fault], shown: Sequence[str]
) -> Iterator[Rejected]:
    # Rows of one damaged piece share their fault.
    for _, group in groupby(sorted(faults), key=lambda index: id(faults[index])):
        indices = list(group)
        first, fault = indices[0], faults[indices[0]]
        data = fault.raw[:_RAW_CHARACTERS] if fault.raw is not None else None
        if data is None and len(indices) == 1:
            data = _row(window, first, shown)
        number = int(window.numbers[first])
        yield Rejected(window.source, number, window.unit, len(indices), fault.reason, data)


def _row(window: RowBatch, index: int, shown: Sequence[str]) -> Any:
    """Return a row as JSON has it, or None where a text in it is none."""
    try:
        (row,) = window.batch.slice(index, 1).select(list(shown)).to_pylist()
    except UnicodeDecodeError:
        return None
    return row


def damages(sources: Sequence[RowSource]) -> list[Rejected]:
    """Return the files that could not be read, or not to their end."""
    inner = [source.inner if isinstance(source, TokenizedSource) else source for source in sources]
    return [
        Rejected(source.name, None, None, 0, source.damage, None)
        for source in inner
        if source.damage is not None
    ]
