"""Dictionaries in the format of dictd: an index of headwords, and one compressed text."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_ABOUT_ITSELF = "00-database-"


def read_entries(directory: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield (headword, entry) of the dictionary `name`, in the order of its text.

    An entry that stands under several headwords comes once, under its first. Raises OSError for a
    missing file. Format: dictfmt(1).
    """
    text = gzip.decompress((directory / f"{name}.dict.dz").read_bytes())
    places: dict[tuple[int, int], str] = {}
    for line in (directory / f"{name}.index").read_text(encoding="utf-8").splitlines():
        word, start, length = line.split("\t")[:3]
        if not word.startswith(_ABOUT_ITSELF):
            places.setdefault((_number(start), _number(length)), word)
    for (start, length), word in sorted(places.items()):
        yield word, text[start : start + length].decode("utf-8", errors="replace")


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + _VALUES[digit]
    return value
