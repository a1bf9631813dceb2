"""WordNet's glosses, read from its database files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

WORDNET_DIRECTORY = Path("/usr/share/wordnet")  # where Debian's wordnet-base puts it

# Part-of-speech letters as in WordNet's own sense keys. Offsets are unique within a file, so
# adjective satellites (`s` inside data.adj) need no letter of their own.
_FILES = {"n": "data.noun", "v": "data.verb", "a": "data.adj", "r": "data.adv"}
_LICENCE_INDENT = "  "
_GLOSS_MARK = " | "


def read_glosses(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield (synset id such as `n00001740`, gloss) in the files' order: n, v, a, r.

    The gloss is the definition with its examples, as WordNet has it. Raises OSError for a
    missing file and ValueError for a line without a gloss. Format: wndb(5WN).
    """
    for letter, name in _FILES.items():
        with (directory / name).open(encoding="utf-8") as file:
            for line in file:
                if line.startswith(_LICENCE_INDENT):
                    continue
                synset, mark, gloss = line.partition(_GLOSS_MARK)
                if not mark:
                    raise ValueError(f"{directory / name}: no gloss in {line[:40]!r}")
                yield letter + synset.split(" ", 1)[0], gloss.strip()
