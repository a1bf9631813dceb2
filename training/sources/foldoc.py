"""FOLDOC, the Free On-line Dictionary of Computing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.sources.dictd import read_entries

_LABEL = re.compile(r"^(\d+\.\s+)?(<[^>]*>\s*)?(\([^()]{1,40}\)\s*)?")
_NOT_PROSE = ("(", "[", "{", "See ", "<")


@dataclass(frozen=True)
class Article:
    """One article: its title and its paragraphs of prose."""

    title: str
    paragraphs: tuple[str, ...]


def read_foldoc(directory: Path) -> Iterator[Article]:
    """Yield the articles that have a paragraph of prose, in the dictionary's order."""
    for title, text in read_entries(directory, "foldoc"):
        paragraphs = []
        for paragraph in re.split(r"\n\s*\n", text)[1:]:  # the title stands first
            plain = " ".join(_LABEL.sub("", " ".join(paragraph.split())).split())
            plain = plain.replace("{", "").replace("}", "")
            if plain and not plain.startswith(_NOT_PROSE):
                paragraphs.append(plain)
        if paragraphs:
            yield Article(title, tuple(paragraphs))
