"""The pictures in the documentation show what the program still writes."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from running import on_a_terminal

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "docs/screenshots"
TEXT = re.compile(r'<text class="\S+-r\d+" x="([\d.]+)" y="([\d.]+)".*?>(.*?)</text>', re.DOTALL)


def lines_of(picture: Path) -> list[str]:
    """Return the text that a picture shows; it has no pieces for blanks alone."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in TEXT.findall(picture.read_text()):
        rows.setdefault(float(y), []).append((float(x), html.unescape(text).replace("\xa0", " ")))
    return words("\n".join(" ".join(text for _, text in sorted(rows[y])) for y in sorted(rows)))


def words(text: str) -> list[str]:
    """Return the lines that are not empty, with one blank between two words."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("name", "columns"), [("presets-list", 80), ("presets-inspect", 114), ("summary", 80)]
)
def test_a_picture_shows_what_the_program_writes(name, columns):
    prompt, *shown = lines_of(PLACE / f"{name}.svg")
    written = on_a_terminal(*prompt.split()[2:], columns=columns, NO_COLOR="1")
    assert shown == words(written.replace(str(ROOT), "/opt/fnet"))


def test_the_picture_of_a_job_shows_one_under_way():
    prompt, bar = lines_of(PLACE / "encode.svg")
    assert prompt == "$ fnet encode sentences.txt -o embeddings.parquet"
    assert re.search(r"[\d,]+ of [\d,]+ rows \(\d+%\), .* tokens/s, .* left$", bar)


def test_pictures_ask_no_other_host():
    for picture in PLACE.glob("*.svg"):
        drawn = re.sub("<!--.*?-->", "", picture.read_text())
        assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
