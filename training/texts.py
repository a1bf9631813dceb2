"""Fetches the sources and writes what is trained on and what is held out, as two Parquet files.

A word, a title or a package is held out as a whole, with every text under it in every source,
by a hash of its name; and a text that is held out anywhere is trained on nowhere.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.sources.debian import read_descriptions
from training.sources.foldoc import read_foldoc
from training.sources.gcide import read_gcide
from training.sources.wordnet import read_synsets

WORK = Path("training/work")
PACKAGES = ("wordnet-base", "dict-gcide", "dict-foldoc")
HELD_OUT_ONE_IN = 25
SEED = 20210509  # the day FNet's paper went to arXiv
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
# Of these only one text in so many is trained on: they repeat what other kinds have, or are many.
ONE_TEXT_IN = {
    ("wordnet", "word"): 2,
    ("wordnet", "entry"): 4,
    ("gcide", "entry"): 4,
    ("debian", "entry"): 2,
}
MOST_CHARACTERS = 1_500  # about what the teacher reads of a text


@dataclass(frozen=True)
class Text:
    """A text: where it is from, the names that it stands under, and what it is."""

    source: str
    kind: str
    names: tuple[str, ...]
    text: str


def fetch(work: Path) -> Path:
    """Download the dictionaries and Debian's descriptions into `work`, without being root.

    Returns the directory of the unpacked packages. What is there already is kept.
    """
    root, lists = work / "root", work / "lists"
    if not lists.exists():
        (lists / "partial").mkdir(parents=True)
        options = ["-o", "Acquire::Languages=en", "-o", f"Dir::State::lists={lists.absolute()}"]
        subprocess.run(["apt-get", "-q", *options, "update"], check=True)
    if not root.exists():
        packages = work / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-q", "download", *PACKAGES], check=True, cwd=packages)
        for package in sorted(packages.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root


def all_texts(root: Path, lists: Path) -> Iterator[Text]:
    """Yield every text of every source, repeats included."""
    for synset in read_synsets(root / "usr/share/wordnet"):
        yield Text("wordnet", "definition", synset.words, synset.definition)
        yield from (Text("wordnet", "example", synset.words, text) for text in synset.examples)
        yield from (Text("wordnet", "word", (word,), word) for word in synset.words)
        yield Text(
            "wordnet", "entry", synset.words, f"{', '.join(synset.words)}: {synset.definition}"
        )
    for entry in read_gcide(root / "usr/share/dictd"):
        for definition in entry.definitions:
            yield Text("gcide", "definition", (entry.word,), definition)
        for quotation in entry.quotations:
            yield Text("gcide", "example", (entry.word,), quotation)
        yield Text("gcide", "entry", (entry.word,), f"{entry.word}: {' '.join(entry.definitions)}")
    for article in read_foldoc(root / "usr/share/dictd"):
        yield from _prose("foldoc", article.title, article.paragraphs)
    for package in read_descriptions(lists):
        yield Text("debian", "definition", (package.package,), package.summary)
        yield from _prose("debian", package.package, package.paragraphs)


def _prose(source: str, name: str, paragraphs: tuple[str, ...]) -> Iterator[Text]:
    """Yield the sentences, and what has several as a whole too."""
    for paragraph in paragraphs:
        for sentence in SENTENCE_END.split(paragraph):
            yield Text(source, "sentence", (name,), sentence)
    whole = " ".join(paragraphs)
    if SENTENCE_END.search(whole):
        yield Text(source, "entry", (name,), whole)


def is_held_out(name: str) -> bool:
    """Whether everything under this name is kept from training: one name in 25, by its hash."""
    return _number(name.strip().lower()) % HELD_OUT_ONE_IN == 0


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def write_texts(texts: Iterator[Text], work: Path) -> tuple[int, int]:
    """Write `train.parquet` and `held_out.parquet`; return how many texts each has."""
    parts: dict[bool, dict[str, Text]] = {True: {}, False: {}}
    for text in texts:
        plain = text.text.strip()[:MOST_CHARACTERS]
        if not any(character.isalpha() for character in plain):
            continue
        # The same words with another case or full stop are the same text.
        key = plain.lower().rstrip(".")
        parts[any(map(is_held_out, text.names))].setdefault(
            key, Text(text.source, text.kind, text.names, plain)
        )
    held_out = parts[True]
    train = [
        text
        for key, text in parts[False].items()
        if key not in held_out
        and _number(text.text) % ONE_TEXT_IN.get((text.source, text.kind), 1) == 0
    ]
    random.Random(SEED).shuffle(train)
    write_part(work / "train.parquet", train)
    write_part(work / "held_out.parquet", list(held_out.values()))
    return len(train), len(held_out)


def write_part(path: Path, texts: list[Text]) -> None:
    """Write texts as a Parquet file."""
    table = pa.table(
        {
            "source": [text.source for text in texts],
            "kind": [text.kind for text in texts],
            "names": [list(text.names) for text in texts],
            "text": [text.text for text in texts],
        }
    )
    pq.write_table(table, path, compression="zstd")


def main() -> None:
    """Parse the arguments, fetch and write."""
    parser = argparse.ArgumentParser(prog="python -m training.texts")
    parser.description = "Fetch the texts to train on and to evaluate with."
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    arguments = parser.parse_args()
    root = fetch(arguments.work)
    train, held_out = write_texts(all_texts(root, arguments.work / "lists"), arguments.work)
    print(f"{train:,} texts to train on, {held_out:,} held out, in {arguments.work}")


if __name__ == "__main__":
    main()
