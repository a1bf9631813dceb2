"""Long texts in overlapping pieces, each with its place in the text it is of."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from fnet_cli.errors import UsageError
from fnet_cli.tokenizer.arrays import list_array, ranges
from fnet_cli.tokenizer.texts import python_texts

IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Chunks:
    """Chunks of texts, those of one text together and in order. All arrays are (C,).

    `document` is the text's row and `number` the chunk's in it, from 0. `starts` and `ends` are
    a span in characters of the text as a Python str: `text[start:end]` is what the chunk is of,
    without white space around it. `token_ids`, list<int32>, has no special tokens.
    """

    document: IntArray
    number: IntArray
    starts: IntArray
    ends: IntArray
    token_ids: pa.ListArray

    def __len__(self) -> int:
        return len(self.document)


@dataclass(frozen=True)
class _Tokens:
    """One text's tokens, and where in it each begins, which is where the one before ends."""

    ids: list[int]
    begins: IntArray


def chunk(
    processor: Any, strings: pa.Array | pa.ChunkedArray, size: int, overlap: int = 0
) -> Chunks:
    """Cut each text into chunks of `size` tokens, of which the next repeats the last `overlap`.

    The last chunk of a text may be shorter; a text without tokens has one chunk without any.
    Together the spans of a text cover every character of it that is not white space.

    `processor` is sentencepiece's. Raises UsageError for a size below 1 or an overlap that is
    negative or not less than the size, and otherwise what `python_texts` does.
    """
    if size < 1:
        raise UsageError(f"a chunk of {size} tokens", hint="use a size of 1 or more")
    if not 0 <= overlap < size:
        raise UsageError(
            f"an overlap of {overlap} tokens in chunks of {size}",
            hint=f"use an overlap from 0 to {size - 1}",
        )
    lengths, spans, ids = [], [], []
    # Text by text, since offsets come as Python objects, some 300 bytes a token.
    for text in chain.from_iterable(python_texts(strings)):
        tokens = _tokenize(processor, text)
        first, count = _bounds(len(tokens.ids), size, overlap)
        spans.append(_spans(text, tokens, first, count))
        ids.append(np.array(tokens.ids, np.int32)[ranges(first, count)])
        lengths.append(count)
    numbers = np.array([len(counts) for counts in lengths], np.int64)
    all_spans = np.concatenate(spans) if spans else np.zeros((0, 2), np.int64)
    return Chunks(
        np.repeat(np.arange(len(numbers)), numbers),
        ranges(np.zeros_like(numbers), numbers),
        all_spans[:, 0],
        all_spans[:, 1],
        list_array(_concatenate(ids), _concatenate(lengths)),
    )


def _concatenate(arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _tokenize(processor: Any, text: str) -> _Tokens:
    mapping = processor.encode(text, return_type="offset_mapping")
    offsets = mapping["offsets"]
    return _Tokens(mapping["ids"], np.fromiter(map(itemgetter(0), offsets), np.int64, len(offsets)))


def _bounds(tokens: int, size: int, overlap: int) -> tuple[IntArray, IntArray]:
    """Return each chunk's first token, and how many it has."""
    step = size - overlap
    chunks = 1 + max(0, -((size - tokens) // step))
    first = np.arange(chunks) * step
    return first, np.minimum(size, tokens - first)


def _spans(text: str, tokens: _Tokens, first: IntArray, count: IntArray) -> IntArray:
    """Return each chunk's [start, end) in `text`: (C, 2)."""
    # Characters that the vocabulary drops, such as controls, are no token's. Those between two
    # tokens go with the first of them, and those around all with the text's first or last chunk.
    starts, ends = np.zeros((2, len(first)), np.int64)
    after = first[:-1] + count[:-1]
    begins, following = tokens.begins[after - 1], tokens.begins[after]
    starts[1:], ends[:-1], ends[-1] = tokens.begins[first[1:]], following, len(text)
    # A token may end inside what one character became, which is then both chunks'.
    places = following.tolist()
    several = np.array([_becomes_several(text[place : place + 1]) for place in places], bool)
    ends[:-1] += several | (begins == following)
    pairs = zip(starts.tolist(), ends.tolist(), strict=True)
    return np.array([_trimmed(text, start, end) for start, end in pairs], np.int64)


def _becomes_several(character: str) -> bool:
    """Whether a vocabulary may make several pieces of a character; offsets do not tell."""
    return len(unicodedata.normalize("NFKC", character)) > 1


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out white space at both ends; a span of nothing else becomes empty."""
    inside = text[start:end]
    kept = inside.strip()
    if not kept:
        return start, start
    begin = start + len(inside) - len(inside.lstrip())
    return begin, begin + len(kept)
