"""Make the pictures of this directory: what the program really draws on a terminal, as SVG.

`pip install -e '.[docs]' && python docs/screenshots/make.py`, or with the names of some.
The program runs on a pseudo-terminal, a terminal emulator (pyte) takes what it writes, and rich
draws the cells. A picture brings its own background, so it reads on light and dark pages.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples/sentences.txt"
LINES = 80
INSTALLED = str(HERE.parents[1])
_DONE = re.compile(r"\((\d+)%\)")
# Some megabytes of fonts from elsewhere; any monospaced one has these letters.
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


@dataclass(frozen=True)
class Picture:
    """A command to show; one that takes a while is shown when `at` is true of its screen."""

    command: str
    columns: int = 80
    at: Callable[[str], bool] | None = None


def half_done(shown: str) -> bool:
    """Whether a progress bar is somewhere in the middle."""
    found = _DONE.search(shown)
    return found is not None and 45 <= int(found[1]) <= 65


PICTURES = {
    "presets-list": Picture("fnet presets list"),
    "presets-inspect": Picture("fnet presets inspect f_net_mini_en", 114),
    "summary": Picture("fnet summary f_net_base_en"),
    "encode": Picture("fnet encode sentences.txt -o embeddings.parquet", 90, half_done),
}


def capture(picture: Picture, directory: Path) -> pyte.Screen:
    """Return the screen on which the command has run, or still runs."""
    screen = pyte.Screen(picture.columns, LINES)
    stream = pyte.ByteStream(screen)
    stream.feed(f"$ {picture.command}\r\n".encode())
    leader, follower = pty.openpty()
    size = struct.pack("HHHH", LINES, picture.columns, 0, 0)
    fcntl.ioctl(follower, termios.TIOCSWINSZ, size)
    process = subprocess.Popen(
        [sys.executable, "-m", "fnet_cli", *picture.command.split()[1:]],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        cwd=directory,
        env=environment(directory),
    )
    os.close(follower)
    with suppress(OSError):  # Linux's way of saying that the other end is closed
        while data := os.read(leader, 65536):
            stream.feed(data)
            if picture.at is not None and picture.at("\n".join(screen.display)):
                break
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(leader)
    return screen


def environment(directory: Path) -> dict[str, str]:
    """Return the environment of a user who has pulled nothing, and nothing of the developer's."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(directory))
    return {**kept, **places, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}


def drawn(screen: pyte.Screen) -> list[Text]:
    """Return the lines of a screen with their colours, and one empty line at the end."""
    lines = []
    for row in range(screen.lines):
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        line = Text()
        for style, alike in groupby(cells, style_of):
            # Where it is installed is nobody's business.
            text = "".join(cell.data for cell in alike).replace(INSTALLED, "/opt/fnet")
            line.append(text, style)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return [*lines, Text()]  # rich cuts the feet of letters in the last line


def style_of(cell: pyte.screens.Char) -> str:
    """Return rich's name of a cell's style."""
    words = [word for word in ("bold", "reverse") if getattr(cell, word)]
    words += ["italic"] if cell.italics else []
    return " ".join([*words, color(cell.fg), "on", color(cell.bg)])


def color(name: str) -> str:
    """Return rich's name of pyte's colour."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return name.replace("brown", "yellow").replace("bright", "bright_")


def draw(name: str, picture: Picture, directory: Path) -> None:
    """Run a command and write its picture."""
    console = Console(
        record=True, width=picture.columns, file=io.StringIO(), force_terminal=True,
        color_system="truecolor",
    )  # fmt: skip
    for line in drawn(capture(picture, directory)):
        console.print(line, soft_wrap=True, highlight=False)
    svg = _WEB_FONT.sub("", console.export_svg(title="fnet", unique_id=name))
    (HERE / f"{name}.svg").write_text("\n".join(map(str.rstrip, svg.splitlines())) + "\n")


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *PICTURES], default=[])
    names: Sequence[str] = parser.parse_args().names or list(PICTURES)
    for name in names:
        with tempfile.TemporaryDirectory() as directory:
            # Enough of them that the middle is seen.
            Path(directory, "sentences.txt").write_text(EXAMPLE.read_text() * 40)
            draw(name, PICTURES[name], Path(directory))


if __name__ == "__main__":
    main()
