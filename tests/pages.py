"""The blocks of the documentation's pages, and how they are run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from running import clean_env

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
}
RUN = ("sh", "python")
# Seconds for the longest page, which starts TensorFlow eight times, on a machine that is busy.
PATIENCE = 900
# Above a block that the tests of pages leave out: why, or which file runs it instead.
NOT_RUN, RUN_BY = "not run: ", "run by "
_FENCE = re.compile(r"(?:^<!-- ([^>]*) -->\n)?^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSTALLS = re.compile(r"^python3 -m venv \S+ && \S*pip install [^&\n]*?(&& |$)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: the comment right above it, the language it names, and its text."""

    marker: str
    language: str
    text: str

    @property
    def is_run(self) -> bool:
        return self.language in RUN and not self.marker.startswith((NOT_RUN, RUN_BY))


def blocks_of(page: str) -> list[Block]:
    return [Block(*found.groups("")) for found in _FENCE.finditer(PAGES[page].read_text())]


def script_of(pages: Iterable[str]) -> str:
    """Return the blocks of pages, one after the other, as one shell script.

    Python blocks that follow one another are one program. A block that is word for word one from
    before is left out, so that pages which begin alike share what takes long.
    """
    blocks = dict.fromkeys(
        (block.language, block.text) for page in pages for block in blocks_of(page) if block.is_run
    )
    script = ""
    for language, group in groupby(blocks, key=lambda block: block[0]):
        text = "".join(text for _, text in group)
        script += f"python - <<'END OF PYTHON'\n{text}END OF PYTHON\n" * (language == "python")
        script += text * (language == "sh")
    return _INSTALLS.sub("", script).replace(".venv/bin/", "")


def run_script(script: str, directory: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a script beside a copy of the examples, with this `fnet`; return what it prints."""
    shutil.copytree(ROOT / "docs/examples", directory / "docs/examples")
    programs = directory / ".programs"
    programs.mkdir()
    (directory / ".home").mkdir()
    python = shlex.quote(sys.executable)
    commands = {"fnet": f"{python} -m fnet_cli", "python": python, "python3": python}
    for name, command in commands.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    caches = ("KAGGLEHUB_CACHE", "HF_HOME", "FNET_CACHE", "FNET_CONFIG")
    places = {name: str(directory / ".caches" / name) for name in caches}
    found = clean_env({**places, "HOME": str(directory / ".home")})
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"set -x\n{script}"],
        cwd=directory,
        env={
            **found,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{programs}:{found['PATH']}",
            **(env or {}),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE - 20,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
