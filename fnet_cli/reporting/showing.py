"""Values of columns as a page shows them: numbers stay numbers, anything else is a short text."""

from __future__ import annotations

import math

import pyarrow as pa

Value = str | int | float | None

# Longer ones are cut; a page is not where texts are read.
MOST_CHARACTERS = 400
# JavaScript's numbers hold integers up to here.
_MOST_EXACT = 2**53


def is_shown(kind: pa.DataType) -> bool:
    """Whether a column of this type has values that a line can show: no lists and no bytes."""
    if pa.types.is_dictionary(kind):
        return is_shown(kind.value_type)
    return not (pa.types.is_nested(kind) or _is_binary(kind) or pa.types.is_null(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def shown(array: pa.Array) -> list[Value]:
    """Return what a page shows of the values of a column, None for null."""
    if pa.types.is_timestamp(array.type):  # of nanoseconds, Python has none
        return [cut(value) for value in array.cast(pa.string()).to_pylist()]
    return [_shown(value) for value in array.to_pylist()]


def _shown(value: object) -> Value:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    if isinstance(value, int) and abs(value) <= _MOST_EXACT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return cut(str(value))


def cut(text: str | None, most: int = MOST_CHARACTERS) -> str | None:
    """Return a text of at most so many characters, an ellipsis where it went on."""
    if text is None or len(text) <= most:
        return text
    return text[: most - 1] + "…"
