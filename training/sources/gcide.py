"""GCIDE, the GNU version of the Collaborative International Dictionary of English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.sources.dictd import read_entries

_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_NUMBER = re.compile(r"^(\d+\.|\([a-z]\))\s+")
_DOMAIN = re.compile(r"^\([A-Z][^()]*\)\s*")
_EXAMPLE = re.compile(r"[;:,] (?:as|called also|as in), ")
_AUTHOR = re.compile(r"\s*--\s?[A-Z][^\n]*$")
_QUOTE_INDENT = " " * 9
# Later editors filled gaps from WordNet, word for word; those are WordNet's to give.
_BORROWED = "[WordNet"
_NOT_A_DEFINITION = ("Syn:", "Note:", "{", "Cf.", "See ", "Same as", "Alt. of", "pl. of", "imp.")


@dataclass(frozen=True)
class Entry:
    """One entry: its word, the definitions of its senses, and the quotations under them."""

    word: str
    definitions: tuple[str, ...]
    quotations: tuple[str, ...]


def read_gcide(directory: Path) -> Iterator[Entry]:
    """Yield the entries with at least one definition of their own, in the dictionary's order.

    Definitions that were taken from WordNet are left out.
    """
    for word, text in read_entries(directory, "gcide"):
        entry = _parse(word, text)
        if entry.definitions:
            yield entry


def _parse(word: str, text: str) -> Entry:
    definitions, quotations = [], []
    for number, marked in enumerate(re.split(r"\n\s*\n", text)):
        if _BORROWED in marked:
            continue
        # Etymologies and labels stand in brackets, at times one within another.
        paragraph = _BRACKETS.sub("", _BRACKETS.sub("", marked))
        # The first paragraph starts with the headword, its sound and its part of speech.
        body = paragraph.partition("\n")[2] if number == 0 else paragraph
        is_quotation = body.startswith(_QUOTE_INDENT)
        plain = " ".join(body.split())
        if is_quotation:
            quotations.append(_AUTHOR.sub("", plain.replace("{", "").replace("}", "")))
            continue
        if plain.startswith(_NOT_A_DEFINITION):
            continue
        definition = _definition(plain)
        if definition:
            definitions.append(definition)
    return Entry(word, tuple(definitions), tuple(quote for quote in quotations if quote))


def _definition(plain: str) -> str:
    plain = _DOMAIN.sub("", _NUMBER.sub("", plain))
    plain = _EXAMPLE.split(plain.replace("{", "").replace("}", ""), maxsplit=1)[0]
    return _AUTHOR.sub("", plain).strip(" ;,")
