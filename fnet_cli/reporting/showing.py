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
    return bool(
        _is_text(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))
    )


def shown(array: pa.Array) -> list[Value]:
    """Return what a page shows of the values of a column, None for null."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if _is_text(array.type):
        # What a file says to be text may be none.
        values = array.cast(pa.large_binary()).to_pylist()
        return [
            None if value is None else cut(value.decode("utf-8", "replace")) for value in values
        ]
    if pa.types.is_temporal(array.type):  # Python has fewer of them
        array = _as_text(array)
    return [_shown(value) for value in array.to_pylist()]


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _as_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowException:  # of a time zone or a year that is not known
        return array.cast(pa.int64())


def _shown(value: object) -> Value:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    if isinstance(value, int) and abs(value) <= _MOST_EXACT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return cut(str(value))


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text of at most so many characters, an ellipsis where it went on."""
    return text if len(text) <= most else text[: most - 1] + "…"
