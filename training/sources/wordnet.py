"""WordNet's glosses, read from its database files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORDNET_DIRECTORY = Path("/usr/share/wordnet")  # where Debian's wordnet-base puts it

# Part-of-speech letters as in WordNet's own sense keys. Offsets are unique within a file, so
# adjective satellites (`s` inside data.adj) need no letter of their own.
_FILES = {"n": "data.noun", "v": "data.verb", "a": "data.adj", "r": "data.adv"}
_LICENCE_INDENT = "  "
_GLOSS_MARK = " | "


@dataclass(frozen=True)
class Synset:
    """A sense: its id such as `n00001740`, the words that have it, and its gloss.

    The gloss is the definition with its examples, as WordNet has it.
    """

    identifier: str
    words: tuple[str, ...]
    gloss: str

    @property
    def definition(self) -> str:
        """The gloss up to its first example."""
        return self.gloss.partition('; "')[0].strip(" ;")

    @property
    def examples(self) -> list[str]:
        """The quoted examples."""
        return [part.strip() for part in self.gloss.split('"')[1::2] if part.strip()]


def read_synsets(directory: Path) -> Iterator[Synset]:
    """Yield every sense in the files' order: n, v, a, r.

    Raises OSError for a missing file and ValueError for a line without a gloss. Format:
    wndb(5WN).
    """
    for letter, name in _FILES.items():
        with (directory / name).open(encoding="utf-8") as file:
            for line in file:
                if line.startswith(_LICENCE_INDENT):
                    continue
                data, mark, gloss = line.partition(_GLOSS_MARK)
                if not mark:
                    raise ValueError(f"{directory / name}: no gloss in {line[:40]!r}")
                fields = data.split(" ")
                count = int(fields[3], 16)
                # An adjective may carry its syntax: `galore(ip)`.
                words = tuple(
                    word.partition("(")[0].replace("_", " ")
                    for word in fields[4 : 4 + 2 * count : 2]
                )
                yield Synset(letter + fields[0], words, gloss.strip())


def read_glosses(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield (synset id, gloss) in the files' order."""
    for synset in read_synsets(directory):
        yield synset.identifier, synset.gloss
