"""Descriptions of Debian's packages, from the lists that `apt-get update` fetches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

_PARAGRAPH_END = " ."
_VERBATIM = "  "  # two spaces: a list or a listing, to be shown as it is


@dataclass(frozen=True)
class Description:
    """One package: its name, its one-line summary and the paragraphs below it."""

    package: str
    summary: str
    paragraphs: tuple[str, ...]


def read_descriptions(lists: Path) -> Iterator[Description]:
    """Yield every package of the `Translation-en` lists under `lists`.

    Format: deb-control(5), `Description`. Raises FileNotFoundError where there is no list.
    """
    files = sorted(lists.glob("*_Translation-en.lz4"))
    if not files:
        raise FileNotFoundError(f"{lists}: no list of English descriptions")
    for path in files:
        with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, "lz4") as stream:
            text = stream.read().decode("utf-8", errors="replace")
        for stanza in text.split("\n\n"):
            if stanza.strip():
                yield _parse(stanza)


def _parse(stanza: str) -> Description:
    package = summary = ""
    paragraphs: list[list[str]] = [[]]
    for line in stanza.splitlines():
        if line.startswith("Package: "):
            package = line.partition(": ")[2]
        elif line.startswith("Description-en: "):
            summary = line.partition(": ")[2]
        elif line.startswith((_PARAGRAPH_END, _VERBATIM)):
            paragraphs.append([])
        elif line.startswith(" "):
            paragraphs[-1].append(line.strip())
    prose = (" ".join(lines) for lines in paragraphs)
    return Description(package, summary, tuple(text for text in prose if text))
