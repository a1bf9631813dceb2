"""Texts on their way to sentencepiece: what is no text is refused, and where it is is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from fnet_cli.errors import InputDataError


def text_array(texts: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """Return `texts` as Arrow has them: an array, or several where there are gigabytes.

    Raises InputDataError for a lone surrogate, half of a character, which has no UTF-8; and
    TypeError for what is no str, and for a single one.
    """
    if isinstance(texts, str):
        raise TypeError("a list of texts is needed, not a str")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {row} is no str but {type(text).__name__}")
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        for row, text in enumerate(texts):
            _check_text(row, text)
        raise


def python_texts(strings: pa.Array | pa.ChunkedArray) -> Iterator[list[str]]:
    """Yield the strings of each chunk, of any of Arrow's types for text.

    Raises ValueError for another type or for a null, and InputDataError for bytes that are not
    UTF-8.
    """
    row = 0
    for chunk in strings.chunks if isinstance(strings, pa.ChunkedArray) else [strings]:
        if pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_decode()
        if not (
            pa.types.is_string(chunk.type)
            or pa.types.is_large_string(chunk.type)
            or pa.types.is_string_view(chunk.type)
        ):
            raise ValueError(f"texts must be strings, not {chunk.type}")
        if chunk.null_count:
            null = chunk.is_null().to_pylist().index(True)
            raise ValueError(f"text {row + null} is null: there is nothing to tokenize")
        try:
            yield chunk.to_pylist()
        except UnicodeDecodeError as error:
            raise InputDataError(f"texts from {row} on: not UTF-8: {error}") from error
        row += len(chunk)


def _check_text(row: int, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputDataError(
            f"text {row}: character {error.start} is the lone surrogate "
            f"U+{ord(text[error.start]):04X}, which is no character",
            hint="replace it, as text.encode('utf-8', 'replace').decode() does",
        ) from error
